"""When to ask next, and how long it will take. Pure decisions: no clock, no network, no sleep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MEDIAN_5S = 186.0  # seconds for a 5 s clip; the vendor's sample run took 3 min 6 s
MEDIAN_10S = 2 * MEDIAN_5S  # a guess until the ledger knows better: twice the frames
PRIOR_SPREAD = 0.35  # standard deviation of log(time) before anything is known: a guess, wide on purpose
PRIOR_WEIGHT = 2.0  # how many observed generations the prior counts for
WATCH_FOR = 6 * 3600.0  # seconds after which we stop watching (never "failed"); the vendor's sample gives up after 1000
DENSE, SPARSE = 1 / 30, 1 / 12  # wait between two questions, as a share of the usual time
FASTEST, SLOWEST = 0.3, 15.0  # seconds; 15 s is the vendor's own sample's interval
TAIL_SLOWEST = 60.0  # seconds, long after it should have been there


@dataclass(frozen=True)
class Expectation:
    """How long a generation takes: a log-normal distribution.

    Parameters
    ----------
    median
        Seconds from acceptance to ready.
    spread
        Standard deviation of log(seconds).
    """

    median: float
    spread: float

    def quantile(self, deviations: float) -> float:
        """Seconds at so many standard deviations from the median."""
        return self.median * math.exp(self.spread * deviations)


def expect(duration: int | None, known: Sequence[float] = (), time_factor: float = 1.0) -> Expectation:
    """What to expect of a generation, from the vendor's sample and from what was seen.

    Parameters
    ----------
    duration
        Length of the clip in seconds (5 or 10; None means the vendor's default, 5).
    known
        Seconds that earlier generations of this length took.
    time_factor
        How much faster than the vendor the simulator runs; 1 for the vendor.
    """
    prior = math.log((MEDIAN_10S if duration == 10 else MEDIAN_5S) / time_factor)
    logs = [math.log(seconds) for seconds in known if seconds > 0]
    total = PRIOR_WEIGHT + len(logs)
    mean = (PRIOR_WEIGHT * prior + sum(logs)) / total
    variance = (PRIOR_WEIGHT * PRIOR_SPREAD**2 + sum((x - mean) ** 2 for x in logs)) / total
    return Expectation(math.exp(mean), math.sqrt(variance))


def next_delay(elapsed: float, expected: Expectation, jitter: float, retry_after: float | None = None) -> float:
    """Seconds until the next question.

    Sparse while it can't be ready, dense where it probably becomes ready, ever sparser in the tail.

    Parameters
    ----------
    elapsed
        Seconds since the generation was accepted.
    expected
        How long such a generation takes.
    jitter
        A random number from 0 to 1.
    retry_after
        Seconds the vendor asked for, which is obeyed.
    """
    earliest, latest = expected.quantile(-1.5), expected.quantile(2.0)
    sparse = min(max(expected.median * SPARSE, FASTEST), SLOWEST)
    dense = min(max(expected.median * DENSE, FASTEST), SLOWEST)
    if elapsed < earliest:
        delay = min(sparse, max(earliest - elapsed, dense))
    elif elapsed <= latest:
        delay = dense
    else:
        delay = min(max(dense, 0.1 * elapsed), TAIL_SLOWEST)
    delay *= 0.9 + 0.2 * jitter
    return delay if retry_after is None else max(delay, retry_after)


def is_late(elapsed: float, expected: Expectation) -> bool:
    """Whether it takes longer than nine in ten do (1.2816 standard deviations)."""
    return elapsed > expected.quantile(1.2816)
