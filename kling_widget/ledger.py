"""The ledger: one SQL row per generation, written before anything is sent.

SQLAlchemy Core, in whatever place the ledger lives. Every call is a short blocking transaction: call it beside the
event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import sqlalchemy as sa

from .ledger_places import Place
from .ledger_row import COLUMNS_OF_TRUTH, FREE_TAKE, UNDER_WAY, Asked, LeaseLostError, NoSuchRowError, Row
from .ledger_schema import COLUMNS, DamageFoundError, LostConnectionError, insert_found, values_of
from .ledger_schema import table as _table
from .ledger_sums import expenses_of, sums_of
from .ledger_transactions import NOTHING_SENT, Transactions, patience_ends, patiently
from .money import DEFAULT_DURATION, Expense, Sums

__all__ = ["FREE_TAKE", "UNDER_WAY", "LeaseLostError", "Ledger", "NoSuchRowError", "Row"]

Check = Callable[[Sums], object]  # raises where a new row is not to be written
AT_ONCE = 500  # rows named in one statement: SQLite takes 999 values before 3.32, and the changes are some of them


class Ledger(Transactions):
    """All generations of one workspace."""

    def admit(
        self, row: Row, *, new_take: bool = False, free: bool = False, check: Check | None = None
    ) -> tuple[Row, bool]:
        """Write `row` before its submission, unless its request and take are there already.

        Parameters
        ----------
        row
            The row to write; its `take` is the one asked for.
        new_take
            Take the next free number instead.
        free
            Whether the caller has just seen that nobody holds the take: then it is looked for only if that turns out
            to be otherwise, or there is something to `check`.
        check
            Called with the provider's sums while nobody else, in no process, can write a row; what it raises
            refuses the new one. Not called where the take is there already.

        Returns
        -------
        tuple
            The row that now holds the take, and whether it is the given one.

        Raises
        ------
        KlingError
            The ledger cannot be written, or it cannot be found out whether it was; nothing must be submitted.
        """
        try:
            return self._admitted(row, new_take, free, check)
        except LostConnectionError as error:
            error.hint = f"{NOTHING_SENT} Run it again when the database answers."
            raise

    def _admitted(self, row: Row, new_take: bool, free: bool, check: Check | None) -> tuple[Row, bool]:
        lost = rebuilt = False
        ends = patience_ends()
        while True:
            if lost and (written := self.get(row.client_request_id)) is not None:
                # The connection broke after the server had committed; or another process has the same errand.
                return written, written.lease_owner == row.lease_owner
            if new_take:
                row = row.with_(take=self._next_take(row))
            elif not free or check is not None:  # what is there needs no budget, also since a moment ago
                held = self.holder(row.provider, row.request_hash, row.take)
                if held is not None:
                    return held, False
            free = False
            try:
                self._write(partial(_insert, self._place, row, check), NOTHING_SENT, one_statement=check is None)
            except sa.exc.IntegrityError:
                known = self.get(row.client_request_id)
                if not lost and known is not None:
                    return known, False  # another process has the same errand
                continue  # another kernel took this take a moment ago: look again
            except LostConnectionError:
                if time.monotonic() > ends:
                    raise
                lost = True  # it may be written: look before it is tried again
                continue
            except DamageFoundError:
                if rebuilt:
                    raise
                rebuilt = True
                continue
            return row, True

    def holder(self, provider: str, request_hash: str, take: int) -> Row | None:
        """The row that holds a take of a request: made, under way, or perhaps accepted."""
        same = (_table.c.provider == provider) & (_table.c.request_hash == request_hash)
        return self._one(same & (_table.c.held_take == take))

    def _next_take(self, row: Row) -> int:
        same = (_table.c.provider == row.provider) & (_table.c.request_hash == row.request_hash)
        last = sa.select(sa.func.max(_table.c.held_take)).where(same)
        return int(self._read(lambda connection: connection.execute(last).scalar()) or 0) + 1

    def update(self, client_request_id: str, *, owner: str | None = None, **changes: Any) -> Row:
        """Change a row, committed when this returns. A refused row gives its take back.

        Parameters
        ----------
        client_request_id
            Which.
        owner
            Only while this process holds the lease; None asks nobody.
        **changes
            New values by column.

        Raises
        ------
        LeaseLostError
            Another process goes on with it: nothing was changed.
        NoSuchRowError
            It is not in the ledger (any more).
        """
        if set(changes) & set(COLUMNS_OF_TRUTH):
            raise ValueError(f"{', '.join(COLUMNS_OF_TRUTH)} never change")
        mine = _table.c.client_request_id == client_request_id
        row, changed = self._changed(mine if owner is None else mine & (_table.c.lease_owner == owner), changes, mine)
        if not changed:
            raise LeaseLostError
        return row

    def settle(self, client_request_id: str, **changes: Any) -> Row:
        """Write what became of a submission, whoever holds the lease; what is known already is never overwritten.

        Raises
        ------
        NoSuchRowError
            It is not in the ledger (any more).
        """
        open_ = _table.c.generation_id.is_(None) & _table.c.status.in_(["submitting", "unknown"])
        mine = _table.c.client_request_id == client_request_id
        return self._changed(open_ & mine, changes, mine)[0]

    def withdraw(self, owner: str, client_request_ids: list[str], why: str) -> None:
        """Say of what a process has written, and has certainly not sent, that it never will be.

        Parameters
        ----------
        owner
            Only what this process still holds the lease of.
        client_request_ids
            Which.
        why
            A sentence for people.
        """
        c, changes = _table.c, withdrawn(why)
        for first in range(0, len(client_request_ids), AT_ONCE):
            named = c.client_request_id.in_(client_request_ids[first : first + AT_ONCE])
            unsent = named & (c.lease_owner == owner) & (c.status == "submitting") & c.generation_id.is_(None)
            change = _change(unsent, changes)
            self._write(partial(_executed, change), one_statement=True)  # not patiently: the process ends

    def put_back(self, row: Row) -> None:
        """Write the row of what is under way into a ledger that was made anew without it, unless it is there.

        Where it was asked for once more meanwhile, that one holds the take.
        """

        def put(connection: sa.Connection) -> None:
            self._place.keep_others_out(connection)
            insert_found(connection, [row])

        patiently(partial(self._write, put))

    def _changed(
        self, which: sa.ColumnElement[bool], changes: dict[str, Any], row: sa.ColumnElement[bool]
    ) -> tuple[Row, bool]:
        """Change what `which` finds, and read `row` as it is then: at once, which costs less."""
        change, look = _change(which, changes), sa.select(*COLUMNS).where(row)

        def write(connection: sa.Connection) -> tuple[Row, bool]:
            if connection.dialect.update_returning:  # not in SQLite before 3.35
                found = connection.execute(change.returning(*COLUMNS)).mappings().one_or_none()
                if found is not None:
                    return Row(**found), True
                changed = False
            else:
                changed = connection.execute(change).rowcount > 0
            found = connection.execute(look).mappings().first()
            if found is None:
                raise NoSuchRowError("no such row")
            return Row(**found), changed

        # Twice does no harm: what it changes and what it asks for is the same after the first time.
        return patiently(partial(self._write, write, one_statement=True))

    # Leases: who goes on with a generation. Each is one statement, so that of two processes one wins.

    def claim(self, seen: Row, owner: str, until: float, *, stale: bool) -> Row | None:
        """Take a lease that is free or ours; with `stale`, also the one that `seen` had, if nobody renewed it.

        Returns
        -------
        The row as it is now, or None: another process was first.
        """
        free = _table.c.lease_owner.is_(None) | (_table.c.lease_owner == owner)
        if stale:
            free |= (_table.c.lease_owner == seen.lease_owner) & (_table.c.lease_until == seen.lease_until)
        mine = _table.c.client_request_id == seen.client_request_id
        row, claimed = self._changed(mine & free, {"lease_owner": owner, "lease_until": until}, mine)
        return row if claimed else None

    def renew(self, owner: str, until: float) -> set[str]:
        """Renew all leases of a process; the client request ids it still holds."""
        mine = _table.c.lease_owner == owner
        renewed = _change(mine, {"lease_until": until})
        held = sa.select(_table.c.client_request_id).where(mine)

        def renew(connection: sa.Connection) -> set[str]:
            connection.execute(renewed)
            return set(connection.execute(held).scalars())

        return self._write(renew)  # not patiently: there is a next beat

    def release(self, owner: str, client_request_id: str | None = None) -> None:
        """Give one lease back, or all."""
        mine = _table.c.lease_owner == owner
        if client_request_id is not None:
            mine &= _table.c.client_request_id == client_request_id
        given_back = _change(mine, {"lease_owner": None, "lease_until": None})
        self._write(lambda connection: connection.execute(given_back), one_statement=True)  # else it runs out by itself

    # Looking

    def get(self, client_request_id: str) -> Row | None:
        """The row of a client request id."""
        return self._one(_table.c.client_request_id == client_request_id)

    def by_generation_id(self, generation_id: str, provider: str) -> Row | None:
        """The row of a vendor's id."""
        return self._one((_table.c.generation_id == generation_id) & (_table.c.provider == provider))

    def rows(
        self, *, limit: int | None = None, provider: str | None = None, statuses: Iterable[str] | None = None
    ) -> list[Row]:
        """Rows, newest first."""
        query = sa.select(*COLUMNS).order_by(_table.c.created.desc()).limit(limit)
        if provider is not None:
            query = query.where(_table.c.provider == provider)
        if statuses is not None:
            query = query.where(_table.c.status.in_(list(statuses)))
        return self._rows(query)

    def unfinished(self) -> list[Row]:
        """Rows a new kernel goes on with: under way, unknown, or made but not saved; oldest first."""
        open_ = _table.c.status.in_([*UNDER_WAY, "unknown"])
        unsaved = (_table.c.status == "completed") & _table.c.saved.is_(None)
        query = sa.select(*COLUMNS).where(open_ | unsaved).order_by(_table.c.created)
        return self._rows(query)

    def asked(self, provider: str) -> Asked:
        """What was asked of a provider and not refused; all rows are read, at once."""
        c = _table.c
        # Not `->>` in the database: PostgreSQL cannot say a NUL, nor half of a surrogate pair, that a prompt may hold.
        query = sa.select(c.request, c.request_hash, c.held_take, c.status).where(
            c.provider == provider, c.held_take.is_not(None)
        )

        def read(connection: sa.Connection) -> Asked:
            found = Asked()
            for request, request_hash, take, status in connection.execute(query):
                found.statuses[request_hash, take] = status
                if (prompt := request.get("prompt")) is not None:
                    found.prompts.add(prompt)
            return found

        return self._read(read)

    def expenses(self, provider: str) -> list[Expense]:
        """Everything of a provider that cost or may cost something, newest first."""
        return self._read(lambda connection: expenses_of(connection, provider))

    def sums(self, provider: str) -> Sums:
        """What a provider's clips cost together."""
        return self._read(lambda connection: sums_of(connection, provider))

    def durations(self, provider: str, duration: int | None, limit: int = 200) -> list[float]:
        """Vendor's seconds that the latest generations of this length took, the latest last.

        Parameters
        ----------
        provider
            Whose.
        duration
            Length of the clip in seconds; None is the vendor's default, 5.
        limit
            How many at most.
        """
        c = _table.c
        query = (
            sa.select(c.took * sa.func.coalesce(c.time_factor, 1.0))
            .where(c.provider == provider, c.duration == (duration or DEFAULT_DURATION), c.took.is_not(None))
            .order_by(c.completed.desc())
            .limit(limit)
        )
        return self._read(lambda connection: [float(took) for took in connection.execute(query).scalars()])[::-1]

    def _one(self, condition: sa.ColumnElement[bool]) -> Row | None:
        return next(iter(self._rows(sa.select(*COLUMNS).where(condition))), None)

    def _rows(self, query: sa.Select[Any]) -> list[Row]:
        return self._read(lambda connection: [Row(**row) for row in connection.execute(query).mappings()])


def withdrawn(why: str) -> dict[str, Any]:
    """The changes of a row that was never sent, and never will be; `why` is a sentence for people."""
    return {
        "status": "rejected", "error_name": "not sent", "error_message": why, "lease_owner": None, "lease_until": None,
    }  # fmt: skip


def _executed(statement: sa.Update, connection: sa.Connection) -> None:
    connection.execute(statement)


def _change(which: sa.ColumnElement[bool], changes: dict[str, Any]) -> sa.Update:
    """Of what `which` finds. A refused row gives its take back."""
    values = {**changes, "held_take": None} if changes.get("status") in FREE_TAKE else changes
    return _table.update().where(which).values(**values)


def _insert(place: Place, row: Row, check: Check | None, connection: sa.Connection) -> None:
    values = {**values_of(row), "held_take": row.take}
    if check is None:
        connection.execute(place.added(values))
    else:
        place.keep_others_out(connection)
        check(sums_of(connection, row.provider))
        connection.execute(_table.insert().values(**values))
