"""One budget of requests a second for everything that asks the same provider; and less of it when the provider says so.

Submissions go before questions: what is asked for later is made later, and a question that waits loses nothing.
The decisions are pure: time comes in as an argument. Only a `Gate` waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

REQUESTS_PER_SECOND = 100.0  # the vendor names no limit; fal-client asks that often for ten generations
AT_ONCE = 20  # requests that may leave together after a pause: a few generations must not wait for one another
SLOWEST = 0.2  # requests a second, however often we are refused
RECOVERY = 60.0  # seconds after a refusal until the full budget is used again
HOLD = 1.0  # seconds nobody asks after a refusal that names no time
LONGEST_HOLD = 60.0  # seconds; who asks for more means the one request, which obeys


class Slot(NamedTuple):
    """A moment to ask at, taken from the budget."""

    at: float
    refusals: int


class Pacer:
    """Who may ask when. Times are seconds on any clock that only goes forward.

    Parameters
    ----------
    limit
        Requests a second.
    """

    def __init__(self, limit: float = REQUESTS_PER_SECOND) -> None:
        self.limit = limit
        self._at_once = float(AT_ONCE)
        self._low, self._since = limit, -RECOVERY  # the rate after the last refusal, and when that was
        self._next = self._held_until = 0.0
        self._refusals = 0

    def rate(self, now: float) -> float:
        """Requests a second at this time: halved by a refusal, and back within a minute."""
        back = min(max(now - self._since, 0.0) / RECOVERY, 1.0)
        return self._low + (self.limit - self._low) * back

    def share(self, processes: int) -> None:
        """Take a part of the budget only: so many processes ask the same provider."""
        self.limit, self._at_once = REQUESTS_PER_SECOND / processes, max(AT_ONCE / processes, 1.0)
        self._low = min(self._low, self.limit)

    def slot(self, now: float) -> Slot:
        """Take the next free moment to ask; up to `AT_ONCE` of them are now, after a pause."""
        if now < self._held_until:
            at = self._next = max(self._next, self._held_until)  # and then one after the other
        else:
            self._next = max(self._next, now - (self._at_once - 1) / self.rate(now), self._held_until)
            at = max(self._next, now)
        self._next += 1 / self.rate(at)
        return Slot(at, self._refusals)

    def stands(self, slot: Slot) -> bool:
        """Whether a moment taken earlier still is one to ask at: nobody was refused meanwhile."""
        return slot.refusals == self._refusals

    def refused(self, now: float, retry_after: float | None = None) -> None:
        """The provider answered 429: nobody asks for as long as it says, and then half as often.

        Parameters
        ----------
        now
            When the answer came.
        retry_after
            Seconds it asked for.
        """
        if now >= self._held_until:  # else it was under way when another one was refused
            self._low, self._since = max(self.rate(now) / 2, SLOWEST), now
        hold = min(HOLD if retry_after is None else retry_after, LONGEST_HOLD)
        self._held_until = max(self._held_until, now + hold)
        self._refusals += 1
        self._next = 0.0  # all slots are taken anew


class Gate:
    """A `Pacer` on the clock, shared by everything in this process that asks one provider.

    Attributes
    ----------
    on_refusal
        Called with the seconds the provider asked for when it refuses this process; tells other processes.
    """

    def __init__(self, limit: float = REQUESTS_PER_SECOND) -> None:
        self.pacer = Pacer(limit)
        self.on_refusal: Callable[[float | None], object] = lambda retry_after: None
        self._waiting: tuple[deque[asyncio.Future[Slot]], ...] = (deque(), deque())  # those that go first, and the rest
        self._serving: asyncio.Task[None] | None = None

    async def turn(self, *, first: bool = False) -> None:
        """Wait until it is our turn to ask; with `first` before everything that waits without it."""
        here = asyncio.get_running_loop()
        if self._serving is not None and self._serving.get_loop() is not here:  # the loop before a fork: nobody serves
            self._waiting, self._serving = (deque(), deque()), None
        queue, mine = self._waiting[not first], here.create_future()
        queue.append(mine)
        while True:
            if self._serving is None or self._serving.done():
                self._serving = here.create_task(self._serve())
            if self.pacer.stands(await mine):
                return
            mine = here.create_future()  # somebody was refused in just this moment
            queue.appendleft(mine)

    async def _serve(self) -> None:
        """Hand out one moment after the other, as long as anybody waits."""
        while self._next_queue() is not None:
            slot = self.pacer.slot(time.monotonic())
            await asyncio.sleep(max(slot.at - time.monotonic(), 0.0))
            if self.pacer.stands(slot) and (queue := self._next_queue()) is not None:
                queue.popleft().set_result(slot)

    def _next_queue(self) -> deque[asyncio.Future[Slot]] | None:
        """Where the one waits whose turn it is; who was cancelled meanwhile is forgotten."""
        for queue in self._waiting:
            while queue and queue[0].done():
                queue.popleft()
            if queue:
                return queue
        return None

    def refused(self, retry_after: float | None) -> None:
        """The provider answered 429."""
        self.hear(retry_after)
        self.on_refusal(retry_after)

    def hear(self, retry_after: float | None) -> None:
        """The provider answered 429 to another process that shares the budget."""
        self.pacer.refused(time.monotonic(), retry_after)


_gates: dict[str, Gate] = {}


def gate_of(provider: str) -> Gate:
    """The one gate of a provider in this process."""
    return _gates.setdefault(provider, Gate())
