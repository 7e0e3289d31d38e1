"""The ledger: one SQL row per generation, written before anything is sent.

SQLAlchemy Core over a SQLite file. Every call is a short blocking transaction: call it beside the event loop.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .ledger_repair import prepare_file
from .ledger_row import COLUMNS_OF_TRUTH, FREE_TAKE, UNDER_WAY, LeaseLostError, Row
from .ledger_schema import COLUMNS, engine_on, explained, identity, values_of
from .ledger_schema import table as _table
from .money import DEFAULT_DURATION, Expense

__all__ = ["FREE_TAKE", "UNDER_WAY", "LeaseLostError", "Ledger", "Row"]

Check = Callable[[list[Expense]], object]  # raises where a new row is not to be written


class Ledger:
    """All generations of one workspace.

    Parameters
    ----------
    path
        The SQLite file. Made where it isn't there; brought up to date where it is older; where it is damaged, set
        aside and rebuilt from the saved videos.

    Raises
    ------
    KlingError
        It cannot be read or written, or is a newer version's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        with explained(self.path, "Nothing was submitted."):
            prepare_file(self.path)
            self._identity, self._process = identity(self.path), os.getpid()
            self._engine = engine_on(self.path)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _current(self) -> sa.Engine:
        """The engine, on the file that has the name now: another kernel may have set ours aside and made a new one."""
        if not self._is_current():
            with self._lock:
                if not self._is_current():
                    # SQLite's connections must not be used, nor closed, on the other side of a fork.
                    self._engine.dispose(close=self._process == os.getpid())
                    self._open()
        return self._engine

    def _is_current(self) -> bool:
        return (identity(self.path), os.getpid()) == (self._identity, self._process)

    @contextmanager
    def _writing(self, money: str = "") -> Iterator[sa.Connection]:
        with explained(self.path, money), self._current().begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with explained(self.path), self._current().connect() as connection:
            yield connection

    def admit(self, row: Row, *, new_take: bool = False, check: Check | None = None) -> tuple[Row, bool]:
        """Write `row` before its submission, unless its request and take are there already.

        Parameters
        ----------
        row
            The row to write; its `take` is the one asked for.
        new_take
            Take the next free number instead.
        check
            Called with the provider's expenses while nobody else, in no process, can write a row; what it raises
            refuses the new one. Not called where the take is there already.

        Returns
        -------
        tuple
            The row that now holds the take, and whether it is the given one.

        Raises
        ------
        KlingError
            The ledger cannot be written; nothing must be submitted.
        """
        while True:
            if new_take:
                row = row.with_(take=self._next_take(row))
            else:
                held = self.holder(row.provider, row.request_hash, row.take)
                if held is not None:
                    return held, False
            try:
                with self._writing("Nothing was submitted.") as connection:
                    if check is not None:
                        connection.exec_driver_sql("BEGIN IMMEDIATE")  # a plain BEGIN lets two kernels count the same
                        check(_expenses(connection, row.provider))
                    connection.execute(_table.insert().values(**values_of(row), held_take=row.take))
            except sa.exc.IntegrityError:
                if self.get(row.client_request_id) is not None:
                    raise
                continue  # another kernel took this take a moment ago: look again
            return row, True

    def holder(self, provider: str, request_hash: str, take: int) -> Row | None:
        """The row that holds a take of a request: made, under way, or perhaps accepted."""
        same = (_table.c.provider == provider) & (_table.c.request_hash == request_hash)
        return self._one(same & (_table.c.held_take == take))

    def _next_take(self, row: Row) -> int:
        same = (_table.c.provider == row.provider) & (_table.c.request_hash == row.request_hash)
        with self._reading() as connection:
            last = connection.execute(sa.select(sa.func.max(_table.c.held_take)).where(same)).scalar()
        return int(last or 0) + 1

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
        """
        if set(changes) & set(COLUMNS_OF_TRUTH):
            raise ValueError(f"{', '.join(COLUMNS_OF_TRUTH)} never change")
        mine = _table.c.client_request_id == client_request_id
        changed = self._change(mine if owner is None else mine & (_table.c.lease_owner == owner), changes)
        row = self._existing(client_request_id)
        if not changed:
            raise LeaseLostError
        return row

    def settle(self, client_request_id: str, **changes: Any) -> Row:
        """Write what became of a submission, whoever holds the lease; what is known already is never overwritten."""
        open_ = _table.c.generation_id.is_(None) & _table.c.status.in_(["submitting", "unknown"])
        self._change(open_ & (_table.c.client_request_id == client_request_id), changes)
        return self._existing(client_request_id)

    def _existing(self, client_request_id: str) -> Row:
        row = self.get(client_request_id)
        if row is None:
            raise LookupError(f"no row {client_request_id}")
        return row

    def _change(self, which: sa.ColumnElement[bool], changes: dict[str, Any]) -> bool:
        values = {**changes, "held_take": None} if changes.get("status") in FREE_TAKE else changes
        with self._writing() as connection:
            return connection.execute(_table.update().where(which).values(**values)).rowcount > 0

    # Leases: who goes on with a generation. Each is one statement, so that of two processes one wins.

    def claim(self, seen: Row, owner: str, until: float, *, stale: bool) -> bool:
        """Take a lease that is free or ours; with `stale`, also the one that `seen` had, if nobody renewed it."""
        free = _table.c.lease_owner.is_(None) | (_table.c.lease_owner == owner)
        if stale:
            free |= (_table.c.lease_owner == seen.lease_owner) & (_table.c.lease_until == seen.lease_until)
        mine = _table.c.client_request_id == seen.client_request_id
        return self._change(mine & free, {"lease_owner": owner, "lease_until": until})

    def renew(self, owner: str, until: float) -> set[str]:
        """Renew all leases of a process; the client request ids it still holds."""
        mine = _table.c.lease_owner == owner
        self._change(mine, {"lease_until": until})
        with self._reading() as connection:
            return set(connection.execute(sa.select(_table.c.client_request_id).where(mine)).scalars())

    def release(self, owner: str, client_request_id: str | None = None) -> None:
        """Give one lease back, or all."""
        mine = _table.c.lease_owner == owner
        if client_request_id is not None:
            mine &= _table.c.client_request_id == client_request_id
        self._change(mine, {"lease_owner": None, "lease_until": None})

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
        with self._reading() as connection:
            return [Row(**row) for row in connection.execute(query).mappings()]

    def unfinished(self) -> list[Row]:
        """Rows a new kernel goes on with: under way, unknown, or made but not saved; oldest first."""
        open_ = _table.c.status.in_([*UNDER_WAY, "unknown"])
        unsaved = (_table.c.status == "completed") & _table.c.saved.is_(None)
        query = sa.select(*COLUMNS).where(open_ | unsaved).order_by(_table.c.created)
        with self._reading() as connection:
            return [Row(**row) for row in connection.execute(query).mappings()]

    def prompts(self, provider: str) -> set[str]:
        """Every prompt that was ever asked for."""
        prompt = _table.c.request["prompt"].as_string()
        query = sa.select(prompt).where(_table.c.provider == provider, prompt.is_not(None)).distinct()
        with self._reading() as connection:
            return set(connection.execute(query).scalars())

    def expenses(self, provider: str) -> list[Expense]:
        """Everything of a provider that cost or may cost something, newest first."""
        with self._reading() as connection:
            return _expenses(connection, provider)

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
        length = sa.func.coalesce(c.request["duration"].as_integer(), DEFAULT_DURATION)
        query = (
            sa.select(c.took * sa.func.coalesce(c.time_factor, 1.0))
            .where(c.provider == provider, c.took.is_not(None), length == (duration or DEFAULT_DURATION))
            .order_by(c.completed.desc())
            .limit(limit)
        )
        with self._reading() as connection:
            return [float(seconds) for seconds in connection.execute(query).scalars()][::-1]

    def _one(self, condition: sa.ColumnElement[bool]) -> Row | None:
        with self._reading() as connection:
            found = connection.execute(sa.select(*COLUMNS).where(condition)).mappings().first()
        return Row(**found) if found is not None else None


def _expenses(connection: sa.Connection, provider: str) -> list[Expense]:
    c = _table.c  # what was resumed by its id alone was paid for elsewhere
    ours = (c.provider == provider) & c.request_hash.not_like("resumed:%") & c.status.not_in(FREE_TAKE)
    query = sa.select(c.created, c.notebook, c.request["duration"].as_integer(), c.usd).where(ours)
    return [Expense(*row) for row in connection.execute(query.order_by(c.created.desc()))]
