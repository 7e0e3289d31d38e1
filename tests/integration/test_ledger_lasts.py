"""A ledger that lasts: whatever becomes of its file, no video and no paid id is lost, and nothing is paid again."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest

from kling_widget import KlingError, mp4_metadata, pending
from kling_widget.ledger_repair import LedgerWarning
from kling_widget.simulator import Fault
from tests.integration.conftest import studio_on, submissions
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0


@pytest.fixture
def cat(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(picture((640, 360)))
    return path


def until(is_so, seconds=30.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def destroy(studio):
    """What a bad disk does."""
    studio.workspace.ledger.close()
    (studio.workspace.path / "ledger.sqlite").write_bytes(b"\0rubbish" * 2000)


def damaged(studio):
    return list(studio.workspace.path.glob("ledger.damaged-*.sqlite"))


WITHOUT = {
    "nothing": lambda video: None,
    "the sidecar": lambda video: video.with_suffix(".json").unlink(),
    "a readable sidecar": lambda video: video.with_suffix(".json").write_bytes(b"{[\xff"),
    "a truthful sidecar": lambda video: video.with_suffix(".json").write_text(
        json.dumps({"ledger": {"client_request_id": "../../x", "provider": 5}})
    ),
    "the video": lambda video: video.unlink(),
}


@pytest.mark.parametrize("lost", WITHOUT)
def test_saved_videos_rebuild_the_ledger_and_the_same_call_costs_nothing(studio, server, cat, tmp_path, lost):
    made = studio.submit(cat, "slow dolly in", take=2)
    path = made.wait(DEADLINE).path
    before = made.row
    WITHOUT[lost](path)
    destroy(studio)
    later = studio_on(server, tmp_path)
    with pytest.warns(LedgerWarning, match="1 generation found"):
        [found] = later.generations()
    assert (found.row.request_hash, found.row.take) == (before.request_hash, 2)
    assert (found.id, found.key) == (made.id, made.key)
    assert (found.row.request, found.row.pictures) == (before.request, before.pictures)
    assert (found.row.created, found.row.accepted, found.row.completed) == (
        before.created, before.accepted, before.completed,
    )  # fmt: skip
    assert (found.row.usd, found.row.credits, found.row.time_factor) == (
        before.usd, before.credits, before.time_factor,
    )  # fmt: skip
    again = later.submit(cat, "slow dolly in", take=2)
    assert again.wait(DEADLINE).path == path
    assert path.exists()
    assert len(submissions(server)) == 1
    assert len(damaged(later)) == 1
    assert later.submit(cat, "slow dolly in", take="new").row.take == 3


def test_a_deleted_ledger_is_rebuilt_too_and_without_a_word(studio, server, cat, tmp_path, recwarn):
    video = studio.submit(cat, "slow dolly in").wait(DEADLINE)
    studio.workspace.ledger.close()
    for path in studio.workspace.path.glob("ledger.sqlite*"):
        path.unlink()
    later = studio_on(server, tmp_path)
    assert later.has_ledger
    assert later.submit(cat, "slow dolly in").wait(DEADLINE) == video
    assert len(submissions(server)) == 1
    assert not [each for each in recwarn if issubclass(each.category, LedgerWarning)]


def test_the_video_itself_says_what_it_was_made_from_and_its_bytes_are_the_vendors(studio, server, cat):
    video = studio.submit(cat, "slow dolly in", duration=5, cfg_scale=0).wait(DEADLINE)
    said = json.loads(mp4_metadata.read(video.path))
    assert said["prompt"] == "slow dolly in"
    assert said["cfg_scale"] == 0
    assert said["generation_id"] == server.simulator.tasks[0].id
    assert said["ledger"]["saved"] >= said["ledger"]["completed"] >= said["ledger"]["accepted"]
    data = video.path.read_bytes()
    said_bytes = mp4_metadata.read(video.path)
    box = 24 + len(said_bytes)
    assert data[-box + 4 : -box + 8] == b"uuid"
    assert "sk-test" not in said_bytes.decode()
    assert "http" not in json.dumps({**said["ledger"], "provider": ""})  # no signed address
    assert json.loads(video.path.with_suffix(".json").read_text())["ledger"]["request_hash"]


def test_foreign_videos_and_files_are_ignored(studio, server, cat, tmp_path):
    video = studio.submit(cat, "slow dolly in").wait(DEADLINE)
    folder = video.path.parent
    (folder / "holiday.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    (folder / "holiday.json").write_text("[1, 2")
    (folder / "notes.json").write_text('{"prompt": "p"}')
    (folder / "folder.mp4").mkdir()
    (studio.workspace.path / "pending" / "kw-x.json").write_bytes(b"\0" * 100)
    shutil.copy(video.path, folder / "copy.mp4")  # the same generation under another name is still one
    destroy(studio)
    with pytest.warns(LedgerWarning, match="1 generation found"):
        [found] = studio_on(server, tmp_path).generations()
    assert found.key == server.simulator.tasks[0].client_request_id


def test_two_records_that_contradict_each_other_are_both_kept(studio, server, cat, tmp_path):
    video = studio.submit(cat, "slow dolly in").wait(DEADLINE)
    record = json.loads(video.path.with_suffix(".json").read_text())
    record["ledger"]["client_request_id"] = "kw-another"
    (video.path.parent / "another.json").write_text(json.dumps(record))
    destroy(studio)
    with pytest.warns(LedgerWarning, match="2 generations found"):
        found = studio_on(server, tmp_path).generations()
    assert {each.row.take for each in found} == {1}


def test_what_is_under_way_outlives_the_ledger(serve, cat, tmp_path):
    server = serve(time_factor=40)
    studio = studio_on(server, tmp_path)
    generation = studio.submit(cat, "slow dolly in")
    until(lambda: generation.id is not None)
    generation.stop()
    until(lambda: not generation.active)
    destroy(studio)
    later = studio_on(server, tmp_path)
    with pytest.warns(LedgerWarning, match="1 generation found"):
        [taken_up] = later.take_up()
    assert taken_up.id == generation.id
    assert taken_up.wait(DEADLINE).path.exists()
    assert later.submit(cat, "slow dolly in").wait(DEADLINE) == taken_up.video
    assert len(submissions(server)) == 1
    assert list((later.workspace.path / "pending").iterdir()) == []


def test_a_ledger_lost_while_it_is_being_made_is_noticed_and_the_generation_goes_on(serve, cat, tmp_path):
    server = serve(time_factor=40)
    studio = studio_on(server, tmp_path)
    generation = studio.submit(cat, "slow dolly in")
    until(lambda: generation.id is not None)
    for path in studio.workspace.path.glob("ledger.sqlite*"):
        path.unlink()
    assert generation.wait(DEADLINE).path.exists()
    assert studio_on(server, tmp_path).submit(cat, "slow dolly in").wait(DEADLINE) == generation.video
    assert len(submissions(server)) == 1


def test_a_submission_nobody_heard_of_is_looked_up_after_the_ledger_is_lost(serve, cat, tmp_path):
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=2, accepted=True))
    studio = studio_on(server, tmp_path)
    studio.submit(cat, "slow dolly in")
    until(lambda: server.simulator.tasks)
    [row] = pending.rows(studio.workspace.path)  # what a kernel killed now would leave
    assert (row.status, row.generation_id) == ("submitting", None)
    other = tmp_path / "other"
    shutil.copytree(studio.workspace.path / "pending", other / "clips" / "pending")
    [taken_up] = studio_on(server, other).take_up()
    assert taken_up.wait(DEADLINE).path.exists()
    assert taken_up.id == server.simulator.tasks[0].id
    assert len(submissions(server)) == 1


@pytest.mark.parametrize("ending", ["rejected", "failed"])
def test_nothing_stays_pending_that_was_refused(studio, server, cat, ending):
    if ending == "rejected":
        server.simulator.faults.add(Fault("submit", "status_code", code=400))
    with pytest.raises(KlingError):
        studio.submit(cat, "slow dolly in" + (" [fail]" if ending == "failed" else "")).wait(DEADLINE)
    assert list((studio.workspace.path / "pending").iterdir()) == []


@pytest.fixture
def disk(tmp_path):
    """A small disk as the workspace, where we may make one."""
    folder = tmp_path / "clips"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with open(folder / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            return


def test_on_a_full_disk_nothing_is_submitted(studio, server, cat, disk):
    studio.submit(cat, "slow dolly in").wait(DEADLINE)
    fill(disk)
    with pytest.raises(KlingError, match=r"Nothing was submitted\. Make room"):
        studio.submit(cat, "another").wait(DEADLINE)
    with pytest.raises(KlingError, match="Nothing was submitted"):
        studio.submit(picture((640, 640)), "another picture").wait(DEADLINE)
    assert len(submissions(server)) == 1
    (disk / "filler").unlink()
    assert studio.submit(cat, "another").wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 2


def test_a_disk_that_fills_while_it_is_submitted_loses_no_id(serve, cat, tmp_path, disk):
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=1.5, accepted=True))
    studio = studio_on(server, tmp_path)
    generation = studio.submit(cat, "slow dolly in")
    until(lambda: server.simulator.tasks)
    fill(disk)
    with pytest.raises(KlingError) as caught:
        generation.wait(DEADLINE)
    assert caught.value.generation_id == server.simulator.tasks[0].id
    assert [row.generation_id for row in pending.rows(disk)] == [server.simulator.tasks[0].id]
    (disk / "filler").unlink()
    generation.watch()
    assert generation.wait(DEADLINE).path.exists()
    assert generation.id == server.simulator.tasks[0].id
    assert len(submissions(server)) == 1
    assert not [each for each in server.simulator.requests if each.path == "/v2/logs"]  # it was known all the time


def test_in_a_read_only_folder_nothing_is_submitted_and_videos_are_still_found(studio, server, cat, disk, tmp_path):
    video = studio.submit(cat, "slow dolly in").wait(DEADLINE)
    studio.workspace.ledger.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        with pytest.raises(KlingError, match="Nothing was submitted"):
            studio_on(server, tmp_path).submit(cat, "another").wait(DEADLINE)
        assert video.path.exists()
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert len(submissions(server)) == 1
