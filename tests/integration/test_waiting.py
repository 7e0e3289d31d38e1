"""Waiting for generations in plain Python: many at once, deadlines, loops, threads, Ctrl-C. Nothing is paid twice."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import kling_widget as kw
from kling_widget import background, progress
from kling_widget.simulator import Fault, SimulatorServer

from .conftest import another_task
from .simulator_fixtures import KEY, small

COLOURS = ("red", "orange", "yellow", "lime", "green", "cyan", "blue", "purple", "white", "black")
FAST = 186.0
"""Time factor: a clip takes a second."""

Submit = Callable[..., kw.Generation]


def plain(colour: str) -> bytes:
    """A picture of one colour, which is all its video shows, more or less."""
    target = io.BytesIO()
    Image.new("RGB", (640, 360), colour).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(small(time_factor=FAST)) as server:
        yield server


@pytest.fixture
def submit(server: SimulatorServer, tmp_path: Path) -> Submit:
    def submit(image: Any = None, prompt: str = "a quiet harbour", **fields: Any) -> kw.Generation:
        settings = {"api_key": KEY, "base_url": server.url, "workspace": tmp_path, "progress": False}
        return kw.submit(image or plain("teal"), prompt, **settings, **fields)

    return submit


def test_ten_at_once_all_finish_and_none_is_mixed_up(server: SimulatorServer, submit: Submit) -> None:
    generations = {colour: submit(plain(colour), f"all {colour}") for colour in COLOURS}
    for generation in generations.values():
        generation.wait(60)
    tasks = {task.id: task for task in server.simulator.tasks}
    assert len(tasks) == 10
    assert len({generation.video.path for generation in generations.values() if generation.video}) == 10
    for colour, generation in generations.items():
        video = generation.video
        assert video is not None
        assert generation.id is not None
        assert tasks[generation.id].prompt == f"all {colour}" == video.metadata["prompt"]
        assert tasks[generation.id].client_request_id == generation.key
        assert video.metadata["generation_id"] == generation.id
        assert nearest(video.first_frame) == colour


def nearest(frame: Image.Image) -> str:
    """The one of our colours that most of a frame has."""
    seen = frame.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert isinstance(seen, tuple)

    def distance(colour: str) -> float:
        pixel = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
        assert isinstance(pixel, tuple)
        return sum((a - b) ** 2 for a, b in zip(seen, pixel, strict=True))

    return min(COLOURS, key=distance)


def test_a_deadline_says_how_to_go_on_and_the_generation_does(server: SimulatorServer, submit: Submit) -> None:
    generation = submit()
    with pytest.raises(kw.StoppedWatchingError, match=r"kw\.resume") as caught:
        generation.wait(0.01)
    assert isinstance(caught.value, TimeoutError)
    assert generation.wait(60).path.exists()
    assert len(server.simulator.tasks) == 1


async def test_an_asyncio_deadline_stops_only_the_waiting(server: SimulatorServer, submit: Submit) -> None:
    generation = submit()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(generation, 0.01)
    assert (await generation).path.exists()
    assert len(server.simulator.tasks) == 1


async def test_cancelling_who_awaits_does_not_cancel_the_generation(server: SimulatorServer, submit: Submit) -> None:
    generation = submit()

    async def wait_for_it() -> kw.Video:
        return await generation

    waiting = asyncio.create_task(wait_for_it())
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await generation).path.exists()
    assert len(server.simulator.tasks) == 1


async def test_other_tasks_go_on_while_it_is_awaited(submit: Submit) -> None:
    async with another_task(0.02) as ticks:
        videos = await asyncio.gather(submit(prompt="one"), submit(prompt="two"))
        assert ticks() > 20
    assert [video.metadata["prompt"] for video in videos] == ["one", "two"]


def test_several_loops_and_plain_threads_wait_for_the_same_one(server: SimulatorServer, submit: Submit) -> None:
    generation = submit()
    videos: list[kw.Video] = []

    async def wait_for_it() -> None:
        videos.append(await generation)

    threads = [threading.Thread(target=lambda: asyncio.run(wait_for_it())) for _ in range(3)]
    threads += [threading.Thread(target=lambda: videos.append(generation.wait())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert videos == [generation.video] * 5
    assert len(server.simulator.tasks) == 1


def until(generation: kw.Generation, is_so: Callable[[], bool]) -> None:
    """Wait for a state of a generation, by its own news."""
    reached = threading.Event()

    def look(_: kw.Generation) -> None:
        if is_so():
            reached.set()

    stop_listening = generation.on_change(look)
    background.call(look, generation)
    assert reached.wait(30), generation
    stop_listening()


def test_what_was_stopped_is_watched_again_without_a_second_submission(server: SimulatorServer, submit: Submit) -> None:
    generation = submit()
    until(generation, lambda: generation.id is not None)
    generation.stop()
    until(generation, lambda: generation.status == "stopped")
    assert isinstance(generation.error, kw.StoppedWatchingError)
    generation.watch()
    video = generation.wait(60)
    assert (generation.error, generation.status, generation.video) == (None, "completed", video)
    assert len(server.simulator.tasks) == 1


def test_who_waits_learns_that_it_was_stopped(submit: Submit) -> None:
    generation = submit()
    until(generation, lambda: generation.id is not None)
    heard: list[BaseException] = []

    def wait_for_it() -> None:
        try:
            generation.wait()
        except kw.StoppedWatchingError as error:
            heard.append(error)

    waiting = threading.Thread(target=wait_for_it)
    waiting.start()
    while not generation._finished._done_callbacks:  # type: ignore[attr-defined]  # until the thread waits
        background.run(asyncio.sleep(0.01))
    generation.stop()
    waiting.join(30)
    assert [str(generation.id) in str(error) for error in heard] == [True]
    assert generation.wait(60).path.exists()


def test_stopping_while_it_is_being_sent_does_not_lose_the_id(server: SimulatorServer, submit: Submit) -> None:
    server.simulator.faults.add(Fault("submit", "hang", seconds=0.5, accepted=True))
    generation = submit()
    while not server.simulator.tasks:
        background.run(asyncio.sleep(0.01))
    assert generation.id is None  # accepted there, and not yet heard of here
    generation.stop()
    until(generation, lambda: generation.status == "stopped")
    assert generation.id == server.simulator.tasks[0].id
    assert generation.wait(60).path.exists()
    assert len(server.simulator.tasks) == 1


def test_a_listener_that_raises_stops_nothing(submit: Submit, caplog: pytest.LogCaptureFixture) -> None:
    generation = submit()
    heard: list[str] = []

    def clumsy(_: kw.Generation) -> None:
        raise ValueError("a listener's own mistake")

    generation.on_change(clumsy)
    generation.on_change(lambda each: heard.append(each.status))
    with caplog.at_level(logging.ERROR, "asyncio"):
        assert generation.wait(60).path.exists()
    assert heard[-1] == "completed"
    assert "a listener's own mistake" in caplog.text  # and it is not swallowed


def test_errors_after_a_deadline_are_nobodys_complaint(submit: Submit, caplog: pytest.LogCaptureFixture) -> None:
    generation = submit(prompt="this one [fail]")
    with pytest.raises(kw.StoppedWatchingError):
        generation.wait(0.01)
    with caplog.at_level(logging.WARNING), pytest.raises(kw.GenerationFailedError):
        generation.wait(60)
    assert caplog.records == []


def test_a_failure_that_is_raised_is_not_told_by_the_progress_too(submit: Submit) -> None:
    generation = submit(prompt="this one [fail]")
    with pytest.raises(kw.GenerationFailedError) as raised:
        generation.wait(60)
    assert raised.value.message not in progress.problem(generation)
    assert [frame.name for frame in raised.traceback][1:] == ["wait"], "our loops and threads are nobody's business"


async def test_nor_is_one_that_is_awaited(submit: Submit) -> None:
    generation = submit(prompt="this one [fail]")
    with pytest.raises(kw.GenerationFailedError) as raised:
        await generation
    assert raised.value.message not in progress.problem(generation)
    assert [frame.name for frame in raised.traceback][1:] == ["__await__"]


def test_a_failure_for_which_nobody_waits_any_more_is_told_by_the_progress(submit: Submit) -> None:
    generation = submit(prompt="this one [fail]")
    failed = threading.Event()
    generation.on_change(lambda each: each.error is not None and failed.set())
    with pytest.raises(kw.StoppedWatchingError):
        generation.wait(0.01)
    assert failed.wait(60)
    assert str(generation.error) == progress.problem(generation)


SCRIPT = """
import sys
import kling_widget as kw
try:
    if sys.argv[1] == "generate":
        kw.generate(sys.argv[2], "a quiet harbour")
    else:
        generation = kw.submit(sys.argv[2], "a quiet harbour")
        generation.wait()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("call", ["generate", "submit"])
def test_ctrl_c_in_a_script_says_the_id_and_loses_nothing(call: str, tmp_path: Path) -> None:
    picture = tmp_path / "harbour.png"
    picture.write_bytes(plain("teal"))
    with SimulatorServer(small(time_factor=FAST / 4)) as server:
        settings = {"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": server.url, "KLING_WIDGET_WORKSPACE": str(tmp_path)}
        command = [sys.executable, "-c", SCRIPT, call, str(picture)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **settings}
        ) as process:
            while not any(request.method == "GET" for request in server.simulator.requests):
                assert process.poll() is None
                background.run(asyncio.sleep(0.02))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        task = server.simulator.tasks[0]
        assert out == "interrupted\n"
        assert f"Stopped waiting. Generation {task.id} goes on" in err
        assert "Traceback" not in err
        later = kw.resume(task.id, api_key=KEY, base_url=server.url, workspace=tmp_path, progress=False)
        assert later.key == task.client_request_id  # the row the script wrote, not a stranger's
        assert later.wait(60).path.exists()
        assert len(server.simulator.tasks) == 1


def test_what_was_just_asked_for_is_not_seen_as_stopped_before_the_background_has_begun_with_it(submit: Submit) -> None:
    gate = threading.Event()
    background.call(gate.wait, 30)
    try:
        generation = submit()
        assert (generation.status, generation.active) == ("submitting", True)
    finally:
        gate.set()
    assert generation.wait(60).path.exists()
