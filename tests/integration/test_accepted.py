"""What was accepted is paid for: nothing says otherwise, and its id outlives the folder it was asked for in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kling_widget.simulator import Fault
from tests.integration.conftest import Serve, studio_on, submissions
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0


@pytest.fixture
def cat() -> bytes:
    return picture((640, 360))


def until(is_so: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


# The folder goes away

WAYS: dict[str, Callable[[Path], object]] = {
    "deleted": shutil.rmtree,
    "moved": lambda folder: folder.rename(folder.with_name("moved")),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_workspace_that_is_gone_while_it_is_sent_loses_no_id(
    serve: Serve, cat: bytes, tmp_path: Path, way: str
) -> None:
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=2, accepted=True))
    studio = studio_on(server, tmp_path)
    generation = studio.submit(cat, "slow dolly in")
    until(lambda: server.simulator.tasks)
    WAYS[way](tmp_path / "clips")
    assert generation.wait(DEADLINE).path.exists()
    assert generation.id == server.simulator.tasks[0].id
    assert studio_on(server, tmp_path).submit(cat, "slow dolly in").wait(DEADLINE) == generation.video
    assert len(submissions(server)) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_workspace_that_is_gone_while_it_is_made_loses_no_video(
    serve: Serve, cat: bytes, tmp_path: Path, way: str
) -> None:
    server = serve(time_factor=60)
    studio = studio_on(server, tmp_path)
    generation = studio.submit(cat, "slow dolly in")
    until(lambda: generation.status == "generating")
    WAYS[way](tmp_path / "clips")
    assert generation.wait(DEADLINE).path.exists()
    assert [each.id for each in studio_on(server, tmp_path).generations()] == [generation.id]
    assert len(submissions(server)) == 1


def test_what_was_stopped_before_its_workspace_was_deleted_is_watched_again(
    serve: Serve, cat: bytes, tmp_path: Path
) -> None:
    server = serve(time_factor=60)
    generation = studio_on(server, tmp_path).submit(cat, "slow dolly in")
    until(lambda: generation.id is not None)
    generation.stop()
    until(lambda: generation.status == "stopped")
    shutil.rmtree(tmp_path / "clips")
    generation.watch()
    assert generation.wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 1


def test_what_was_asked_for_again_meanwhile_holds_the_take(serve: Serve, cat: bytes, tmp_path: Path) -> None:
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=2, accepted=True))
    first = studio_on(server, tmp_path).submit(cat, "slow dolly in")
    until(lambda: server.simulator.tasks)
    shutil.rmtree(tmp_path / "clips")
    second = studio_on(server, tmp_path).submit(cat, "slow dolly in")  # nothing tells of the first one any more
    assert first.wait(DEADLINE).path != second.wait(DEADLINE).path
    third = studio_on(server, tmp_path)
    assert {each.id for each in third.generations()} == {task.id for task in server.simulator.tasks}
    assert third.submit(cat, "slow dolly in").wait(DEADLINE) == second.video
    assert len(submissions(server)) == 2
