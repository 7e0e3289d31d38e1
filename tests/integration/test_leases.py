"""Two kernels on one workspace share the work: one polls and downloads, both see it, and a dead one's work goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kling_widget import (
    GenerationFailedError,
    SubmissionUnknownError,
    Video,
    background,
    download,
    leases,
    mp4_metadata,
    pending,
    retry,
    saving,
)
from kling_widget.leases import Leases
from kling_widget.ledger import LeaseLostError, Ledger, Row
from kling_widget.simulator import Fault
from kling_widget.workspace import Workspace
from tests.integration.conftest import KEY, studio_on, submissions
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0

KERNEL = f"""
import sys, time, kling_widget as kw
url, folder, picture, act = sys.argv[1:]
studio = kw.Studio(api_key={KEY!r}, base_url=url, workspace=folder)
if act == "submit":
    generation = studio.submit(picture, "slow dolly in")
    while generation.status == "submitting" and generation.id is None:
        print("submitting", flush=True)
        time.sleep(0.05)
    print(generation.id, flush=True)
    generation.wait(60)
    print("saved", flush=True)
else:
    [generation] = studio.take_up()
    print(generation.wait(60).path, flush=True)
"""


@pytest.fixture
def cat(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(picture((640, 360)))
    return path


@pytest.fixture
def kernel(tmp_path, cat):
    """Starts another process on the same workspace; it ends with the test."""
    started = []

    def start(server, act: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", KERNEL, server.url, str(tmp_path / "clips"), str(cat), act]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    assert said, process.wait(10)
    return said


def until(is_so, seconds=30.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def polls(server):
    return [each for each in server.simulator.requests if each.method == "GET" and "generation_id" in str(each.query)]


def downloads(server):
    return [each for each in server.simulator.requests if each.path.endswith(".mp4")]


def lease_of(studio, key):
    row = studio.workspace.ledger.get(key)
    return row.lease_owner, row.lease_until


def test_one_kernel_polls_and_downloads_and_both_have_the_video(serve, cat, tmp_path):
    server = serve(time_factor=60)
    first, second = studio_on(server, tmp_path), studio_on(server, tmp_path)
    mine = first.submit(cat, "slow dolly in")
    [theirs] = second.take_up()
    heard = []
    theirs.on_change(lambda each: heard.append(each.status))
    second.client.retrieve = second.client.open_file = None  # it may ask for nothing
    assert theirs.wait(DEADLINE) == mine.wait(DEADLINE)
    assert isinstance(theirs.video, Video)
    assert theirs.video.metadata == mine.video.metadata
    assert {"generating", "completed"} <= set(heard)
    assert len(submissions(server)) == 1
    assert len(downloads(server)) == 1
    until(lambda: lease_of(first, mine.key) == (None, None))


@pytest.mark.usefixtures("each_database")
def test_the_same_call_in_two_kernels_at_once_is_one_submission(serve, cat, tmp_path):
    server = serve(time_factor=60)
    first, second = studio_on(server, tmp_path), studio_on(server, tmp_path)
    mine, theirs = first.submit(cat, "slow dolly in"), second.submit(cat, "slow dolly in")
    assert mine.key == theirs.key
    assert mine.wait(DEADLINE) == theirs.wait(DEADLINE)
    assert len(submissions(server)) == 1


def test_a_failure_is_told_in_both_kernels(serve, cat, tmp_path):
    server = serve(time_factor=60)
    first, second = studio_on(server, tmp_path), studio_on(server, tmp_path)
    both = first.submit(cat, "a cat [fail]"), second.submit(cat, "a cat [fail]")
    said = []
    for generation in both:
        with pytest.raises(GenerationFailedError) as caught:
            generation.wait(DEADLINE)
        said.append(caught.value)
    assert [each.generation_id for each in said] == [server.simulator.tasks[0].id] * 2
    assert all(both[0].row.error_message in str(each) for each in said)


@pytest.mark.usefixtures("each_database")
def test_a_submission_still_being_sent_is_looked_up_by_nobody(serve, cat, tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 0.9)  # the answer takes longer than a lease: the heartbeat keeps it
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=3, accepted=True))
    first, second = studio_on(server, tmp_path), studio_on(server, tmp_path)
    mine = first.submit(cat, "slow dolly in")
    until(lambda: submissions(server))
    [theirs] = second.take_up()
    statuses = []
    theirs.on_change(lambda each: statuses.append(each.status))
    assert mine.wait(DEADLINE) == theirs.wait(DEADLINE)
    assert "unknown" not in statuses
    assert not [each for each in server.simulator.requests if each.path == "/v2/logs"]
    assert len(submissions(server)) == 1


def test_who_stops_watching_hands_over(serve, cat, tmp_path):
    server = serve(time_factor=40)
    first, second = studio_on(server, tmp_path), studio_on(server, tmp_path)
    mine = first.submit(cat, "slow dolly in")
    until(lambda: mine.id is not None)
    [theirs] = second.take_up()
    mine.stop()
    assert theirs.wait(DEADLINE).path.exists()
    assert mine.status == "stopped"
    assert mine.wait(DEADLINE) == theirs.video  # by watching again
    assert len(downloads(server)) == 1


@pytest.mark.usefixtures("each_database")
def test_a_kernel_that_was_killed_is_followed_by_the_one_that_watched(serve, kernel, tmp_path):
    server = serve(time_factor=20)
    dying = kernel(server, "submit")
    until(lambda: server.simulator.tasks)
    while line(dying) == "submitting":
        pass
    studio = studio_on(server, tmp_path)
    [theirs] = studio.take_up()
    until(lambda: theirs.active and studio.workspace.ledger.get(theirs.key).lease_owner is not None)
    before = studio.workspace.ledger.get(theirs.key).lease_owner
    os.kill(dying.pid, signal.SIGKILL)
    dying.wait(10)
    until(lambda: lease_of(studio, theirs.key)[0] not in (before, None), 10)
    assert theirs.wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 1


@pytest.mark.usefixtures("each_database")
def test_two_processes_share_a_generation_and_end_with_the_same_file(serve, kernel, tmp_path):
    server = serve(time_factor=40)
    one = kernel(server, "submit")
    until(lambda: server.simulator.tasks)
    two = kernel(server, "take_up")
    while (said := line(one)) != "saved":
        pass
    assert said == "saved"
    path = Path(line(two))
    assert path.exists()
    assert len(submissions(server)) == 1
    assert len(downloads(server)) == 1


@pytest.mark.usefixtures("each_database")
def test_a_kernel_killed_while_it_submits_is_looked_up_and_never_sent_again(serve, kernel, tmp_path):
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=30, accepted=True))
    dying = kernel(server, "submit")
    until(lambda: server.simulator.tasks)
    os.kill(dying.pid, signal.SIGKILL)
    dying.wait(10)
    [theirs] = studio_on(server, tmp_path).take_up()
    assert theirs.wait(DEADLINE).path.exists()
    assert theirs.id == server.simulator.tasks[0].id
    assert len(submissions(server)) == 1


@pytest.mark.usefixtures("each_database")
def test_a_kernel_that_ends_in_order_leaves_no_lease(serve, kernel, tmp_path):
    server = serve(time_factor=4)
    ending = kernel(server, "submit")
    until(lambda: server.simulator.tasks)
    while line(ending) == "submitting":
        pass
    ending.send_signal(signal.SIGINT)
    ending.wait(DEADLINE)  # as long as it would take to the video: an interrupt that is lost shows below
    [row] = Workspace(tmp_path / "clips").ledger.rows()
    assert (row.status in ("queued", "generating"), row.lease_owner) == (True, None)


# The rules, without a network


@pytest.fixture
def ledger(tmp_path, each_database):
    made = Workspace(tmp_path).ledger
    made.admit(Row("kw-1", "simulator", "a"))
    yield made
    made.close()


def claim(holder: Leases, ledger: Ledger) -> bool:
    row = ledger.get("kw-1")
    assert row is not None
    return background.run(holder.claim(row))


def stranger(ledger: Ledger, until: float) -> None:
    """The lease of a process on another machine."""
    ledger.update("kw-1", lease_owner="elsewhere/1/x", lease_until=until)


@pytest.mark.parametrize("wrong_by", [-1e9, -3600, 0, 3600, 1e9])
def test_a_lease_nobody_renews_ends_whatever_the_clocks_say(ledger, monkeypatch, wrong_by):
    monkeypatch.setattr(leases, "LEASE", 0.5)
    stranger(ledger, time.time() + wrong_by)
    ours = Leases(lambda: ledger)
    assert not claim(ours, ledger)
    began = time.monotonic()
    until(lambda: claim(ours, ledger), 5)
    assert 0.4 < time.monotonic() - began < 2


def test_a_lease_that_is_renewed_is_never_taken_even_when_the_wall_clock_jumps(ledger, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 0.6)
    one, two = Leases(lambda: ledger), Leases(lambda: ledger)
    assert claim(one, ledger)
    real = time.time
    for jump in (0, 3600, -7200, 86_400):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            assert not claim(two, ledger)
            time.sleep(0.05)
    one.check("kw-1")
    background.run(one.release("kw-1"))
    assert claim(two, ledger)


def test_of_many_that_want_a_left_lease_one_gets_it(ledger, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 0.2)
    stranger(ledger, 5.0)
    seen = ledger.get("kw-1")
    time.sleep(0.3)
    claims = [ledger.claim(seen, f"here/{n}/x", time.time(), stale=True) for n in range(5)]
    assert [row and row.lease_owner for row in claims] == ["here/0/x", *[None] * 4]


def test_who_lost_the_lease_changes_nothing_more(ledger):
    ledger.update("kw-1", lease_owner="us", lease_until=1.0)
    ledger.update("kw-1", owner="us", vendor_status="queued")
    stranger(ledger, 2.0)
    with pytest.raises(LeaseLostError):
        ledger.update("kw-1", owner="us", status="generating")
    assert ledger.get("kw-1").status == "submitting"
    # But the id that was paid for is written by whoever hears it, once.
    assert ledger.settle("kw-1", status="queued", generation_id="g1").generation_id == "g1"
    ledger.update("kw-1", status="completed")
    assert ledger.settle("kw-1", status="queued", generation_id="g2").generation_id == "g1"
    assert ledger.get("kw-1").status == "completed"


def test_a_process_that_is_gone_is_not_waited_for(ledger):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    machine = Leases(lambda: ledger).owner.partition("/")[0]
    if machine == "?":
        pytest.skip("this system has no name for a boot of a machine")
    ledger.update("kw-1", lease_owner=f"{machine}/{gone.pid}/x", lease_until=time.time() + 1000)
    assert claim(Leases(lambda: ledger), ledger)
    ledger.update("kw-1", lease_owner=f"{machine}/{os.getppid()}/x", lease_until=time.time() + 1000)
    assert not claim(Leases(lambda: ledger), ledger)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_owners_are_unique_also_after_a_fork(ledger):
    ours = Leases(lambda: ledger)
    assert ours.owner == ours.owner != Leases(lambda: ledger).owner
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ours.owner.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000).decode() != ours.owner


def test_a_row_that_another_process_took_over_before_it_was_sent_is_not_sent(serve, cat, tmp_path, monkeypatch):
    monkeypatch.setattr(retry, "LOOKUP_DELAYS", (0.01,))
    server = serve(time_factor=60)
    studio = studio_on(server, tmp_path)
    ledger = studio.workspace.ledger
    admit = ledger.admit

    def admit_and_lose(row, **options):  # this process slept; the other one looked it up, and found nothing
        admitted = admit(row, **options)
        ledger.update(row.client_request_id, lease_owner=None, lease_until=None, status="unknown")
        return admitted

    monkeypatch.setattr(ledger, "admit", admit_and_lose)
    generation = studio.submit(cat, "slow dolly in")
    with pytest.raises(SubmissionUnknownError):
        generation.wait(DEADLINE)
    assert submissions(server) == []


def test_a_download_left_half_way_goes_on_in_a_file_of_its_own(tmp_path):
    """Its writer may not be dead, and goes on writing to the other one."""
    target, theirs, ours = (tmp_path / name for name in ("a.mp4", "a.mp4.x.part", "a.mp4.y.part"))
    with open(theirs, "wb", buffering=0) as file:
        file.write(b"first half")
        saving._adopt(target, ours)
        file.write(b" and more")
    assert ours.read_bytes() == b"first half"
    saving._adopt(target, ours)
    assert ours.read_bytes() == b"first half"


def test_a_lease_lost_in_the_middle_of_a_download_ends_with_one_whole_video(serve, cat, tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "LEASE", 0.6)
    server = serve(time_factor=60)
    first, second = studio_on(server, tmp_path), studio_on(server, tmp_path)
    folder = tmp_path / "clips" / "videos"
    mine = first.submit(cat, "slow dolly in")
    real = first.client.open_file
    lost = []

    def open_file(url, offset=0):
        lost.append(background.go(first.leases.release(mine.key)))  # as if this process had slept too long
        return real(url, offset)

    first.client.open_file = open_file
    [theirs] = second.take_up()
    assert mine.wait(DEADLINE) == theirs.wait(DEADLINE)
    assert lost
    assert mine.video.info.frames > 0
    assert mp4_metadata.read(mine.video.path) is not None
    assert not list(folder.glob("*part"))
    assert list(pending.rows(tmp_path / "clips")) == []


def test_a_download_that_another_process_ended_first_is_no_error(serve, cat, tmp_path, monkeypatch):
    """It had lost its lease, or we have: either way it drops what we have fetched."""
    server = serve(time_factor=60)
    studio = studio_on(server, tmp_path)
    finish = download._finish
    taken_away = []

    def finish_twice(partial, target, seal):
        finish(partial, target, seal)
        taken_away.append(not partial.exists())
        finish(partial, target, seal)

    monkeypatch.setattr(download, "_finish", finish_twice)
    video = studio.submit(cat, "slow dolly in").wait(DEADLINE)
    assert taken_away == [True]
    assert mp4_metadata.read(video.path) is not None
    [row] = studio.workspace.ledger.rows()
    assert row.saved is not None
    assert len(downloads(server)) == 1
