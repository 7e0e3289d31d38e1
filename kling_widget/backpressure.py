"""How many generations of a batch may be under way at once. How often anything is asked is `pacing.py`'s."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TypeVar

from . import background

T = TypeVar("T")


class Window:
    """How many may be under way at once, as the vendor lets us learn it. No clock, no loop.

    A submission that is refused with 429 narrows it to what is under way; generations that succeed widen it again, one
    by one, and a refusal after a success doubles how many that takes. So a limit the vendor has is found, and seldom
    asked for; several that are refused together are one refusal.

    Parameters
    ----------
    most
        Where it begins, and what it never exceeds.
    """

    def __init__(self, most: int) -> None:
        self.size = most
        self._most = most
        self._needed = 2  # ours: successes until it is widened
        self._seen = 0
        self._again = False  # whether something was made since the last refusal

    def refused(self, under_way: int) -> None:
        """The vendor took so many and not one more."""
        self.size = max(1, min(self.size, under_way))
        self._needed *= 2 if self._again else 1
        self._seen, self._again = 0, False

    def succeeded(self) -> None:
        """One more was made."""
        self._seen, self._again = self._seen + 1, True
        if self.size < self._most and self._seen >= self._needed:
            self.size, self._seen = self.size + 1, 0


class Turnstile:
    """Lets in as many as the window is wide. On the background loop only.

    Parameters
    ----------
    window
        How many.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.inside = 0
        self._refused = 0  # were inside, and wait for another try: before anybody new
        self._shut = asyncio.Event()
        self._moved = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether anybody new is let in."""
        return not self._shut.is_set()

    async def enter(self) -> bool:
        """Wait for room; False when nobody new is let in any more."""
        while self.is_open and (self._refused or self.inside >= self.window.size):
            await self._moved.wait()
        self.inside += self.is_open
        return self.is_open

    async def enter_again(self, pause: float) -> bool:
        """Out with one that was refused, and in again after `pause` seconds and when there is room; False as above."""
        self.inside -= 1
        self._refused += 1
        self.window.refused(self.inside)
        self._wake()
        try:
            await background.happens(self._shut, pause)
            while self.is_open and self.inside >= self.window.size:
                await self._moved.wait()
            return self.is_open
        finally:
            self._refused -= 1
            self.inside += 1
            self._wake()

    async def unless_closed(self, future: Future[T]) -> T | None:
        """What a future gives; None where nobody new is let in any more before it does."""
        return await background.unless(self._shut, future)

    def widen(self, size: int) -> None:
        """So many from now on."""
        self.window.size = size
        self._wake()

    def leave(self, *, succeeded: bool = False) -> None:
        """One is over."""
        self.inside -= 1
        if succeeded:
            self.window.succeeded()
        self._wake()

    def close(self) -> None:
        """Let nobody new in."""
        self._shut.set()
        self._wake()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
