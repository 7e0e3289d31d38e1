"""``Account``: the money side of a studio: estimate, budget, balance, and what was really charged."""

from __future__ import annotations

import asyncio
import math
import os
import time
from typing import TYPE_CHECKING

from . import background
from .errors import InvalidRequestError, KlingError
from .rules import checked_budget

if TYPE_CHECKING:
    from .ledger import Check, Row
    from .money import Spending, Sums
    from .polling import Expectation
    from .studio import Studio

BUDGET = "KLING_WIDGET_BUDGET"  # USD, in the environment
BILL_DELAYS = (5.0, 60.0)  # vendor seconds from the saved video to a look at the log: a charge lands after completion
BILL_REACH = 30 * 86_400.0  # seconds after which a charge that never showed is no longer looked for
BILL_ROWS = 500  # videos looked through for a missing charge
DURATIONS_KEPT = 10.0  # seconds; a thousand that begin together ask the ledger once. Other processes learn, too


class Account:
    """What a studio costs.

    Parameters
    ----------
    studio
        Provider, client and workspace.
    budget
        USD; None: ``KLING_WIDGET_BUDGET``, or no limit.
    """

    def __init__(self, studio: Studio, budget: float | None = None) -> None:
        self.balance: float | None = None  # USD, as last asked for; None once something was submitted since
        self._studio = studio
        self._budget = checked_budget(budget)
        self._known: dict[int | None, tuple[float, float]] = {}  # by length: USD, seconds
        self._durations: dict[int | None, tuple[float, list[float]]] = {}  # by length: when asked for, vendor's seconds
        self._begin()
        background.in_child(self._begin)

    def _begin(self) -> None:
        self._looking = asyncio.Lock()  # used on the background loop only, of which a fork's child has its own

    # Before

    def sums(self) -> Sums:
        """What was and may yet be charged here."""
        from .money import Sums  # here and below: a widget is shown before anybody asks for a price

        if not self._studio.has_ledger:
            return Sums()
        return self._studio.workspace.ledger.sums(self._studio.provider)

    def line(self, duration: int | None) -> str:
        """What the next one costs and takes, in a few words: ``about $0.66 of $12.50 · ready in about 3 min``."""
        known = self._known
        if duration not in known:  # kept, for the list asks four times a second
            known[duration] = self._price(duration), self.expect(duration, self._studio.time_factor).median
        price, median = known[duration]
        takes = f"about {max(1, round(median))} s" if median < 90 else f"about {round(median / 60)} min"
        if self._studio.simulated:
            return f"free · {takes}"
        from .money import dollars

        left = "" if self.balance is None else f" of {dollars(self.balance)}"
        return f"about {dollars(price)}{left} · ready in {takes}"

    def _price(self, duration: int | None) -> float:
        if self._studio.simulated:
            return 0.0
        from .money import estimate

        return estimate(duration, self.sums())

    def learned(self) -> None:
        """Something was charged, or made: the next one may cost and take something else than was said."""
        self._known, self._durations = {}, {}  # others: whoever is still adding up keeps the result in the old

    def expect(self, duration: int | None, time_factor: float) -> Expectation:
        """How long a clip of this length should take, from what this workspace has seen."""
        from . import polling

        at, known = self._durations.get(duration, (-math.inf, []))
        if time.monotonic() - at > DURATIONS_KEPT:
            kept, studio, at = self._durations, self._studio, time.monotonic()
            known = studio.workspace.ledger.durations(studio.provider, duration) if studio.has_ledger else []
            kept[duration] = at, known
        return polling.expect(duration, known, time_factor)

    def limit(self, budget: float | None) -> float | None:
        """The budget that holds, in USD: of the call, else of the studio, else ``KLING_WIDGET_BUDGET``; None: no limit.

        Raises
        ------
        InvalidRequestError
            It is not an amount of money.
        """
        own = self._budget if budget is None else checked_budget(budget)
        text = os.environ.get(BUDGET, "").strip()
        if own is not None or not text:
            return own
        try:
            return checked_budget(float(text))
        except (ValueError, InvalidRequestError):
            raise InvalidRequestError(f"{BUDGET} must be an amount in USD, such as 5 or 2.50, not {text!r}.") from None

    def check(self, row: Row, budget: float | None) -> Check | None:
        """What the ledger asks before it writes `row`; None where nothing is to be asked."""
        limit = self.limit(budget)
        if limit is None or self._studio.simulated:
            return None
        from .money import check_budget

        duration = row.request.get("duration")
        return lambda sums: check_budget(limit, duration, sums)

    # After; on the background loop

    async def ask_balance(self) -> float | None:
        """What is left, in USD; None where the answer doesn't say. Asks the vendor.

        Raises
        ------
        KlingError
            It could not be asked.
        """
        self.balance = await self._studio.client.balance()
        return self.balance

    async def settle_later(self, row: Row) -> None:
        """Find out what a saved video cost, where no answer said so. Nobody waits for this."""
        for delay in () if self._studio.simulated else BILL_DELAYS:
            await asyncio.sleep(delay / (row.time_factor or self._studio.time_factor))
            known = await background.in_thread(self._studio.reread, row)
            if known.usd is not None:
                return
            await self.settle()

    async def settle(self) -> None:
        """Look in the vendor's log for every charge that is missing; asks nothing where none is."""
        async with self._looking:
            missing = await background.in_thread(self._missing)
            if not missing:
                return
            first, last = min(row.created for row in missing), max(row.created for row in missing)
            waiting = {name: row for row in missing for name in (row.client_request_id, row.generation_id) if name}
            try:
                async for charge in self._studio.client.charges(first, last):
                    row = waiting.get(charge.client_request_id or "") or waiting.get(charge.generation_id or "")
                    if row is None:
                        continue
                    for name in (row.client_request_id, row.generation_id):
                        waiting.pop(name or "", None)
                    await self._studio.learn(row, usd=charge.usd, credits=charge.credits)
                    if not waiting:
                        return
            except KlingError:
                return  # costs only the number: it is looked for again after the next video and in the next kernel

    def _missing(self) -> list[Row]:
        if not self._studio.has_ledger or self._studio.simulated:
            return []
        oldest = time.time() - BILL_REACH
        rows = self._studio.workspace.ledger.rows(limit=BILL_ROWS, statuses=("completed",))
        return [row for row in rows if row.usd is None and self._ours(row) and row.created > oldest]

    def _ours(self, row: Row) -> bool:
        return row.provider == self._studio.provider and not row.request_hash.startswith("resumed:")

    def spending(self) -> Spending:
        """What was spent here. Asks nobody."""
        from .money import Spending

        studio = self._studio
        expenses = studio.workspace.ledger.expenses(studio.provider) if studio.has_ledger else []
        return Spending(expenses, free=studio.simulated)
