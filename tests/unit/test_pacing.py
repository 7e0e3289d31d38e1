"""One budget of requests for all generations: on a clock that jumps, so nothing here waits."""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from kling_widget import pacing
from kling_widget.gate import Gate, gate_of
from kling_widget.pacing import AT_ONCE, Pacer, Slot
from tests.torture.virtual import Clock, VirtualLoop, patched_time


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    clock.advance(1000.0)
    with patched_time(clock):
        yield clock


def all_ask(clock: Clock, gate: Gate, how_many: int, refuse: dict[int, float] | None = None) -> list[float]:
    """Seconds at which so many that begin together may ask; the how-manieth is answered 429, with its Retry-After."""
    asked: list[float] = []

    async def one() -> None:
        await gate.turn()
        asked.append(clock.monotonic() - 1000.0)
        retry_after = (refuse or {}).get(len(asked))
        if retry_after is not None:
            gate.refused(retry_after)

    async def everybody() -> None:
        await asyncio.gather(*(one() for _ in range(how_many)))

    run(clock, everybody())
    return asked


def run(clock: Clock, what: Coroutine[Any, Any, object]) -> None:
    """On a loop of its own."""
    loop = VirtualLoop(clock)
    try:
        loop.run_until_complete(what)
    finally:
        loop.close()


def most_in(window: float, asked: list[float]) -> int:
    """The most requests in any stretch of so many seconds."""
    return max(bisect_left(asked, at + window) - i for i, at in enumerate(asked))


def test_a_thousand_at_once_never_ask_more_often_than_the_budget(clock: Clock) -> None:
    asked = all_ask(clock, Gate(50.0), 1000)
    assert len(asked) == 1000
    assert most_in(1.0, asked) <= 50 + AT_ONCE
    assert asked[-1] == pytest.approx((1000 - AT_ONCE) / 50, abs=0.5)  # and no longer than needed


def test_a_few_do_not_wait_for_one_another(clock: Clock) -> None:
    assert all_ask(clock, Gate(1.0), AT_ONCE)[-1] == 0.0


def test_a_refusal_holds_everybody_for_as_long_as_it_says_and_then_they_ask_half_as_often(clock: Clock) -> None:
    asked = all_ask(clock, Gate(10.0), 200, refuse={50: 5.0})
    refused = asked[49]
    after = [at - refused for at in asked[50:]]
    assert after[0] == pytest.approx(5.0)
    assert most_in(1.0, after[:20]) <= 7  # 10 a second before
    assert asked == sorted(asked)


def test_a_submission_goes_before_the_questions_that_wait_and_takes_its_place_in_the_budget(clock: Clock) -> None:
    gate, asked = Gate(10.0), list[tuple[str, float]]()

    async def one(what: str, first: bool, begins: float) -> None:
        await asyncio.sleep(begins)
        await gate.turn(first=first)
        asked.append((what, clock.monotonic() - 1000.0))

    async def everybody() -> None:
        questions = [asyncio.ensure_future(one("question", False, 0.0)) for _ in range(200)]
        submissions = [asyncio.ensure_future(one("submission", True, begins)) for begins in (1.0, 1.0, 5.0)]
        await asyncio.sleep(0.5)
        questions.pop().cancel()  # whoever stops to wait takes nobody's turn
        await asyncio.gather(*questions, *submissions)

    run(clock, everybody())
    for begins, at in zip((1.0, 1.0, 5.0), [at for what, at in asked if what == "submission"], strict=True):
        assert begins <= at <= begins + 0.3  # at most the two next moments, a tenth of a second apart
    assert most_in(1.0, [at for _, at in asked[AT_ONCE:]]) <= 11
    assert len(asked) == 202
    assert asked[-1][1] == pytest.approx((202 - AT_ONCE) / 10, abs=0.5)


def test_whose_turn_comes_in_the_moment_of_a_refusal_is_held_too_and_keeps_its_place(clock: Clock) -> None:
    class RefusedRightAfter(Pacer):
        """Somebody is refused once the first turn after the pause was given, before whose turn it is goes on."""

        refusals_left = 1

        def stands(self, slot: Slot) -> bool:
            if slot.at > 1000.05 and self.refusals_left:
                self.refusals_left = 0
                self.refused(clock.monotonic(), 5.0)
            return super().stands(slot)

    gate, asked = Gate(), list[tuple[int, float]]()
    gate.pacer = RefusedRightAfter(10.0)

    async def one(number: int) -> None:
        await gate.turn()
        asked.append((number, clock.monotonic() - 1000.0))

    async def everybody() -> None:
        await asyncio.gather(*(one(number) for number in range(AT_ONCE + 3)))

    run(clock, everybody())
    assert [number for number, _ in asked] == list(range(AT_ONCE + 3))
    assert asked[AT_ONCE - 1][1] == 0.0
    assert asked[AT_ONCE][1] == pytest.approx(5.1)  # a tenth of a second after the last of the first, and then held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_gate_serves_a_forked_child_whatever_waits_in_its_parent(clock: Clock) -> None:
    gate, parents = Gate(1.0), VirtualLoop(clock)

    async def leave() -> list[asyncio.Future[None]]:
        waiting = [asyncio.ensure_future(gate.turn()) for _ in range(AT_ONCE + 1)]
        await asyncio.sleep(0.1)
        return waiting

    waiting = parents.run_until_complete(leave())
    assert not waiting[-1].done()
    child = os.fork()
    if child == 0:
        clock.advance(100.0)
        run(clock, gate.turn())
        os._exit(0 if not waiting[-1].done() else 1)
    assert os.waitpid(child, 0)[1] == 0
    parents.run_until_complete(asyncio.wait(waiting))
    parents.close()


def test_it_recovers(clock: Clock) -> None:
    pacer = Pacer(10.0)
    pacer.refused(0.0, 1.0)
    pacer.refused(0.1, 1.0)  # was under way: the same refusal
    assert pacer.rate(0.1) == pytest.approx(5.0, rel=0.05)
    pacer.refused(2.0)
    assert pacer.rate(2.0) < 3.0
    assert pacer.rate(2.0 + pacing.RECOVERY) == 10.0


def test_processes_that_share_a_budget_ask_together_no_more_often_than_one_alone(clock: Clock) -> None:
    one, several = Gate(), [Gate() for _ in range(4)]
    for gate in several:
        gate.pacer.share(4)
    alone = all_ask(clock, one, 400)
    clock.advance(1000.0)
    together = sorted(at for gate in several for at in shared(gate, 100))
    assert sum(gate.pacer.limit for gate in several) == pytest.approx(pacing.REQUESTS_PER_SECOND)
    assert most_in(1.0, together) <= most_in(1.0, alone) + len(several)
    several[0].pacer.share(1)  # the others have gone
    assert several[0].pacer.rate(1e9) == pacing.REQUESTS_PER_SECOND


def shared(gate: Gate, how_many: int) -> list[float]:
    """Seconds at which one of several processes may ask."""
    return [gate.pacer.slot(0.0).at for _ in range(how_many)]


def test_no_refusal_stops_everything_for_good(clock: Clock) -> None:
    pacer = Pacer(10.0)
    for second in range(0, 5000, 50):
        pacer.refused(float(second), 1e9 if second % 100 else None)
    assert pacer.slot(5000.0).at <= 5000.0 + pacing.LONGEST_HOLD
    assert pacer.rate(5000.0) >= pacing.SLOWEST


def test_everything_that_asks_one_provider_shares_a_budget() -> None:
    assert gate_of("https://a.example") is gate_of("https://a.example")
    assert gate_of("https://a.example") is not gate_of("https://b.example")
