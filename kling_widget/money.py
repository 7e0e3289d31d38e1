"""What a clip costs and what was spent: pure sums over what the ledger saw. No network, no clock, no SQL."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from .errors import BudgetExceededError
from .providers import SIMULATOR

CREDITS_PER_USD = 2_000_000  # the vendor's billing examples
PRICES = Path(__file__).parent / "prices.json"  # our price table, with its source and date
LATEST = 9  # charges the estimate goes by: enough that one odd charge does not move the median
TOLERANCE = 1e-6  # USD, two credits: sums of cents are not exact, and a budget for three clips is for three
DEFAULT_DURATION = 5  # seconds; what the vendor makes when the request does not say


class PriceTable(msgspec.Struct, frozen=True):
    """``prices.json``: USD by duration (seconds), where that comes from, and the day it was written down."""

    model: str
    usd: dict[int, float]
    date: str
    source: str


@cache
def price_table() -> PriceTable:
    """The price table of this version."""
    return msgspec.json.decode(PRICES.read_bytes(), type=PriceTable)


@dataclass(frozen=True)
class Expense:
    """One generation that cost or may cost something.

    Attributes
    ----------
    created
        When it was asked for, Unix seconds.
    notebook
        The notebook or script that asked, where known.
    duration
        Seconds of video; None means the vendor's default.
    usd
        What was charged; None while that is not known.
    """

    created: float
    notebook: str | None
    duration: int | None
    usd: float | None


@dataclass(frozen=True)
class Sums:
    """What the clips of a provider cost together: all that a price and a budget ask.

    Attributes
    ----------
    charged
        USD in all.
    waiting
        By length (seconds), how many clips may still be charged: under way, unknown, or not yet on the bill.
    latest
        By length (seconds), the latest charges in USD, newest first; `LATEST` of them are enough.
    """

    charged: float = 0.0
    waiting: Mapping[int, int] = field(default_factory=dict)
    latest: Mapping[int, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, expenses: Iterable[Expense]) -> Sums:
        """The sums of single expenses, which are given newest first."""
        charged, waiting, latest = 0.0, Counter[int](), defaultdict[int, list[float]](list)
        for each in expenses:
            seconds = each.duration or DEFAULT_DURATION
            if each.usd is None:
                waiting[seconds] += 1
            else:
                charged += each.usd
                latest[seconds].append(each.usd)
        return cls(charged, waiting, latest)


def estimate(duration: int | None, sums: Sums = Sums()) -> float:
    """What the next clip will cost, in USD: the median of the latest charges for its length, else the price table.

    Parameters
    ----------
    duration
        5 or 10 (seconds); None means the vendor's default.
    sums
        What the ledger saw of this provider.
    """
    seconds = duration or DEFAULT_DURATION
    charges = sums.latest.get(seconds)
    return median(charges[:LATEST]) if charges else price_table().usd[seconds]


def outlay(sums: Sums) -> tuple[float, float]:
    """USD charged, and USD expected for what is under way, unknown, or not yet on the bill."""
    return sums.charged, sum(count * estimate(seconds, sums) for seconds, count in sums.waiting.items())


def check_budget(budget: float, duration: int | None, sums: Sums) -> None:
    """Refuse what would bring the total above the budget (USD).

    Raises
    ------
    BudgetExceededError
        What it would cost, what is spent and what the budget is.
    """
    price = estimate(duration, sums)
    charged, expected = outlay(sums)
    if charged + expected + price <= budget + TOLERANCE:
        return
    under_way = f" and about {dollars(expected)} is under way or not yet billed" if expected else ""
    raise BudgetExceededError(
        f"Above the budget of {dollars(budget)}: this would cost about {dollars(price)}, "
        f"{dollars(charged)} is spent{under_way}.",
        hint="Nothing was submitted. A higher budget= (USD) allows it.",
    )


def dollars(usd: float) -> str:
    """``$0.66``; amounts below a cent keep two digits: ``$0.0035``."""
    if 0 < usd < 0.01:
        return f"${usd:.2g}" if usd >= 0.0001 else "less than $0.0001"
    return f"${usd:,.2f}"


def charge(usd: float | None, provider: str) -> str:
    """What a clip was charged: ``$0.66``; empty where that is not known, or the built-in simulator made it for free.

    Parameters
    ----------
    usd
        As the ledger has it, in USD.
    provider
        As the ledger has it: who made it.
    """
    return "" if usd is None or provider == SIMULATOR else dollars(usd)


def usd_of(usd: float | None, credits: float | None) -> float | None:
    """What was charged in USD, from what an answer says; None where it says nothing, or 0 (not charged yet)."""
    return usd or (credits / CREDITS_PER_USD if credits else None)


@dataclass(frozen=True)
class Total:
    """A sum.

    Attributes
    ----------
    clips
        How many generations.
    usd
        Charged, in USD.
    expected
        About what is still to come, in USD: under way, unknown, or not yet on the bill.
    """

    clips: int
    usd: float
    expected: float


class Spending:
    """What was spent in a workspace, by day (local time) and by notebook. Iterating gives one dict a day and notebook.

    Parameters
    ----------
    expenses
        What cost or may cost something.
    free
        True where the built-in simulator makes the clips: they are counted and cost nothing.
    """

    def __init__(self, expenses: Sequence[Expense], *, free: bool = False) -> None:
        sums = Sums.of(expenses)
        prices = {duration: estimate(duration, sums) for duration in {each.duration for each in expenses}}
        groups: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for each in expenses:
            day = datetime.fromtimestamp(each.created).astimezone().strftime("%Y-%m-%d")
            known = 0.0 if free else each.usd
            paid = (0.0, prices[each.duration]) if known is None else (known, 0.0)
            groups[day, each.notebook or "elsewhere"].append(paid)
        self._groups = dict(sorted(groups.items(), reverse=True))

    @property
    def total(self) -> Total:
        """All of it."""
        return _total(self._groups.values())

    @property
    def by_day(self) -> dict[str, Total]:
        """By day (``2026-11-23``), the latest first."""
        return self._by(0)

    @property
    def by_notebook(self) -> dict[str, Total]:
        """By file name of the notebook or script; ``elsewhere`` where that is not known."""
        return self._by(1)

    def _by(self, part: int) -> dict[str, Total]:
        names = dict.fromkeys(key[part] for key in self._groups)
        return {name: _total(group for key, group in self._groups.items() if key[part] == name) for name in names}

    def __iter__(self) -> Any:
        for (day, notebook), group in self._groups.items():
            yield {"day": day, "notebook": notebook, **_dict(_total([group]))}

    def __len__(self) -> int:
        return len(self._groups)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: ``total``, ``by_day``, ``by_notebook``; amounts in USD."""
        parts = {"by_day": self.by_day, "by_notebook": self.by_notebook}
        sums = {name: {key: _dict(total) for key, total in part.items()} for name, part in parts.items()}
        return {"total": _dict(self.total), **sums}

    def _lines(self) -> list[tuple[str, Total]]:
        """What the tables show; by notebook only where there are several."""
        notebooks = self.by_notebook if len(self.by_notebook) > 1 else {}
        return [*self.by_day.items(), *notebooks.items(), ("in all", self.total)]

    def __repr__(self) -> str:
        lines = [(name, _clips(total.clips), _amount(total)) for name, total in self._lines()]
        widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
        return "\n".join(f"{name:<{widths[0]}}  {clips:>{widths[1]}}  {usd}" for name, clips, usd in lines)

    def _repr_html_(self) -> str:
        import html

        rows = "".join(
            f'<tr><td style="text-align:left">{html.escape(name)}</td><td>{_clips(total.clips)}</td>'
            f'<td style="text-align:left">{_amount(total)}</td></tr>'
            for name, total in self._lines()
        )
        return f"<table><tbody>{rows}</tbody></table>"


def _total(groups: Iterable[list[tuple[float, float]]]) -> Total:
    parts = [part for group in groups for part in group]
    return Total(len(parts), math.fsum(usd for usd, _ in parts), math.fsum(expected for _, expected in parts))


def _dict(total: Total) -> dict[str, Any]:
    return {"clips": total.clips, "usd": round(total.usd, 6), "expected": round(total.expected, 6)}


def _clips(number: int) -> str:
    return f"{number} clip{'' if number == 1 else 's'}"


def _amount(total: Total) -> str:
    return dollars(total.usd) + (f" + about {dollars(total.expected)} to come" if total.expected else "")
