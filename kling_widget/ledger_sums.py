"""Sums of what generations cost, added up by the database: as fast with 100,000 rows as with 100."""

from __future__ import annotations

import sqlalchemy as sa

from .ledger_row import FREE_TAKE, UNDER_WAY
from .ledger_schema import charges, table
from .ledger_triggers import RESUMED
from .money import LATEST, Expense, Sums
from .rules import DURATIONS

_COSTS = (*UNDER_WAY, "unknown", "completed")  # all but FREE_TAKE; named one by one, the index is asked for each


def sums_of(connection: sa.Connection, provider: str) -> Sums:
    """What the clips of a provider cost together, and what the latest of each length did."""
    c = table.c
    waiting = (
        sa.select(c.duration, sa.func.count(), sa.literal(0.0))
        .where(c.provider == provider, c.usd.is_(None), c.status.in_(_COSTS), _ours())
        .group_by(c.duration)
    )
    charged = sa.select(sa.null(), sa.literal(0), charges.c.usd).where(charges.c.provider == provider)
    # In one statement: what is charged in this moment is in one of the two, not in both and not in neither.
    rows = connection.execute(sa.union_all(waiting, charged)).all()
    return Sums(
        charged=sum(usd for _, _, usd in rows),
        waiting={seconds: count for seconds, count, _ in rows if seconds is not None},
        latest={seconds: _latest(connection, provider, seconds) for seconds in DURATIONS},
    )


def _latest(connection: sa.Connection, provider: str, seconds: int) -> list[float]:
    c = table.c
    ours = (c.provider == provider) & (c.duration == seconds) & c.usd.is_not(None) & c.status.not_in(FREE_TAKE)
    query = sa.select(c.usd).where(ours, _ours()).order_by(c.created.desc()).limit(LATEST)
    return [float(usd) for usd in connection.execute(query).scalars()]


def expenses_of(connection: sa.Connection, provider: str) -> list[Expense]:
    """Each of a provider's clips that cost or may cost something, newest first: reads all rows."""
    c = table.c
    query = sa.select(c.created, c.notebook, c.duration, c.usd)
    costs = (c.provider == provider) & c.status.not_in(FREE_TAKE) & _ours()
    return [Expense(*row) for row in connection.execute(query.where(costs).order_by(c.created.desc()))]


def _ours() -> sa.ColumnElement[bool]:
    return sa.func.substr(table.c.request_hash, 1, len(RESUMED)) != RESUMED
