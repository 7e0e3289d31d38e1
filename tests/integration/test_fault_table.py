"""Every fault by its name, with what becomes of the generation, how often it was submitted, how often accepted.

Real HTTP for what the vendor and the network do. A full disk is a write that raises ENOSPC (patched); a folder that
cannot be written to is one whose place a file has taken, since these tests may run as root, whom no mode keeps out.
Clocks are those of `tests.torture.virtual`: the loop, `time.time` and `time.monotonic` as the package sees them.
"""

from __future__ import annotations

import builtins
import errno
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import kling_widget as kw
from kling_widget import polling, retry, saving
from kling_widget.simulator import Fault, SimulatorServer
from tests.integration.test_generation_property import clip, picture
from tests.torture.books import Reply
from tests.torture.vendor import KEY, vendor
from tests.torture.virtual import World

DEADLINE = 40.0  # seconds; most are over in one


class Scene:
    """A vendor, a studio on it, and what a case may do to them."""

    def __init__(self, server: SimulatorServer, folder: Path, stack: ExitStack, patch: pytest.MonkeyPatch) -> None:
        self.server, self.folder, self.stack, self.patch = server, folder, stack, patch
        self.studio = kw.Studio(api_key=KEY, base_url=server.url, workspace=folder)

    @property
    def videos(self) -> Path:
        return self.folder / "videos"

    def faults(self, *faults: Fault) -> None:
        self.server.simulator.faults.add(*faults)


@dataclass
class Case:
    """One fault.

    Parameters
    ----------
    name
        What goes wrong.
    outcome
        ``video``, or the name of the error.
    status
        Of the generation in the end.
    posts, accepted
        Submissions that reached the vendor; generations in its books.
    act
        Makes it go wrong.
    """

    name: str
    outcome: str = "video"
    status: str = "completed"
    posts: int = 1
    accepted: int = 1
    act: Callable[[Scene], object] = lambda scene: None


def plan(name: str, *faults: Fault, **expected: Any) -> Case:
    """A case that only plans faults of the vendor or the network."""
    return Case(name, act=lambda scene: scene.faults(*faults), **expected)


REFUSED = {"status": "rejected", "accepted": 0}
UNKNOWN = {"outcome": "SubmissionUnknownError", "status": "unknown", "accepted": 0}
LATER = {"outcome": "DownloadError", "status": "stopped"}
POST = [
    plan("POST 400", Fault("submit", "status_code", code=400), outcome="InvalidRequestError", **REFUSED),
    plan("POST 401", Fault("submit", "status_code", code=401), outcome="AuthenticationError", **REFUSED),
    plan("POST 403", Fault("submit", "status_code", code=403), outcome="InsufficientCreditsError", **REFUSED),
    plan("POST 404", Fault("submit", "status_code", code=404), outcome="InvalidRequestError", **REFUSED),
    plan("POST 422", Fault("submit", "status_code", code=422), outcome="InvalidRequestError", **REFUSED),
    plan("POST 307: not followed", Fault("submit", "status_code", code=307), outcome="InvalidRequestError", **REFUSED),
    plan("POST 429 once", Fault("submit", "status_code", code=429), posts=2),
    plan("POST 429 asks for a second", Fault("submit", "status_code", code=429, retry_after=1), posts=2),
    plan(
        "POST 429 asks for an hour", Fault("submit", "status_code", code=429, retry_after=3600),
        outcome="RateLimitError", **REFUSED,
    ),
    plan(
        "POST 429 for good", Fault("submit", "status_code", code=429, times=None),
        outcome="RateLimitError", posts=5, **REFUSED,
    ),
    plan("POST 500, accepted", Fault("submit", "status_code", code=500, accepted=True)),
    plan("POST 500, not accepted", Fault("submit", "status_code", code=500), **UNKNOWN),
    plan("POST 502, not accepted", Fault("submit", "status_code", code=502), **UNKNOWN),
    plan("POST 503 with Retry-After: no replay", Fault("submit", "status_code", code=503, retry_after=1), **UNKNOWN),
    plan("POST 504, accepted", Fault("submit", "status_code", code=504, accepted=True)),
    plan("POST reset before it is read", Fault("submit", "drop_before"), **UNKNOWN),
    plan("POST closed before it is read", Fault("submit", "drop_before", reset=False), **UNKNOWN),
    plan("POST reset after it is carried out", Fault("submit", "drop_after")),
    plan("POST closed after it is carried out", Fault("submit", "drop_after", reset=False)),
    plan("POST answer breaks in the middle", Fault("submit", "drop_midway")),
    plan("POST answer is shorter than it says", Fault("submit", "wrong_length")),
    plan("POST 201 and nothing", Fault("submit", "empty")),
    plan("POST 201 and garbage", Fault("submit", "garbage")),
    plan("POST 201 without an id", Fault("submit", "no_id")),
    plan("POST 201, id in the header only", Fault("submit", "header_id")),
    plan("POST hangs and is accepted late", Fault("submit", "hang", seconds=0.5, accepted=True)),
    plan("POST hangs and breaks", Fault("submit", "hang", seconds=0.5), **UNKNOWN),
    plan("POST answer trickles in", Fault("submit", "slow", bytes_per_second=500)),
]  # fmt: skip
GET = [
    plan("GET 500 three times", Fault("retrieve", "status_code", code=500, times=3)),
    plan("GET 429", Fault("retrieve", "status_code", code=429, retry_after=1)),
    plan("GET reset", Fault("retrieve", "drop_before", times=2)),
    plan("GET answer breaks in the middle", Fault("retrieve", "drop_midway", times=2)),
    plan("GET 200 and nothing", Fault("retrieve", "empty", times=2)),
    plan("GET 200 and garbage", Fault("retrieve", "garbage", times=2)),
    plan("GET says a word nobody knows", Fault("retrieve", "word", word="baking bread", times=2)),
    plan("GET 404 for a moment", Fault("retrieve", "lost", times=3)),
    plan("GET 404 for good", Fault("retrieve", "lost", times=None), outcome="InvalidRequestError", status="stopped"),
    plan(
        "GET 401: the key was revoked", Fault("retrieve", "status_code", code=401),
        outcome="AuthenticationError", status="stopped",
    ),
    plan("GET says error", Fault("retrieve", "word", word="error"), outcome="GenerationFailedError", status="error"),
    plan("GET hangs", Fault("retrieve", "hang", seconds=0.5)),
]  # fmt: skip
NO_ID = Fault("submit", "no_id")
LOGS = [
    plan("logs 500 twice", NO_ID, Fault("logs", "status_code", code=500, times=2)),
    plan("logs 429", NO_ID, Fault("logs", "status_code", code=429, retry_after=1)),
    plan("logs reset", NO_ID, Fault("logs", "drop_before")),
    plan("logs are garbage", NO_ID, Fault("logs", "garbage", times=2)),
    plan("logs are empty", NO_ID, Fault("logs", "empty", times=2)),
    plan(
        "logs fail for good", NO_ID, Fault("logs", "status_code", code=500, times=None),
        outcome="SubmissionUnknownError", status="unknown",
    ),
    plan(
        "logs refuse the key", NO_ID, Fault("logs", "status_code", code=401),
        outcome="SubmissionUnknownError", status="unknown",
    ),
]  # fmt: skip
BILLING = [
    plan("billing 500 for good", Fault("billing", "status_code", code=500, times=None)),
    plan("billing is garbage", Fault("billing", "garbage", times=None)),
]


def before_the_download(scene: Scene, act: Callable[[Path], object]) -> None:
    real = scene.studio.video_target

    def once(row: Any) -> Path:
        target = real(row)
        scene.studio.__dict__.pop("video_target", None)
        target.parent.mkdir(parents=True, exist_ok=True)
        act(target)
        return target

    scene.studio.__dict__["video_target"] = once


def the_network_is_away(scene: Scene) -> None:
    """For many more tries than it took to give up once; they come fast here."""
    scene.patch.setattr(retry, "FIRST_DELAY", 0.01)
    scene.patch.setattr(retry, "LONGEST_DELAY", 0.05)
    scene.faults(Fault("download", "drop_before", times=30), Fault("download", "status_code", code=503, times=30))


BUSY = (
    Fault("download", "expired"),
    Fault("retrieve", "status_code", code=503, times=2),
    Fault("retrieve", "status_code", code=429),
)
DOWNLOAD = [
    Case(
        "download 403: the address has expired, and the vendor is busy when asked for another",
        act=lambda scene: before_the_download(scene, lambda _: scene.faults(*BUSY)),
    ),
    plan("download 403: the address has expired", Fault("download", "expired", times=2)),
    plan("download 400", Fault("download", "status_code", code=400)),
    plan("download 503", Fault("download", "status_code", code=503, times=2)),
    plan("download 404 for good", Fault("download", "status_code", code=404, times=None), **LATER),
    plan("download is a web page", Fault("download", "html")),
    plan("download is a web page for good", Fault("download", "html", times=None), **LATER),
    plan("download is half the file", Fault("download", "truncated")),
    plan("download breaks in the middle, twice", Fault("download", "drop_midway", times=2)),
    plan("download is shorter than it says", Fault("download", "wrong_length")),
    plan("download is empty", Fault("download", "empty")),
    plan("download is garbage", Fault("download", "garbage")),
    plan("download reset", Fault("download", "drop_before", times=2)),
    Case("download reset thirty times, and 503 as often", act=the_network_is_away),
    plan("download trickles in", Fault("download", "slow", bytes_per_second=5000)),
]


def disk_is_full_for_the_video(scene: Scene) -> None:
    real = builtins.open

    def full(file: Any, *args: Any, **options: Any) -> Any:
        opened = real(file, *args, **options)
        if str(file).endswith(".part") and "videos" in str(file):
            opened.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        return opened

    scene.patch.setattr(builtins, "open", full)


def a_file_lies_where_the_videos_go(scene: Scene) -> None:
    scene.folder.mkdir()
    scene.videos.write_text("not a folder")


def a_file_lies_where_the_workspace_goes(scene: Scene) -> None:
    scene.folder.write_text("not a folder")


def a_file_lies_where_the_pictures_go(scene: Scene) -> None:
    scene.folder.mkdir()
    (scene.folder / "images").write_text("not a folder")


def ledger_is_locked(scene: Scene) -> None:
    _ = scene.studio.workspace.ledger
    connection = sqlite3.connect(scene.folder / "ledger.sqlite", check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")

    def unlock() -> None:
        connection.rollback()
        connection.close()

    timer = threading.Timer(1.0, unlock)
    timer.start()
    scene.stack.callback(timer.join)


DISK = [
    Case("disk is full while the video comes", **LATER, act=disk_is_full_for_the_video),
    Case("a file lies where the videos go", **LATER, act=a_file_lies_where_the_videos_go),
    Case("a file lies where the workspace goes", "KlingError", "", 0, 0, act=a_file_lies_where_the_workspace_goes),
    Case("a file lies where the pictures go", "KlingError", "", 0, 0, act=a_file_lies_where_the_pictures_go),
    Case(
        "a partial file is left over that is garbage",
        act=lambda scene: before_the_download(scene, lambda t: t.with_name(t.name + ".part").write_bytes(b"x" * 99)),
    ),
    Case("the final name is taken", act=lambda scene: before_the_download(scene, lambda t: t.write_bytes(b"mine"))),
    Case("the ledger is locked for a second", act=ledger_is_locked),
]
TABLE = [*POST, *GET, *LOGS, *BILLING, *DOWNLOAD, *DISK]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(retry, "LOOKUP_DELAYS", (0.05, 0.1, 0.2))
    monkeypatch.setattr(polling, "SLOWEST", 0.5)
    with ExitStack() as stack:
        server, _ = stack.enter_context(vendor())
        server.simulator.faults.clear()
        yield Scene(server, tmp_path / "clips", stack, monkeypatch)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_what_becomes_of_it(scene: Scene, case: Case) -> None:
    case.act(scene)
    outcome, status = "video", ""
    try:
        generation = scene.studio.submit(picture(), "slow dolly in", send_anyway=True)
        try:
            video = generation.wait(DEADLINE)
            assert video.width == 64
            assert not list(scene.videos.glob("*.part"))
        finally:
            status = generation.status
    except kw.KlingError as error:
        outcome = type(error).__name__.replace("StaleUrlError", "DownloadError")
    counted = scene.server.simulator.recorder.posts
    came = (outcome, status, counted.total(), len(scene.server.simulator.tasks))
    assert came == (case.outcome, case.status, case.posts, case.accepted)
    if outcome != "video":
        assert not list(scene.videos.glob("*.mp4"))


ON_A_SERVER = [case for case in (*POST, *LOGS) if "accepted" in case.name or case.status == "unknown" or case in LOGS]


@pytest.fixture
def on_a_server(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setenv("KLING_WIDGET_DATABASE", postgres_url)


@pytest.mark.usefixtures("on_a_server")
@pytest.mark.parametrize("case", ON_A_SERVER, ids=lambda case: case.name)
def test_the_same_becomes_of_what_was_lost_with_the_ledger_on_a_server(scene: Scene, case: Case) -> None:
    test_what_becomes_of_it(scene, case)
    assert not (scene.folder / "ledger.sqlite").exists()


# Clocks

CLOCKS: dict[str, Callable[[World], object]] = {
    "the clock is set back by an hour": lambda world: world.clock.set(-3600),
    "the clock is set back by a year": lambda world: world.clock.set(-365 * 86_400),
    "the clock jumps an hour ahead": lambda world: world.clock.set(3600),
    "the laptop sleeps for an hour": lambda world: world.clock.sleep(3600),
    "the laptop sleeps for a week": lambda world: world.clock.sleep(7 * 86_400),
}


@pytest.mark.parametrize("way", CLOCKS)
@pytest.mark.parametrize("when", ["while it is submitted", "while it is made", "between two kernels"])
def test_clocks_that_are_set_and_laptops_that_sleep(tmp_path: Path, way: str, when: str) -> None:
    world = World(tmp_path / "clips", clip())
    with world.seams():
        try:
            world.vendor.expect("submit", Reply(honest=True, seconds=10.0))
            generation = world.studio.submit(picture(), "slow dolly in", send_anyway=True)
            world.run(5.0 if when == "while it is submitted" else 60.0)
            if when == "between two kernels":
                world.crash()
            CLOCKS[way](world)
            if when == "between two kernels":
                [generation] = world.studio.take_up()
            world.run(1000.0)
            assert generation.status == "completed", generation.error
            assert len(world.vendor.posts) == len(world.vendor.jobs) == 1
        finally:
            world.close()


def test_after_a_laptop_slept_it_is_asked_at_once(tmp_path: Path) -> None:
    world = World(tmp_path / "clips", clip())
    with world.seams():
        try:
            generation = world.studio.submit(picture(), "slow dolly in", send_anyway=True)
            world.run(20.0)  # past the early look: the next question would come a minute later
            world.clock.sleep(3600)
            world.run(10.0)
            assert generation.status == "completed", generation.error
        finally:
            world.close()


# Networks that go away


def first_the_address_is_no_longer_good(world: World, generation: kw.Generation) -> None:
    """So that a fresh one is asked for, when the vendor cannot be reached any more."""
    world.vendor.expect("download", Reply(status=403, seconds=1.0))
    generation.on_change(lambda each: each.status == "downloading" and world.vendor.away.add("retrieve"))


READY = {
    "the video": lambda world, generation: world.vendor.away.add("download"),
    "the video, after half of it": lambda world, generation: break_off(world),
    "its address": first_the_address_is_no_longer_good,
}


def break_off(world: World) -> None:
    def broken() -> Exception:
        world.vendor.away.add("download")
        return httpx.ReadError("no network")

    world.vendor.expect("download", Reply(body=world.vendor.clip, error=broken))


@contextmanager
def made_without_a_network(folder: Path, away: str) -> Iterator[tuple[World, kw.Generation]]:
    """A clip that is ready, and a network that goes away in just that moment."""
    world = World(folder / "clips", clip())
    with world.seams():
        try:
            generation = world.studio.submit(picture(), "slow dolly in", send_anyway=True)
            READY[away](world, generation)
            world.run(300.0)
            assert generation.status == "downloading", generation.error
            yield world, generation
        finally:
            world.close()


@pytest.mark.parametrize("away", READY)
def test_a_network_that_is_away_for_most_of_an_hour_when_a_video_is_ready_is_waited_for(
    tmp_path: Path, away: str
) -> None:
    with made_without_a_network(tmp_path, away) as (world, generation):
        world.run(3000.0)
        assert generation.status == "downloading", generation.error
        assert re.match(r"The video is made. .*\bcannot be reached\b.* Trying again.$", generation.note)
        world.vendor.away.clear()
        world.run(retry.LONGEST_DELAY + 10.0)
        assert generation.status == "completed", generation.error
        assert generation.note == ""
        assert len(world.vendor.posts) == 1


@pytest.mark.parametrize("away", READY)
def test_one_that_stays_away_is_told_in_the_end_and_the_next_call_fetches_the_video(tmp_path: Path, away: str) -> None:
    with made_without_a_network(tmp_path, away) as (world, generation):
        world.run(2 * saving.PATIENCE)
        assert generation.status == "stopped"
        assert generation.note == ""
        assert isinstance(generation.error, kw.DownloadError)
        assert re.search(
            r"cannot be reached.*Tried again for .*the same call again.*free of charge", str(generation.error)
        )
        assert generation.error.generation_id == generation.id
        world.vendor.away.clear()
        again = world.studio.submit(picture(), "slow dolly in", send_anyway=True)
        world.run(10.0)
        assert again.status == "completed", again.error
        assert len(world.vendor.posts) == 1


def test_the_table_is_as_long_as_promised() -> None:
    assert len(TABLE) + len(CLOCKS) >= 40
    assert len({case.name for case in TABLE}) == len(TABLE)
