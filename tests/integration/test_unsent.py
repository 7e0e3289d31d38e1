"""What was certainly never sent is never told as perhaps accepted, and never sent after somebody stopped it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kling_widget import GenerationFailedError, RateLimitError, StoppedWatchingError, Studio, background, pending
from kling_widget.generation import Generation
from kling_widget.ledger import Ledger
from kling_widget.request import ImageToVideoRequest
from kling_widget.simulator import Fault, SimulatorServer
from tests.integration.conftest import KEY, Serve, studio_on, submissions
from tests.integration.simulator_fixtures import picture
from tests.integration.test_generation_property import clip
from tests.integration.test_generation_property import picture as small_picture
from tests.torture.books import Reply
from tests.torture.virtual import World

DEADLINE = 60.0


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(picture((640, 360)))
    return path


def until(is_so: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def keys(server: SimulatorServer) -> list[str]:
    return [each.headers["x-client-request-id"] for each in submissions(server)]


# The end of the process

SCRIPT = f"""
import sys, time, kling_widget as kw
from kling_widget import background
url, folder, picture, until = sys.argv[1:]
studio = kw.Studio(api_key={KEY!r}, base_url=url, workspace=folder)
if until == "nothing":
    background.call(time.sleep, 1)
generation = studio.submit(picture, "slow dolly in")
while until == "refused" and not generation.note:
    time.sleep(0.01)
while until == "told":
    if sys.stdin.readline():
        break
"""


def script(server: SimulatorServer, tmp_path: Path, until: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, server.url, str(tmp_path / "clips"), str(tmp_path / "cat.png"), until]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.usefixtures("each_database", "cat")
@pytest.mark.parametrize("when", ["nothing", "refused"])
def test_a_script_that_ends_before_it_was_sent_leaves_it_to_the_next_run(
    serve: Serve, tmp_path: Path, when: str
) -> None:
    server = serve()
    if when == "refused":
        server.simulator.faults.add(Fault("submit", "status_code", code=429, retry_after=30))
    process = script(server, tmp_path, when)
    _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert told.startswith("Python ended before everything was sent: 1 left, nothing was charged")
    assert len(told.splitlines()) == 1
    reached = keys(server)
    assert len(reached) == (when == "refused")
    studio = studio_on(server, tmp_path)
    [row] = studio.workspace.ledger.rows()
    assert (row.status, row.error_message) == ("rejected", "Python ended before it was sent.")
    assert (row.lease_owner, list(pending.rows(tmp_path / "clips"))) == (None, [])
    assert studio.take_up() == []
    again = studio.submit(tmp_path / "cat.png", "slow dolly in")
    assert again.wait(DEADLINE).path.exists()
    assert again.row.take == 1
    assert keys(server) == [*reached, again.key]


@pytest.mark.usefixtures("each_database", "cat")
def test_what_is_on_its_way_when_a_script_ends_is_looked_up_and_not_sent_again(serve: Serve, tmp_path: Path) -> None:
    server = serve(time_factor=60)
    server.simulator.faults.add(Fault("submit", "hang", seconds=30, accepted=True))
    ending = script(server, tmp_path, "told")
    until(lambda: server.simulator.tasks)
    ending.communicate("that is enough\n", timeout=DEADLINE)
    studio = studio_on(server, tmp_path)
    [row] = studio.workspace.ledger.rows()
    assert (row.status, row.generation_id) == ("submitting", None)
    again = studio.submit(tmp_path / "cat.png", "slow dolly in")
    assert again.wait(DEADLINE).path.exists()
    assert again.key == row.client_request_id
    assert len(submissions(server)) == 1


# Stop


def refused_once(studio: Studio, server: SimulatorServer, cat: Path) -> Generation:
    """One that waits for its second try, which would come after two seconds."""
    server.simulator.faults.add(Fault("submit", "status_code", code=429, retry_after=2))
    generation = studio.submit(cat, "slow dolly in")
    until(lambda: generation.note)
    return generation


def test_a_stop_between_two_tries_sends_no_second_one(studio: Studio, server: SimulatorServer, cat: Path) -> None:
    generation = refused_once(studio, server, cat)
    generation.stop()
    with pytest.raises(StoppedWatchingError, match="Stopped before it was sent") as caught:
        generation.wait(DEADLINE)
    assert not caught.value.may_have_cost
    assert "resume" not in str(caught.value)
    until(lambda: generation.status == "rejected")
    again = studio.submit(cat, "slow dolly in")  # leaves after the two seconds in which the other one would have
    assert again.wait(DEADLINE).path.exists()
    assert keys(server) == [generation.key, again.key]
    assert len(server.simulator.tasks) == 1


def test_a_stop_before_anything_left_sends_nothing_and_gives_the_take_back(
    studio: Studio, server: SimulatorServer, cat: Path
) -> None:
    gate = threading.Event()
    background.call(gate.wait, 30)
    generation = studio.submit(cat, "slow dolly in")
    generation.stop()  # before the background loop has begun with it
    gate.set()
    until(lambda: generation.status == "rejected")
    with pytest.raises(StoppedWatchingError):
        generation.wait(DEADLINE)
    generation.watch()
    with pytest.raises(GenerationFailedError, match="stopped before it was sent"):
        generation.wait(DEADLINE)
    assert submissions(server) == []
    assert studio.submit(cat, "slow dolly in").wait(DEADLINE).path.exists()
    assert studio.spending().total.clips == 1


def test_a_stop_while_a_try_is_under_way_that_is_refused_sends_no_other(tmp_path: Path) -> None:
    world = World(tmp_path / "clips", clip())
    with world.seams():
        try:
            world.vendor.expect("submit", Reply(status=429, seconds=10.0))
            generation = world.studio.submit(small_picture(), "slow dolly in", send_anyway=True)
            world.run(5.0)
            generation.stop()
            world.run(1.0)
            assert generation.active, "its answer might hold an id"
            world.run(1000.0)
            assert generation.status == "rejected"
            assert world.vendor.posts == {generation.key: ["busy"]}
        finally:
            world.close()


def test_a_kernel_that_slept_while_the_vendor_was_busy_does_not_send_what_another_one_has_taken_over(
    studio: Studio, server: SimulatorServer, cat: Path
) -> None:
    generation = refused_once(studio, server, cat)
    ledger = studio.workspace.ledger
    ledger.update(generation.key, lease_owner="elsewhere/1/x", lease_until=time.time() + 1000, status="unknown")
    background.call(studio.leases.let_go, generation.key)  # as the first heartbeat after the sleep would
    until(lambda: generation.status == "unknown")
    later = studio.submit(cat, "slow dolly out")  # leaves after the two seconds in which the second try would have
    assert later.wait(DEADLINE).path.exists()
    assert keys(server) == [generation.key, later.key]


# Ctrl-C and errors


def test_ctrl_c_just_after_the_row_was_written_leaves_it_to_the_same_call(
    studio: Studio, server: SimulatorServer, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_after(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        studio.submit(cat, "slow dolly in")
    [row] = studio.workspace.ledger.rows()
    generation = studio.submit(cat, "slow dolly in")
    assert generation.key == row.client_request_id
    assert generation.wait(DEADLINE).path.exists()
    assert keys(server) == [row.client_request_id]


def test_ctrl_c_under_a_key_that_others_may_have_too_leaves_it_to_be_looked_up(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_after(monkeypatch)
    request = ImageToVideoRequest(image_url="https://example.org/cat.png", prompt="slow dolly in")
    with pytest.raises(KeyboardInterrupt):
        studio.orders.place(request, {}, 1, None, client_request_id="kw-shared")
    assert studio.workspace.ledger.get("kw-shared") is not None
    assert not studio.orders.outbox.holds("kw-shared")


def interrupted_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes in the moment after the next row was committed."""
    admit = Ledger.admit

    def admit_once(self: Ledger, *args: object, **options: object) -> None:
        admit(self, *args, **options)  # type: ignore[arg-type]
        monkeypatch.setattr(Ledger, "admit", admit)
        raise KeyboardInterrupt

    monkeypatch.setattr(Ledger, "admit", admit_once)


def test_what_was_refused_for_good_is_over(studio: Studio, server: SimulatorServer, cat: Path) -> None:
    server.simulator.faults.add(Fault("submit", "status_code", code=429, retry_after=3600))
    generation = studio.submit(cat, "slow dolly in")
    with pytest.raises(RateLimitError):
        generation.wait(DEADLINE)
    assert generation.status == "rejected"
    assert not studio.orders.outbox.holds(generation.key)
