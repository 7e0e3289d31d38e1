"""What was accepted is paid for: nothing says otherwise, and its id outlives the folder it was asked for in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import kling_widget as kw
from kling_widget import Studio, SubmissionUnknownError, polling, retry
from kling_widget.generation import Generation
from kling_widget.ledger import Ledger
from kling_widget.simulator import Fault, SimulatorServer
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


# What is said of it


def says_what_it_is(error: kw.KlingError, generation_id: str | None) -> None:
    assert (error.generation_id, error.may_have_cost) == (generation_id, True)
    assert "Nothing was charged" not in str(error)
    assert f"kw.resume({generation_id!r}) looks again" in error.hint


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_question_that_is_refused_says_nothing_of_what_was_paid(
    studio: Studio, server: SimulatorServer, cat: bytes, code: int
) -> None:
    server.simulator.faults.add(Fault("retrieve", "status_code", code=code, times=None))
    generation = studio.submit(cat, "slow dolly in")
    with pytest.raises(kw.KlingError) as caught:
        generation.wait(DEADLINE)
    says_what_it_is(caught.value, generation.id)
    assert f"({code})" in str(caught.value)
    server.simulator.faults.clear()
    assert studio.resume(str(generation.id)).wait(DEADLINE).path.exists()
    assert len(submissions(server)) == 1


@pytest.mark.parametrize("code", [401, 403, 404])
def test_nor_does_one_for_the_address_of_a_video_that_is_ready(
    studio: Studio, server: SimulatorServer, cat: bytes, code: int
) -> None:
    server.simulator.faults.add(Fault("download", "expired", times=None))
    generation = studio.submit(cat, "slow dolly in")

    def refuse(changed: kw.Generation) -> None:
        if changed.row.status == "completed":
            server.simulator.faults.add(Fault("retrieve", "status_code", code=code, times=None))

    generation.on_change(refuse)
    with pytest.raises(kw.KlingError) as caught:
        generation.wait(DEADLINE)
    says_what_it_is(caught.value, generation.id)


def test_an_id_that_nobody_knows_is_not_called_accepted(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "SLOWEST", 0.5)
    generation = studio.resume("bA23_a-slip-of-the-pen")
    with pytest.raises(kw.InvalidRequestError, match="If the id is right, the clip goes on") as caught:
        generation.wait(DEADLINE)
    says_what_it_is(caught.value, "bA23_a-slip-of-the-pen")


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_a_log_that_may_not_be_read_leaves_open_what_was_paid(
    studio: Studio, server: SimulatorServer, cat: bytes, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "LOOKUP_DELAYS", (0.01,))
    refusal = Fault("logs", "status_code", code=code, times=None, message="No access to logs")
    server.simulator.faults.add(Fault("submit", "drop_after"), refusal)
    generation = studio.submit(cat, "slow dolly in")
    with pytest.raises(SubmissionUnknownError, match="No access to logs") as caught:
        generation.wait(DEADLINE)
    assert caught.value.may_have_cost
    assert caught.value.client_request_id == generation.key
    assert "Nothing was charged" not in str(caught.value)
    assert generation.status == "unknown"
    server.simulator.faults.clear()
    assert caught.value.resolve(DEADLINE).path.exists()
    assert len(submissions(server)) == 1


async def test_a_question_of_a_plain_client_says_nothing_of_money_either(server: SimulatorServer) -> None:
    async with kw.Client("sk-wrong", server.url) as client:
        with pytest.raises(kw.AuthenticationError) as caught:
            await client.retrieve("some-id")
    assert "charged" not in str(caught.value)


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


def deleted_while_it_is_accepted(serve: Serve, cat: bytes, tmp_path: Path) -> tuple[SimulatorServer, Generation]:
    """The vendor has it, its answer is on its way, and the workspace is gone."""
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=2, accepted=True))
    generation = studio_on(server, tmp_path).submit(cat, "slow dolly in")
    until(lambda: server.simulator.tasks)
    shutil.rmtree(tmp_path / "clips")
    return server, generation


def test_what_was_asked_for_again_meanwhile_holds_the_take(serve: Serve, cat: bytes, tmp_path: Path) -> None:
    server, first = deleted_while_it_is_accepted(serve, cat, tmp_path)
    second = studio_on(server, tmp_path).submit(cat, "slow dolly in")  # nothing tells of the first one any more
    assert first.wait(DEADLINE).path != second.wait(DEADLINE).path
    third = studio_on(server, tmp_path)
    assert {each.id for each in third.generations()} == {task.id for task in server.simulator.tasks}
    assert third.submit(cat, "slow dolly in").wait(DEADLINE) == second.video
    assert len(submissions(server)) == 2


def test_where_nothing_can_be_written_any_more_the_error_names_the_id(serve: Serve, cat: bytes, tmp_path: Path) -> None:
    server, generation = deleted_while_it_is_accepted(serve, cat, tmp_path)
    (tmp_path / "clips").write_text("a file lies where the folder was")
    with pytest.raises(kw.KlingError) as caught:
        generation.wait(DEADLINE)
    says_what_it_is(caught.value, server.simulator.tasks[0].id)
    assert "Nothing was submitted" not in str(caught.value)


def test_an_error_that_nobody_thought_of_names_the_id(
    serve: Serve, cat: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(time_factor=60)
    generation = studio_on(server, tmp_path).submit(cat, "slow dolly in")
    until(lambda: generation.id is not None)

    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Ledger, "update", fails)
    with pytest.raises(kw.KlingError, match="ZeroDivisionError") as caught:
        generation.wait(DEADLINE)
    assert (caught.value.generation_id, caught.value.may_have_cost) == (generation.id, True)
