"""``Gate``: where everything that asks one provider waits for its turn.

Submissions go before questions: what is asked for later is made later, and a question that waits loses nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from . import background
from .pacing import REQUESTS_PER_SECOND, Pacer, Slot


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
        self._serving = background.Service(self._serve)
        self._begin()
        background.in_child(self._begin)

    def _begin(self) -> None:
        """Nobody waits here; a fork's child has those who waited in its parent, and go on there."""
        self._waiting: tuple[deque[asyncio.Future[Slot]], ...] = (deque(), deque())  # those that go first, and the rest

    async def turn(self, *, first: bool = False) -> None:
        """Wait until it is our turn to ask; with `first` before everything that waits without it."""
        here = asyncio.get_running_loop()
        queue, mine = self._waiting[not first], here.create_future()
        queue.append(mine)
        while True:
            self._serving.wake()
            if self.pacer.stands(await mine):
                return
            mine = here.create_future()  # somebody was refused in just this moment
            queue.appendleft(mine)

    async def _serve(self) -> None:
        """Hand out one moment after the other, as long as anybody waits."""
        while self._next_queue() is not None:
            slot = self.pacer.slot(time.monotonic())
            await asyncio.sleep(max(slot.at - time.monotonic(), 0.0))
            if (queue := self._next_queue()) is not None:  # again: whoever goes first may have come meanwhile
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
