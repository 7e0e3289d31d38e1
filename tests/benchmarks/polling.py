"""How late we know that a video is ready, and how often we asked: ours against loops with a fixed interval.

A pure simulation: every figure follows from the seed. ``python -m tests.benchmarks.polling`` prints the table.
"""

from __future__ import annotations

import math
import random
import sys
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from kling_widget import polling
from tests.benchmarks.verdicts import verdict

SAMPLE = 15.0  # seconds; the vendor's own sample, its documentation of the model
REPLICATE = 0.5  # seconds; replicate-python 1.0.7, replicate/client.py, REPLICATE_POLL_INTERVAL
FAL = 0.1  # seconds; fal-ai/fal at c6f0afa, fal_client/client.py, DEFAULT_QUEUE_POLL_INTERVAL

GENERATIONS, JUDGED = 1000, 32
WARM = 50  # generations after which "warmed up" is counted
KNOWN = 200  # durations that the ledger gives at most

Draw = Callable[[random.Random, int], float]


@dataclass(frozen=True)
class Regime:
    """How long generations take: seconds, by a source of randomness and the generation's number."""

    name: str
    draw: Draw
    target: float | None = None
    scale: Callable[[int], float] = lambda number: 1.0
    """What the hour of the day would tell, as a factor."""


def spread_around(median: float, spread: float) -> Draw:
    """Log-normal durations."""
    return lambda chance, number: median * math.exp(chance.gauss(0.0, spread))


def _about_three_minutes(chance: random.Random, number: int) -> float:
    return max(chance.gauss(180.0, 27.0), 20.0)


def _shifting(to: float, every: int) -> Draw:
    return lambda chance, number: (to if number // every % 2 else 180.0) * math.exp(chance.gauss(0.0, 0.15))


def _busy(number: int) -> float:
    """Sessions of ten generations at any hour; at the busiest it takes half as long again as on average."""
    hour = random.Random(number // 10).uniform(0.0, 24.0) + number % 10 / 15
    return 1 + 0.5 * math.sin(2 * math.pi * hour / 24)


REGIMES = (
    Regime("about 3 min with 15 % spread", _about_three_minutes, 0.35),
    Regime("log-normal, one in a hundred 2.3 times as long", spread_around(180.0, 0.35), 0.6),
    Regime("a regime that shifts by half, every 100", _shifting(90.0, 100), 0.8),
)
OTHERS = (
    Regime("… to half as long again, every 100", _shifting(270.0, 100)),
    Regime("… by half, every 20", _shifting(90.0, 20)),
    Regime("log-normal, one in a hundred 3.2 times as long", spread_around(180.0, 0.5)),
    Regime("15 % spread, one in fifty five times as long", lambda chance, number: (
        _about_three_minutes(chance, number) * (5 if chance.random() < 0.02 else 1)
    )),
)  # fmt: skip
BUSY = Regime("by the hour", lambda chance, number: 180 * _busy(number) * math.exp(chance.gauss(0, 0.15)), scale=_busy)


@dataclass(frozen=True)
class Watched:
    """One generation: seconds until it was ready, how often it was asked for, and seconds from ready to known."""

    took: float
    polls: int
    lag: float


Next = Callable[[float, polling.Expectation, float], float]


def ours(
    regime: Regime,
    generations: int = GENERATIONS,
    *,
    price: float = polling.PRICE,
    seed: int = 0,
    by_hour: bool = False,
    next_delay: Next = polling.next_delay,
) -> list[Watched]:
    """One generation after another from an empty ledger on, each with what was learned from those before.

    Of each, `JUDGED` drawings say how well its questions lie; the first of them is what happens, and is learned.
    """
    chance, known, watched = random.Random(seed), list[float](), list[Watched]()
    for number in range(generations):
        scale = regime.scale(number) if by_hour else 1.0
        expected = polling.expect(5, known[-KNOWN:], 1 / scale, price)
        drawn = [regime.draw(chance, number) for _ in range(JUDGED)]
        asked = [0.0]
        while asked[-1] < max(drawn):
            asked.append(asked[-1] + next_delay(asked[-1], expected, chance.random()))
        for took in drawn:
            found = bisect_left(asked, took)
            watched.append(Watched(took, found, asked[found] - took))
        found = bisect_left(asked, drawn[0])
        known.append(polling.took(asked[found - 1], asked[found]) / scale)
    return watched


def fixed(interval: float, like: list[Watched]) -> list[Watched]:
    """The same generations, asked for at a fixed interval."""
    polls = [math.ceil(each.took / interval) for each in like]
    return [Watched(each.took, n, n * interval - each.took) for each, n in zip(like, polls, strict=True)]


def mean_polls(watched: list[Watched]) -> float:
    return fmean(each.polls for each in watched)


def mean_lag(watched: list[Watched]) -> float:
    """Seconds."""
    return fmean(each.lag for each in watched)


def fixed_with_as_many(watched: list[Watched]) -> list[Watched]:
    """The same generations at the fixed interval that asks as often on average."""
    short, long, wanted = 0.01, 1000.0, mean_polls(watched)
    while long - short > 1e-4 * long:
        middle = (short + long) / 2
        short, long = (middle, long) if mean_polls(fixed(middle, watched)) > wanted else (short, middle)
    return fixed(long, watched)


def lag_ratio(watched: list[Watched]) -> float:
    """Our mean lag / a fixed interval's, at the same mean number of questions."""
    return mean_lag(watched) / mean_lag(fixed_with_as_many(watched))


def as_late_as(interval: float, regime: Regime, generations: int = 300) -> list[Watched]:
    """Ours, with questions at the highest price for which we are no later than a fixed interval."""
    low, high = polling.PRICE, 1.0
    while high > 1.03 * low:
        middle = math.sqrt(low * high)
        watched = ours(regime, generations, price=middle)
        late = mean_lag(watched) > mean_lag(fixed(interval, watched))
        low, high = (low, middle) if late else (middle, high)
    return ours(regime, generations, price=low)


def least(spread: float) -> float:
    """The limit that no schedule goes below, however well it knows the log-normal distribution: (∫ √(f·S))² / E.

    With n questions, n large, the least lag is (∫ √(f·S))² / 2n (Keller 1974), a fixed interval's E / 2n.
    """
    known = polling.LogNormal(1.0, spread)
    times = [known.at(-7 + 14 * i / 4000) for i in range(4001)]
    survival = [known.survival(each) for each in times]
    part = sum(
        math.sqrt((survival[i] - survival[i + 1]) * (times[i + 1] - times[i]) * (survival[i] + survival[i + 1]) / 2)
        for i in range(4000)
    )
    return part**2 / math.exp(spread**2 / 2)


def _lag_line(regime: Regime) -> bool:
    watched = ours(regime)
    ratio, warm = lag_ratio(watched), lag_ratio(watched[WARM * JUDGED :])
    figure = (
        f"{ratio:.3f} from an empty ledger on, {warm:.3f} after {WARM} generations "
        f"({mean_lag(watched):.2f} s late with {mean_polls(watched):.1f} questions)"
    )
    aim = "none" if regime.target is None else f"≤ {regime.target:g}"
    return verdict(f"lag / a fixed interval's, {regime.name}", figure, ratio <= (regime.target or math.inf), aim)


def _both(ours: list[Watched], theirs: list[Watched]) -> str:
    (polls, their_polls), (lag, their_lag) = map(mean_polls, (ours, theirs)), map(mean_lag, (ours, theirs))
    counts = f"{polls:.1f} / {their_polls:.1f} questions; {lag:.2f} s late, it {their_lag:.2f} s"
    return f"{polls / their_polls:.4f} ({counts})"


def report() -> list[bool]:
    """Print the lines of the table that are about polling; whether each target is reached."""
    results = [_lag_line(regime) for regime in (*REGIMES, *OTHERS)]
    limits = ", ".join(f"{least(spread):.2f} at {spread:g}" for spread in (0.15, 0.35, 0.5))
    print(f"        the limit of any schedule, by the spread of log(time): {limits}", flush=True)
    for regime, target in ((REGIMES[0], 0.45), (REGIMES[1], None)):
        watched = as_late_as(SAMPLE, regime)
        ratio = mean_polls(watched) / mean_polls(theirs := fixed(SAMPLE, watched))
        figure = _both(watched, theirs)
        aim = "none" if target is None else f"≤ {target:g}"
        name = f"questions / the vendor's sample's, no later than it, {regime.name}"
        results.append(verdict(name, figure, ratio <= (target or math.inf), aim))
    for name, interval in (("fal-client", FAL), ("replicate", REPLICATE)):
        for regime in REGIMES[:2]:
            watched = ours(regime)
            theirs = fixed(interval, watched)
            ratio = mean_polls(watched) / mean_polls(theirs)
            results.append(
                verdict(f"questions / {name}'s, {regime.name}", _both(watched, theirs), ratio <= 0.05, "≤ 0.05")
            )
    blind, told = (lag_ratio(ours(BUSY, by_hour=by_hour)) for by_hour in (False, True))
    print(f"        if the hour counted: {blind:.3f} as it is, {told:.3f} if we knew what each hour does")
    return results


if __name__ == "__main__":
    sys.exit(0 if all(report()) else 1)
