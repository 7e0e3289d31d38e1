"""When to ask next, and how long it will take. Pure decisions: no clock, no network, no sleep.

How often to look for something that happens at a random time, where looking costs: at a rate proportional to the square
root of its hazard (Keller 1974, "Optimum checking schedules for systems subject to random failure"; for single looks
Barlow and Proschan 1965). docs/architecture.md, "When to ask", has the reasons and the figures.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

MEDIAN_5S = 186.0  # seconds for a 5 s clip; the vendor's sample run took 3 min 6 s
MEDIAN_10S = 2 * MEDIAN_5S  # a guess until the ledger knows better: twice the frames
PRIOR_SPREAD = 0.35  # standard deviation of log(time) before anything is known: a guess, wide on purpose
PRIOR_WEIGHT, PRIOR_SPREAD_WEIGHT = 0.25, 2.0  # how many observed generations its median and its spread count for

PRICE = 1 / 900  # what a question costs: as much as being late by that share of the usual time, 0.2 s of 3 min
FIRST_LOOK = 0.05  # share of the usual time: what the vendor's filter refuses, it refuses early
FASTEST, SLOWEST = 0.3, 120.0  # seconds between two questions, however sure we are
TAIL = 1 / 50  # past the 99.5th percentile wait that share of the time so far: nobody knows any more
WATCH_FOR = 6 * 3600.0  # seconds after which we stop watching (never "failed"); the vendor's sample gives up after 1000

MEMORIES = (1.0, 8.0, 150.0)  # generations; each memory foretells from about so many of the latest
SPREAD_MEMORY = 200.0  # generations that a memory's spread is made of: a spread learned from fewer is worth little
SHIFTS = 0.002  # probability that another memory is the right one from now on; decided in simulation
SURPRISES = 0.002  # share of generations that no memory foretells
SURPRISE = 0.7  # spread of log(time) of these: half to double the usual, and beyond
NARROWEST = 0.02  # spread of log(time): we never know it better than that
CLIPPED = 3.0  # standard deviations; what lies further out widens a spread no further

_REACH = 4.0  # standard deviations on both sides that the plan covers
_CELLS = 40  # of the plan, for each part


@dataclass(frozen=True)
class LogNormal:
    """One guess at how long it takes.

    Parameters
    ----------
    median
        Seconds from acceptance to ready.
    spread
        Standard deviation of log(seconds).
    weight
        How far it is trusted, 0 to 1.
    """

    median: float
    spread: float
    weight: float = 1.0

    def survival(self, seconds: float) -> float:
        """Probability that it is not ready by then."""
        return 0.5 * math.erfc(math.log(seconds / self.median) / self.spread / math.sqrt(2)) if seconds > 0 else 1.0

    def at(self, deviations: float) -> float:
        """Seconds at so many standard deviations from the median."""
        return self.median * math.exp(self.spread * deviations)


@dataclass(frozen=True)
class Expectation:
    """How long a generation takes: a mixture of log-normal distributions.

    Parameters
    ----------
    parts
        The guesses; their weights sum to 1.
    price
        What a question costs: as much as being late by this share of the usual time.
    """

    parts: tuple[LogNormal, ...]
    price: float = PRICE

    def survival(self, seconds: float) -> float:
        """Probability that it is not ready by then."""
        return sum(part.weight * part.survival(seconds) for part in self.parts)

    def quantile(self, share: float) -> float:
        """Seconds within which that share of all generations is ready."""
        low, high = min(part.at(-8) for part in self.parts), max(part.at(8) for part in self.parts)
        for _ in range(40):  # halves of the logarithm: far more exact than anything known
            middle = math.sqrt(low * high)
            low, high = (middle, high) if self.survival(middle) > 1 - share else (low, middle)
        return high

    @cached_property
    def median(self) -> float:
        """Seconds within which half of them are ready."""
        return self.quantile(0.5)

    @cached_property
    def late(self) -> float:
        """Seconds within which nine in ten are ready."""
        return self.quantile(0.9)

    @cached_property
    def _tail(self) -> float:
        return self.quantile(0.995)

    @cached_property
    def _plan(self) -> tuple[list[float], list[float]]:
        """Times, and how many questions should have been asked by then; they come at each whole number.

        Asking at the rate r(t) takes ∫ r·S questions and comes ∫ f / 2r too late on average (f: density, S: survival).
        With the price c of a question, the sum of both costs is least for r = √(f / 2cS).
        """
        times = sorted({part.at(_REACH * (2 * i / _CELLS - 1)) for part in self.parts for i in range(_CELLS + 1)})
        survival = [self.survival(seconds) for seconds in times]
        scale, asked = 1 / math.sqrt(2 * self.price * self.median), [0.0]
        for i in range(1, len(times)):
            seconds, ready = times[i] - times[i - 1], max(survival[i - 1] - survival[i], 0.0)
            waiting = max((survival[i - 1] + survival[i]) / 2, 1e-300)
            asked.append(asked[-1] + scale * math.sqrt(ready * seconds / waiting))
        return times, asked

    def following(self, elapsed: float, steps: float = 1.0) -> float:
        """Seconds from `elapsed` to the next question, or to one `steps` later; infinite past all that is expected."""
        times, asked = self._plan
        at = _interpolated(elapsed, times, asked) + steps
        return _interpolated(at, asked, times) - elapsed if at < asked[-1] else math.inf


def _interpolated(x: float, xs: list[float], ys: list[float]) -> float:
    i = bisect_right(xs, x)
    if i in (0, len(xs)):
        return ys[min(i, len(xs) - 1)]
    return ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / (xs[i] - xs[i - 1])


def expect(
    duration: int | None, known: Sequence[float] = (), time_factor: float = 1.0, price: float = PRICE
) -> Expectation:
    """What to expect of a generation, from the vendor's sample and from what was seen.

    Parameters
    ----------
    duration
        Length of the clip in seconds (5 or 10; None means the vendor's default, 5).
    known
        Vendor's seconds that earlier generations of this length took, the latest last.
    time_factor
        How much faster than the vendor the simulator runs; 1 for the vendor.
    price
        What a question costs: as much as being late by this share of the usual time.
    """
    return _expected(MEDIAN_10S if duration == 10 else MEDIAN_5S, tuple(known), time_factor, price)


@lru_cache(maxsize=16)  # a thousand that begin together expect the same, and share one plan
def _expected(median: float, known: tuple[float, ...], time_factor: float, price: float) -> Expectation:
    learner = Learner(median)
    for seconds in known:
        learner.learn(seconds)
    return learner.expectation(time_factor, price)


class Learner:
    """Several memories, short and long, each trusted as far as it foretold what came (Herbster and Warmuth 1998,
    "Tracking the best expert"). So a vendor who is suddenly twice as fast is noticed after two generations, and
    hundreds of equal ones are still made use of.

    Parameters
    ----------
    median
        Seconds, before anything is known.
    """

    def __init__(self, median: float) -> None:
        self._seen = 0
        self._centres = [math.log(median)] * len(MEMORIES)
        self._variances = [PRIOR_SPREAD**2 / (1 + 1 / PRIOR_WEIGHT)] * len(MEMORIES)  # around the centre
        self._trust = [1 / len(MEMORIES)] * len(MEMORIES)

    def learn(self, seconds: float) -> None:
        """Take in how long the next one took."""
        if not 0.1 <= seconds <= 10 * WATCH_FOR:  # nonsense; also of NaN
            return
        log = math.log(seconds)
        self._judge(log)
        for i, weight in enumerate(self._weights()):
            error, variance = log - self._centres[i], self._variances[i]
            square = min(error * error * weight / (weight + 1), CLIPPED**2 * variance)
            variance += (square - variance) / min(SPREAD_MEMORY, self._seen + 1 + PRIOR_SPREAD_WEIGHT)
            self._variances[i] = max(variance, NARROWEST**2)
        self._seen += 1
        for i, weight in enumerate(self._weights()):
            self._centres[i] += (log - self._centres[i]) / weight

    def _weights(self) -> list[float]:
        """How many generations each memory's centre is made of."""
        return [min(memory, self._seen + PRIOR_WEIGHT) for memory in MEMORIES]

    def _spreads(self) -> list[float]:
        """How far the next one lies from the centres, which are uncertain themselves."""
        pairs = zip(self._variances, self._weights(), strict=True)
        return [math.sqrt(variance * (1 + 1 / weight)) for variance, weight in pairs]

    def _judge(self, log: float) -> None:
        # A surprise is nobody's fault: it is as likely with each of them, and trust hardly changes.
        surprise = SURPRISES * _density(log, self._centres[-1], SURPRISE) + 1e-300
        shares = [
            trust * ((1 - SURPRISES) * _density(log, centre, spread) + surprise)
            for trust, centre, spread in zip(self._trust, self._centres, self._spreads(), strict=True)
        ]
        total = sum(shares)
        self._trust = [(1 - SHIFTS) * share / total + SHIFTS / len(shares) for share in shares]

    def expectation(self, time_factor: float = 1.0, price: float = PRICE) -> Expectation:
        """What to expect of the next one, of a provider that runs so much faster than the vendor."""
        medians = [math.exp(centre) / time_factor for centre in self._centres]
        parts = [
            LogNormal(median, spread, (1 - SURPRISES) * trust)
            for median, spread, trust in zip(medians, self._spreads(), self._trust, strict=True)
        ]
        return Expectation((*parts, LogNormal(medians[-1], SURPRISE, SURPRISES)), price)


def _density(x: float, centre: float, spread: float) -> float:
    return math.exp(-0.5 * ((x - centre) / spread) ** 2) / spread


def next_delay(elapsed: float, expected: Expectation, jitter: float, retry_after: float | None = None) -> float:
    """Seconds until the next question.

    One early look; then none while it can't be ready, dense where it probably becomes ready, ever sparser in the tail.

    Parameters
    ----------
    elapsed
        Seconds since the generation was accepted.
    expected
        How long such a generation takes.
    jitter
        A random number from 0 to 1: generations that began together must not ask together.
    retry_after
        Seconds the vendor asked for, which is obeyed.
    """
    first, spread = FIRST_LOOK * expected.median, 0.9 + 0.2 * jitter
    if elapsed < first / 2:
        delay = (first - elapsed) * spread
    else:
        delay = expected.following(elapsed, spread)
        if elapsed > expected._tail:
            planned = 0.0 if math.isinf(delay) else delay  # past all that is expected nothing is planned any more
            delay = max(planned, TAIL * elapsed * spread)
    delay = min(max(delay, FASTEST), SLOWEST)
    return delay if retry_after is None else max(delay, retry_after)


def is_late(elapsed: float, expected: Expectation) -> bool:
    """Whether it takes longer than nine in ten do."""
    return elapsed > expected.late


def took(not_yet: float, ready: float) -> float:
    """Seconds a generation took, as far as asking can tell.

    Parameters
    ----------
    not_yet, ready
        Seconds at which the vendor said so, last and first. What is taken for the time it was ready must not be the
        time of a question, or the next questions would gather there and ever later ones be learned.
    """
    return (max(not_yet, ready / 2) + ready) / 2
