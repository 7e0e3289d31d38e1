"""One budget of requests a second for everything that asks the same provider; and less of it when the provider says so.

The decisions are pure: time comes in as an argument. Who waits, waits at a `Gate`.
"""

from __future__ import annotations

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
