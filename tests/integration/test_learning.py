"""What is learned of how long it takes, and the budget of requests that all share, over real HTTP."""

from __future__ import annotations

import asyncio
import time

import pytest

from kling_widget import Client, RateLimitError
from kling_widget.gate import Gate
from kling_widget.simulator import Fault
from tests.integration.conftest import KEY, studio_on
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0


def test_what_was_watched_is_learned_between_the_two_answers(serve, tmp_path):
    server = serve(time_factor=93)  # two seconds a clip
    studio = studio_on(server, tmp_path)
    made = studio.submit(picture(), "slow dolly in")
    made.wait(DEADLINE)
    row, [task] = made.row, server.simulator.tasks
    assert row.took is not None
    assert row.took < row.completed - row.accepted
    assert task.total_seconds * 0.6 < row.took
    assert studio.workspace.ledger.durations(server.url, 5) == [pytest.approx(row.took * 93)]
    assert studio.expectation(row).median != pytest.approx(2.0, rel=1e-6)


def test_what_was_not_watched_all_the_while_is_not_learned(serve, tmp_path):
    server = serve(time_factor=93)
    first = studio_on(server, tmp_path)
    made = first.submit(picture(), "slow dolly in")
    until = time.monotonic() + DEADLINE
    while made.id is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    made.stop()
    while made.active:
        assert time.monotonic() < until
        time.sleep(0.01)
    [taken_up] = studio_on(server, tmp_path).take_up()
    taken_up.wait(DEADLINE)
    assert taken_up.row.took is None
    assert first.workspace.ledger.durations(server.url, 5) == []


def test_what_the_log_found_was_accepted_when_the_log_says(studio, server, tmp_path):
    server.simulator.faults.add(Fault("submit", "drop_after"))
    made = studio.submit(picture(), "slow dolly in")
    made.wait(DEADLINE)
    [task] = server.simulator.tasks
    assert made.row.accepted == pytest.approx(max(task.created, made.row.created), abs=0.01)
    assert made.row.took is None


async def test_one_refusal_slows_all_who_share_the_budget(server):
    gate = Gate(50.0)
    server.simulator.faults.add(Fault("retrieve", "status_code", code=429, retry_after=2))
    async with Client(KEY, server.url, gate=gate) as one, Client(KEY, server.url, gate=gate) as other:
        with pytest.raises(RateLimitError):
            await one.retrieve("x")
        refused, before = time.monotonic(), len(server.simulator.requests)
        asking = [asyncio.ensure_future(client.balance()) for client in (one, other, one, other)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED, timeout=DEADLINE)
        assert time.monotonic() - refused > 1.9  # Retry-After; nobody came before
        await asyncio.gather(*asking)
        assert len(server.simulator.requests) == before + 4
    assert gate.pacer.rate(time.monotonic()) < 30


async def test_the_budget_holds_for_many_at_once(server):
    gate = Gate(40.0)
    async with Client(KEY, server.url, gate=gate) as client:
        began = time.monotonic()
        await asyncio.gather(*(client.balance() for _ in range(60)))
        assert time.monotonic() - began >= 0.9 * (60 - 20) / 40
