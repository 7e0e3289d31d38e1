"""A workspace in S3 (moto's server): what is paid for is in the bucket, and every machine finds it there."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kling_widget as kw
from kling_widget import Studio, background, contact_sheet, mp4_metadata, saving
from kling_widget.ledger import Row
from kling_widget.posters import Small
from kling_widget.remote_workspace import RemoteWorkspace
from kling_widget.simulator import SimulatorServer
from kling_widget.stores import Store
from tests.integration.conftest import KEY, submissions
from tests.integration.simulator_fixtures import picture
from tests.integration.test_leases import downloads, until
from tests.s3 import S3

DEADLINE = 60.0
"""Seconds a test waits before it gives up; usually a generation takes one."""
REQUEST = (picture(), "slow dolly in")

MACHINE = f"""
import sys, time, kling_widget as kw
from kling_widget.stores import Store
url, address, database, picture, act = sys.argv[1:]
put = Store.put

def watched(store, local, name):
    if name.endswith(".json" if act == "before anything" else ".mp4"):
        if act == "after it":
            put(store, local, name)
        print("now", flush=True)
        time.sleep(600)
    put(store, local, name)

Store.put = watched
studio = kw.Studio(api_key={KEY!r}, base_url=url, workspace=address, database=database)
studio.submit(picture, "slow dolly in").wait(600)
"""
"""Another process, which stops before or after it has put the video into the bucket."""


class Machines:
    """Studios as machines have them: each a scratch folder of its own, one bucket and one database for all."""

    def __init__(self, server: SimulatorServer, address: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.server, self.address, self.folder, self._patch = server, address, folder, patch
        self.database = f"sqlite:///{folder / 'ledger.sqlite'}"
        self._made = 0

    @property
    def settings(self) -> dict[str, Any]:
        return {"api_key": KEY, "base_url": self.server.url, "workspace": self.address, "database": self.database}

    def scratch(self) -> str:
        """The scratch folders of one more machine."""
        self._made += 1
        self._patch.setenv("KLING_WIDGET_CACHE", folder := str(self.folder / f"cache{self._made}"))
        return folder

    def another(self, **settings: Any) -> Studio:
        """A studio on one more machine."""
        self.scratch()
        return self.restarted(**settings)

    def restarted(self, **settings: Any) -> Studio:
        """A studio of a new process on the same machine."""
        return Studio(**{**self.settings, **settings})

    def videos(self, s3: S3) -> list[str]:
        """What is in the bucket's folder of videos."""
        return s3.names(f"{self.address}/videos")


@pytest.fixture
def machines(server: SimulatorServer, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    return Machines(server, f"{s3.new_bucket()}/my clips", tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def _the_loop_never_waits_for_a_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test of this file does, no call to a store is made on the background loop's thread."""
    calls: list[threading.Thread] = []
    place = Store._place

    def watched(store: Store, name: str) -> Any:
        calls.append(threading.current_thread())
        return place(store, name)

    monkeypatch.setattr(Store, "_place", watched)
    yield
    assert calls
    assert background._thread not in calls


# What is where


def test_a_video_is_in_the_bucket_with_its_record_its_poster_and_the_picture(machines: Machines, s3: S3) -> None:
    studio = machines.another()
    video = studio.submit(*REQUEST, duration=5).wait(DEADLINE)
    stem = video.place.stem
    assert [name.rpartition(".")[2] for name in s3.names(f"{machines.address}/images")] == ["png"]
    assert machines.videos(s3) == [f"{stem}.jpg", f"{stem}.json", f"{stem}.mp4"]
    assert video.address == f"{machines.address}/videos/{stem}.mp4"
    assert s3.read(video.address) == video.path.read_bytes()
    assert json.loads(s3.read(f"{machines.address}/videos/{stem}.json"))["prompt"] == "slow dolly in"
    assert video.path.is_relative_to(studio.workspace.path)
    assert not list(studio.workspace.path.rglob("*.part"))
    assert (repr(studio), repr(video)) == (
        f"Studio({machines.server.url}, {machines.address!r})",
        f"Video({video.address!r})",
    )


def test_another_machine_finds_what_was_made_and_fetches_only_what_it_uses(machines: Machines) -> None:
    made = machines.another().submit(*REQUEST).wait(DEADLINE)
    studio = machines.another()
    video = studio.submit(*REQUEST).video
    assert video is not None
    assert video.address == made.address
    assert (video.width, video.height, video.size) == (160, 90, made.size)
    assert video.poster == made.poster
    assert [len(picture) < 2_000 for picture in video.small_pictures(Small("WEBP", 80, 2_000))] == [True]
    assert not video.place.exists()
    assert video.path.read_bytes() == made.bytes()
    assert video.save(machines.folder / "copy.mp4").read_bytes() == made.bytes()
    assert len(submissions(machines.server)) == 1


def test_the_picture_of_an_earlier_request_comes_from_the_bucket(machines: Machines) -> None:
    machines.another().submit(*REQUEST).wait(DEADLINE)
    studio = machines.another()
    again = studio.orders.place_again(studio.generations()[0])
    again.wait(DEADLINE)
    assert again.row.take == 2
    assert len(submissions(machines.server)) == 2


def test_a_page_embeds_the_clip_or_shows_its_poster_and_says_where_it_lies(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = machines.another().submit(*REQUEST).wait(DEADLINE)
    assert 'src="data:video/mp4;base64,' in made.html("jupyter")
    assert made.address in made.html("jupyter")
    monkeypatch.setattr(kw.Video, "embed_limit", 1000)
    video = machines.another().submit(*REQUEST).video
    assert video is not None
    page = video.html("jupyter")
    assert "<video" not in page
    assert '<img src="data:image/jpeg' in page
    assert "slow dolly in" in page
    assert f"It is saved as <code>{made.address}</code>" in page
    assert "KLING_WIDGET_CACHE" in page
    assert not video.place.exists(), "a clip that is not shown is not fetched"


def test_a_scratch_folder_below_the_notebook_is_served_like_any_other(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.another().submit(*REQUEST).wait(DEADLINE)
    monkeypatch.chdir(machines.folder)
    monkeypatch.setenv("KLING_WIDGET_CACHE", "clips here")
    video = machines.restarted().submit(*REQUEST).video
    assert video is not None
    assert 'src="clips%20here/s3-clips-' in video.html("jupyter")
    assert video.place.exists(), "the page asks the server for the file"


# Who dies, and what is damaged


@pytest.fixture
def dying(machines: Machines) -> Iterator[Any]:
    """Starts a machine that is killed at the instant it says."""
    processes = []

    def start(act: str) -> None:
        cat = machines.folder / "cat.png"
        cat.write_bytes(REQUEST[0])
        arguments = [machines.server.url, machines.address, machines.database, str(cat), act]
        processes.append(subprocess.Popen([sys.executable, "-c", MACHINE, *arguments], stdout=subprocess.PIPE))
        assert processes[-1].stdout is not None
        assert processes[-1].stdout.readline() == b"now\n"
        os.kill(processes[-1].pid, signal.SIGKILL)
        processes[-1].wait(DEADLINE)

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("machine", ["the same", "another", "the same, which lost the ledger"])
def test_killed_between_download_and_upload_it_is_taken_up_without_paying(
    machines: Machines, dying: Any, s3: S3, machine: str
) -> None:
    machines.scratch()
    dying("before anything" if "lost" in machine else "before it")
    assert not [name for name in machines.videos(s3) if name.endswith(".mp4")]
    if "lost" in machine:
        machines.database = f"sqlite:///{machines.folder / 'new.sqlite'}"
    studio = machines.another() if machine == "another" else machines.restarted()
    [generation] = studio.take_up()
    video = generation.wait(DEADLINE)
    assert s3.read(video.address) == video.path.read_bytes()
    assert len(submissions(machines.server)) == len(machines.server.simulator.tasks) == 1
    assert len(downloads(machines.server)) == (2 if machine == "another" else 1)


def test_killed_before_the_ledger_knows_that_it_is_saved_it_is_found_in_the_bucket(
    machines: Machines, dying: Any, s3: S3
) -> None:
    machines.scratch()
    dying("after it")
    studio = machines.another()
    [generation] = studio.take_up()
    video = generation.wait(DEADLINE)
    assert s3.read(video.address) == video.path.read_bytes()
    assert len(submissions(machines.server)) == len(downloads(machines.server)) == 1


def test_half_a_video_in_the_bucket_is_fetched_anew_and_replaced(machines: Machines, s3: S3) -> None:
    made = machines.another().submit(*REQUEST).wait(DEADLINE)
    s3.write(made.address, made.bytes()[:-500])
    studio = machines.another()
    [known] = studio.generations()
    assert known.video is not None
    with pytest.raises(kw.DownloadError, match="is not there any more"):
        known.video.bytes()
    video = studio.resume(str(known.id)).wait(DEADLINE)
    assert s3.read(video.address) == video.bytes()
    assert mp4_metadata.is_whole(video.path)
    assert len(submissions(machines.server)) == 1


def test_a_video_that_somebody_took_away_is_fetched_anew(machines: Machines, s3: S3) -> None:
    made = machines.another().submit(*REQUEST).wait(DEADLINE)
    s3.remove(made.address)
    video = machines.another().submit(*REQUEST).wait(DEADLINE)
    assert s3.read(video.address) == video.path.read_bytes()
    assert len(submissions(machines.server)) == 1


def test_a_lost_ledger_is_made_anew_from_what_is_in_the_bucket(machines: Machines, s3: S3) -> None:
    first = machines.another()
    videos = [first.submit(REQUEST[0], prompt).wait(DEADLINE) for prompt in ("one", "two", "three")]
    s3.remove(videos[2].address)  # its record is there, the video is not
    s3.write(f"{machines.address}/videos/else.json", b'{"ledger": {"client_request_id": "../../x"}}')
    s3.write(f"{machines.address}/videos/empty.json", b"")
    machines.database = f"sqlite:///{machines.folder / 'new.sqlite'}"
    studio = machines.another()
    assert studio.has_ledger
    assert {row.request["prompt"]: row.saved is not None for row in studio.workspace.ledger.rows()} == {
        "one": True,
        "two": True,
        "three": False,
    }
    for video, prompt in zip(videos, ("one", "two", "three"), strict=True):
        assert studio.submit(REQUEST[0], prompt).wait(DEADLINE).address == video.address
    assert len(submissions(machines.server)) == 3
    assert s3.read(videos[2].address)


# A store that cannot be used


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until a test sets it, a video that is made is not put into the store: so that the store is away by then."""
    event, deliver = threading.Event(), RemoteWorkspace.deliver

    def held(workspace: RemoteWorkspace, video: Path, row: Row) -> None:
        assert event.wait(DEADLINE)
        deliver(workspace, video, row)

    monkeypatch.setattr(RemoteWorkspace, "deliver", held)
    return event


def test_a_video_waits_until_the_store_is_back(machines: Machines, s3: S3, ready: threading.Event) -> None:
    generation = machines.another().submit(*REQUEST)
    with s3.away():
        ready.set()
        until(lambda: "cannot be written: it cannot be reached now" in generation.note, DEADLINE)
        assert generation.row.saved is None
        assert generation.status == "downloading"
    video = generation.wait(DEADLINE)
    assert generation.note == ""
    assert s3.read(video.address) == video.path.read_bytes()
    assert len(submissions(machines.server)) == len(downloads(machines.server)) == 1


def test_what_the_store_refuses_stays_unsaved_and_the_next_call_puts_it_there(
    machines: Machines, s3: S3, ready: threading.Event
) -> None:
    studio = machines.another()
    generation = studio.submit(*REQUEST)
    with s3.denying():
        ready.set()
        with pytest.raises(kw.DownloadError, match="not yet where it belongs") as caught:
            generation.wait(DEADLINE)
    assert "access is denied" in str(caught.value)
    assert "free of charge" in str(caught.value)
    assert generation.row.saved is None
    video = studio.submit(*REQUEST).wait(DEADLINE)
    assert s3.read(video.address) == video.path.read_bytes()
    assert len(submissions(machines.server)) == len(downloads(machines.server)) == 1


def test_a_store_that_is_away_for_longer_than_anybody_waits_is_an_error_in_a_sentence(
    machines: Machines, s3: S3, ready: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "PATIENCE", 0.0)
    generation = machines.another().submit(*REQUEST)
    with s3.away():
        ready.set()
        with pytest.raises(kw.DownloadError, match="cannot be written: it cannot be reached now"):
            generation.wait(DEADLINE)
    [taken_up] = machines.another().take_up()
    assert s3.read(taken_up.wait(DEADLINE).address)
    assert len(submissions(machines.server)) == 1


def test_a_store_that_may_not_be_used_refuses_before_anything_is_sent(machines: Machines, s3: S3) -> None:
    with (
        s3.denying(),
        pytest.raises(kw.StoreError, match=r"^s3://\S+ clips cannot be written: access is denied\. Noth"),
    ):
        machines.another().submit(*REQUEST)
    with pytest.raises(kw.StoreError, match=r"^s3://no-such-bucket cannot be written: there is no such bucket"):
        machines.another(workspace="s3://no-such-bucket").submit(*REQUEST)
    assert submissions(machines.server) == []


def test_without_credentials_the_sentence_says_where_they_belong(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(machines.folder))
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    studio = machines.another()
    with pytest.raises(kw.StoreError, match=r"no credentials for it were found\. Nothing was submitted\. Give them"):
        studio.submit(*REQUEST)
    assert submissions(machines.server) == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "found")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "found")
    assert studio.submit(*REQUEST).wait(DEADLINE).size, "without a new kernel"


def test_endpoint_and_keys_may_come_from_fsspec_s_own_configuration(s3: S3, tmp_path: Path) -> None:
    bucket = s3.new_bucket()
    kept = {name: value for name, value in os.environ.items() if name not in s3.environment}
    options = {"FSSPEC_S3_ENDPOINT_URL": s3.url, "FSSPEC_S3_KEY": "testing", "FSSPEC_S3_SECRET": "testing-secret"}
    code = "import sys; from kling_widget.stores import Store; Store(sys.argv[1]).write(b'here', 'file')"
    subprocess.run([sys.executable, "-c", code, bucket], env={**kept, **options}, check=True, timeout=DEADLINE)
    assert s3.read(f"{bucket}/file") == b"here"
    assert Store(bucket).size("file") == 4


# Many


def test_a_batch_on_another_machine_lists_its_videos_without_fetching_one(machines: Machines, s3: S3) -> None:
    rows = [{"image": REQUEST[0], "prompt": f"p{number}"} for number in range(4)]
    machines.scratch()
    kw.batch(rows, confirm=False, progress=False, **machines.settings).wait(DEADLINE)
    machines.scratch()
    batch = kw.batch(rows, confirm=False, progress=False, **machines.settings)
    results = batch.wait(DEADLINE)
    table = results.to_dicts()
    assert [row["video"] for row in table] == [result.address for result in results]
    assert all(str(row["video"]).startswith(f"{machines.address}/videos/") for row in table)
    assert contact_sheet.Sheet(batch).bundle()["text/html"].count('<img src="data:image/webp') == 4
    assert not any(result.place.exists() for result in results if result.place)
    first = results[0].path
    assert first is not None
    assert s3.read(str(results[0].address)) == first.read_bytes()
    assert len(submissions(machines.server)) == 4


def test_a_full_scratch_folder_loses_what_is_stored_and_never_what_is_not(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = machines.another()
    old = studio.submit(*REQUEST).wait(DEADLINE)
    waiting = studio.workspace.path / "videos" / "waits for the store.mp4"
    waiting.write_bytes(b"paid for")
    for path in studio.workspace.path.glob("*/*"):
        os.utime(path, (0, 0))
    monkeypatch.setenv("KLING_WIDGET_CACHE_GB", "0")
    new = machines.restarted().submit(picture(colour="navy"), "slow dolly out").wait(DEADLINE)
    assert {path.name for path in studio.workspace.path.glob("videos/*.mp4")} == {waiting.name, new.place.name}
    assert len(list(studio.workspace.path.glob("images/*"))) == 1, "the picture just sent may be sent again"
    assert old.bytes()


def test_a_damaged_copy_of_a_picture_does_not_replace_the_stores(machines: Machines) -> None:
    studio = machines.another()
    studio.submit(*REQUEST).wait(DEADLINE)
    (copy,) = studio.workspace.path.glob("images/*")
    whole = copy.read_bytes()
    copy.write_bytes(b"")
    machines.restarted().submit(REQUEST[0], "slow dolly out").wait(DEADLINE)
    assert copy.read_bytes() == whole
    copy.unlink()
    assert machines.another().workspace.find_image(copy.stem).read_bytes() == whole


def test_a_damaged_poster_is_made_anew_from_the_video(machines: Machines, s3: S3) -> None:
    machines.another().submit(*REQUEST).wait(DEADLINE)
    (poster,) = (name for name in machines.videos(s3) if name.endswith(".jpg"))
    address = f"{machines.address}/videos/{Path(poster).name}"
    whole = s3.read(address)
    s3.write(address, whole[: len(whole) // 2] + b"\xff\xc0\0\2" + whole[len(whole) // 2 :])
    (tile,) = machines.another().generations()._repr_html_().split("data:image/webp;base64,")[1:]
    assert base64.b64decode(tile.partition('"')[0])[8:12] == b"WEBP"


def test_the_widget_lists_what_it_has_not_fetched_and_plays_it_by_its_bytes(machines: Machines) -> None:
    made = machines.another().submit(*REQUEST).wait(DEADLINE)
    machines.scratch()
    widget = kw.KlingWidget(**machines.settings)
    sent: list[tuple[dict[str, Any], Any]] = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    until(lambda: widget.entries, DEADLINE)
    [entry] = widget.entries
    assert entry["video"] == {
        "url": None,
        "path": made.address,
        "width": None,
        "height": None,
        "size": None,
        "duration": None,
    }
    assert not list(Path(os.environ["KLING_WIDGET_CACHE"]).rglob("*.mp4"))
    widget._receive(widget, {"type": "video", "id": "1", "key": entry["key"], "offset": 0}, [])
    until(lambda: any(content["type"] == "video" for content, _ in sent), DEADLINE)
    [(content, buffers)] = [each for each in sent if each[0]["type"] == "video"]
    assert (content["size"], buffers[0]) == (made.size, made.bytes())
    widget.close()


def test_a_picture_may_lie_in_a_bucket(machines: Machines, s3: S3) -> None:
    bucket = s3.new_bucket()
    s3.write(f"{bucket}/photos/my cat.png", REQUEST[0])
    found = kw.SourceImage.load(f"{bucket}/photos/my cat.png")
    assert (found.name, found.sha256) == ("my cat.png", kw.SourceImage.load(REQUEST[0]).sha256)
    studio = machines.another()
    generation = studio.submit(f"{bucket}/photos/my cat.png", "slow dolly in")
    assert studio.submit(*REQUEST).key == generation.key, "the same picture"
    generation.wait(DEADLINE)
    with pytest.raises(kw.ImageError, match=r"none\.png cannot be read: it is not there"):
        kw.SourceImage.load(f"{bucket}/none.png")
    s3.write(f"{bucket}/empty.png", b"")
    with pytest.raises(kw.ImageError, match="is empty"):
        kw.SourceImage.load(f"{bucket}/empty.png")
    with pytest.raises(kw.ImageError, match="is a folder"):
        kw.SourceImage.load(f"{bucket}/photos")
