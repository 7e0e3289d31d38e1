"""What a batch will make and cost, before anything is sent; and asking the person whether that is wanted."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .batch_rows import PICTURES
from .errors import KlingError, NotConfirmedError
from .ledger_row import Asked
from .money import DEFAULT_DURATION, TOLERANCE, dollars, estimate, outlay
from .notebook_files import takes_input
from .picture_sources import FileBytes
from .prepare import draft
from .rules import checked_take

if TYPE_CHECKING:
    from .batch_rows import BatchRow, Rows
    from .studio import Studio

NAMED = 3  # rows that can't be sent and are told one by one; the others are counted


@dataclass
class Plan:
    """Counts and prices.

    Attributes
    ----------
    rows
        How many there are; None where nobody knows.
    there, under_way, doubles
        Rows whose video is there already, that are being made or looked up, and that ask for the same as an earlier
        row: none of them costs anything.
    wrong, problems
        Rows that can't be sent as they are, and the sentences for the first of them.
    to_make
        Clips to be made, by their length (seconds).
    prices
        About what one costs, by length (seconds, USD).
    enough_for
        How many of those the budget is enough for, of the shortest where nobody knows how many; None without a budget.
    """

    rows: int | None
    prices: dict[int, float]
    there: int = 0
    under_way: int = 0
    doubles: int = 0
    wrong: int = 0
    problems: list[str] = field(default_factory=list)
    to_make: Counter[int] = field(default_factory=Counter)
    enough_for: int | None = None

    @property
    def usd(self) -> float:
        """About what all of it costs, in USD."""
        return sum(count * self.prices[seconds] for seconds, count in self.to_make.items())

    @property
    def costs(self) -> bool:
        """Whether money may move."""
        return any(self.prices.values()) and (self.rows is None or self.to_make.total() > 0)

    def __str__(self) -> str:
        return "\n".join([self._to_pay(), *self._beside(), *self.problems])

    def _to_pay(self) -> str:
        free = not any(self.prices.values())
        if self.rows is None:
            return f"As many clips as the rows ask for, each {'free' if free else self._each()}."
        count = self.to_make.total()
        if not count:
            return f"Nothing to make and nothing to pay{self._free_rows(': ')}."
        lengths = ", ".join(f"{each} of {seconds} s" for seconds, each in sorted(self.to_make.items()))
        price = "free" if free else f"about {dollars(self.usd)}"
        return f"{clips(count)} to make ({lengths}), {price}."

    def _each(self) -> str:
        """What one costs, and how all of them are bounded, where nobody knows how many there are."""
        each = " or ".join(f"{dollars(usd)} for {seconds} s" for seconds, usd in self.prices.items())
        if self.enough_for is None:
            return f"about {each}; give a list to see the total, or budget=…"
        return f"about {each}; the budget is enough for {self.enough_for:,} of {min(self.prices)} s"

    def _free_rows(self, before: str) -> str:
        """The rows that cost nothing, or nothing at all where there are none."""
        parts = [
            f"{self.there} there already" if self.there else "",
            f"{self.under_way} under way" if self.under_way else "",
            f"{self.doubles} the same as an earlier row" if self.doubles else "",
        ]
        told = ", ".join(part for part in parts if part)
        return f"{before}{told}" if told else ""

    def _beside(self) -> list[str]:
        lines = []
        if self.rows is not None and self.enough_for is not None and self.enough_for < self.to_make.total():
            lines.append(f"The budget is enough for {self.enough_for}; the others will be left.")
        if self.to_make.total() and (free := self._free_rows("Nothing to pay for ")):
            lines.append(f"{free}.")
        if self.wrong:
            lines.append(f"{self.wrong} cannot be sent:")
        return lines


def plan(studio: Studio, rows: Rows, budget: float | None) -> Plan:
    """Count and price. Nothing is sent, and pictures are read, one at a time, only where the ledger knows their prompt.

    Parameters
    ----------
    studio
        Provider, ledger and prices.
    rows
        What to make; an iterable that can be read only once is not touched.
    budget
        USD, as of :meth:`kling_widget.Studio.submit`.

    Raises
    ------
    InvalidRequestError
        A row has a column that a request does not have, or `budget` is no amount of money.
    """
    sums = studio.account.sums()
    prices = {seconds: 0.0 if studio.simulated else estimate(seconds, sums) for seconds in (5, 10)}
    found = Plan(rows.length, prices)
    limit = studio.account.limit(budget)
    left = None if limit is None or studio.simulated else limit + TOLERANCE - sum(outlay(sums))
    if rows.length is None:
        if left is not None and prices[DEFAULT_DURATION]:
            found.enough_for = max(int(left / prices[DEFAULT_DURATION]), 0)
        return found
    asked = studio.workspace.ledger.asked(studio.provider) if studio.has_ledger else Asked()
    seen: set[tuple[str, int]] = set()
    for number, raw in enumerate(rows.read()):
        row = rows.row(raw)
        try:
            seconds = _cost(number, row, asked, seen, found)
        except KlingError as error:
            found.wrong += 1
            if found.wrong <= NAMED:
                found.problems.append(f"  row {number}: {error}")
            continue
        if seconds is not None:
            found.to_make[seconds] += 1
            if left is not None:
                left -= prices[seconds]
                found.enough_for = (found.enough_for or 0) + (left >= 0)
    if found.wrong > NAMED:
        found.problems.append(f"  and {found.wrong - NAMED} more")
    return found


def _cost(number: int, row: BatchRow, asked: Asked, seen: set[tuple[str, int]], found: Plan) -> int | None:
    """The length (seconds) of the clip this row adds; None where it adds none, which is counted in `found`."""
    fields = dict(row.fields)
    take = checked_take(fields.pop("take", 1))
    prompt = fields.get("prompt")
    known = isinstance(prompt, str) and prompt in asked.prompts
    if not known:
        fields |= {name: _stand_in(fields[name], number) for name in PICTURES if fields.get(name) is not None}
    request = draft(fields.pop("image", None), fields.pop("prompt", ""), **fields).request
    seconds = request.duration or DEFAULT_DURATION
    if take == "new":
        return seconds
    this = (request.content_hash(), take)
    if this in seen:
        found.doubles += 1
        return None
    seen.add(this)
    status = asked.statuses.get(this)
    if status is None:
        return seconds
    if status == "completed":
        found.there += 1
    else:
        found.under_way += 1
    return None


def _stand_in(picture: Any, number: int) -> FileBytes:
    """Something that tells a picture from the others of its batch without reading or decoding it.

    What is neither a name nor bytes counts as another picture in every row: a price told too high does no harm.
    """
    if isinstance(picture, (bytes, bytearray)):
        return FileBytes(bytes(picture))
    named = isinstance(picture, (str, os.PathLike))
    place = os.fsdecode(picture) if named else f"{type(picture).__name__} of row {number}"
    return FileBytes(place.encode("utf-8", "surrogatepass"))


def clips(count: int) -> str:
    """``1 clip``, ``1,000 clips``."""
    return f"{count:,} clip{'' if count == 1 else 's'}"


def ask(plan: Plan) -> None:
    """Ask the person, in the terminal or below the cell, whether the plan is wanted.

    Raises
    ------
    NotConfirmedError
        It is not, or there is nobody to ask.
    """
    if not plan.costs:
        return
    answer = _answer() if takes_input() else None
    if answer is None:
        first = str(plan).partition("\n")[0]
        raise NotConfirmedError(
            f"Nobody is there to ask. {first}", hint="Nothing was submitted. To go ahead unasked: confirm=False."
        )
    if answer.strip().lower() not in ("y", "yes"):
        raise NotConfirmedError("Not confirmed.", hint="Nothing was submitted.")


def _answer() -> str | None:
    try:
        return input("Make them? [y/N] ")
    except (EOFError, NotImplementedError):  # ipykernel's StdinNotImplementedError: a front end without a person
        return None
