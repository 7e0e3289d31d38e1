"""The ledger's table and its versions, in a file as on a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from . import ledger_triggers as triggers
from .errors import KlingError
from .ledger_row import FREE_TAKE, ROW_FIELDS, Row
from .money import DEFAULT_DURATION

# SQLAlchemy would load PostgreSQL's dialect for a partial index. These are in words that both databases know.
INDEXES = (
    # The latest durations, without reading all rows; only of rows that have one: a submission writes nothing here.
    "CREATE INDEX ix_generations_learned ON generations (provider, duration, completed) WHERE took IS NOT NULL",
    # What is not on the bill yet, all columns of the question in it; and the latest of what is: see ledger_sums.py.
    "CREATE INDEX ix_generations_waiting ON generations (provider, status, duration, request_hash, usd) "
    "WHERE usd IS NULL",
    "CREATE INDEX ix_generations_charged ON generations (provider, duration, created) WHERE usd IS NOT NULL",
)

CHARGED = (
    "INSERT INTO charges (provider, usd) SELECT provider, sum(usd) FROM generations WHERE usd IS NOT NULL "
    "AND status NOT IN ('rejected', 'error') AND substr(request_hash, 1, 8) <> 'resumed:' GROUP BY provider"
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (  # 0 → 1: leases, and which notebook asked
        "ALTER TABLE generations ADD COLUMN lease_owner VARCHAR(200)",
        "ALTER TABLE generations ADD COLUMN lease_until FLOAT",
        "ALTER TABLE generations ADD COLUMN notebook VARCHAR(255)",
    ),
    (  # 1 → 2: how long it took, where that is known well; and the latest of these without reading all rows
        "ALTER TABLE generations ADD COLUMN took FLOAT",
        "CREATE INDEX ix_generations_learned ON generations (provider, completed) WHERE took IS NOT NULL",
    ),
    (  # 2 → 3: what a budget asks without reading all rows. On a server no ledger was ever older than this
        "ALTER TABLE generations ADD COLUMN duration INTEGER",
        "UPDATE generations SET duration = coalesce(json_extract(request, '$.duration'), 5)",
        "DROP INDEX ix_generations_learned",
        *INDEXES,
        "CREATE TABLE charges (provider VARCHAR(255) NOT NULL PRIMARY KEY, usd FLOAT NOT NULL)",
        *triggers.SQLITE,
        CHARGED,
    ),
)
"""By the version it starts from, the statements of each step. Steps are only added; version 0 was never released."""

SCHEMA_VERSION = len(MIGRATIONS)  # kept in SQLite's user_version


class Words(sa.types.TypeDecorator[str]):
    """Text that anybody may have written. PostgreSQL keeps no NUL in it and counts its characters; SQLite does neither.

    Parameters
    ----------
    length
        As SQLite's table has it.
    """

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Without a length on a server."""
        return dialect.type_descriptor(sa.Text() if dialect.name == "postgresql" else self.impl_instance)

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """NUL as the sign for it."""
        return value.replace("\0", "␀") if value and dialect.name == "postgresql" else value


metadata = sa.MetaData()
table = sa.Table(
    "generations",
    metadata,
    sa.Column("client_request_id", Words(128), primary_key=True),
    sa.Column("provider", Words(255), nullable=False),
    sa.Column("request_hash", Words(64), nullable=False),
    sa.Column("take", sa.Integer, nullable=False),
    # Equal to `take` while this row holds it; null once the vendor refused, so that the take can be tried again.
    sa.Column("held_take", sa.Integer),
    sa.Column("duration", sa.Integer),  # seconds; as the vendor makes it where the request doesn't say
    sa.Column("status", Words(16), nullable=False, index=True),
    sa.Column("generation_id", Words(256), index=True),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("pictures", sa.JSON, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("accepted", sa.Float),
    sa.Column("completed", sa.Float),
    sa.Column("saved", sa.Float),
    sa.Column("took", sa.Float),
    sa.Column("vendor_status", Words(64)),
    sa.Column("video_url", Words()),
    sa.Column("video_file", Words()),
    sa.Column("error_name", Words(200)),
    sa.Column("error_message", Words()),
    sa.Column("credits", sa.Float),
    sa.Column("usd", sa.Float),
    sa.Column("time_factor", sa.Float),
    sa.Column("notebook", Words(255)),
    sa.Column("lease_owner", Words(200)),
    sa.Column("lease_until", sa.Float),
    sa.UniqueConstraint("provider", "request_hash", "held_take"),
)
charges = sa.Table(
    "charges",
    metadata,
    sa.Column("provider", Words(255), primary_key=True),
    sa.Column("usd", sa.Float, nullable=False),
)
COLUMNS = [table.c[name] for name in ROW_FIELDS]


class DamageFoundError(KlingError):
    """A damaged part of the file was touched. It is set aside and rebuilt by then: what failed can be done again."""


class LostConnectionError(KlingError):
    """The database server cannot be reached, or no longer: whether the last change was made is not known."""


def create_tables(connection: sa.Connection, found: Iterable[Row] = ()) -> None:
    """Make a ledger of this version, of what a workspace itself tells of its generations."""
    metadata.create_all(connection)
    insert_found(connection, found)  # before the triggers: in PostgreSQL each row would pass all sums before its own
    connection.exec_driver_sql(CHARGED)
    kept = triggers.POSTGRESQL if connection.dialect.name == "postgresql" else triggers.SQLITE
    for statement in (*INDEXES, *kept):
        connection.exec_driver_sql(statement)


def values_of(row: Row) -> dict[str, Any]:
    """A row's columns, but for the take it holds."""
    duration = row.request.get("duration") or DEFAULT_DURATION
    return {**{name: getattr(row, name) for name in ROW_FIELDS}, "duration": duration}


def insert_found(connection: sa.Connection, rows: Iterable[Row]) -> None:
    """Add what a workspace itself tells of its generations; where a take is held already it is kept without."""
    for row in rows:
        held = row.take if row.status not in FREE_TAKE else None
        for take in (held, None):  # records can contradict each other
            try:
                with connection.begin_nested():
                    connection.execute(table.insert().values(**values_of(row), held_take=take))
                break
            except sa.exc.IntegrityError:
                continue


def newer(where: object, version: int) -> KlingError:
    """The sentence for a ledger that a newer version of this package wrote."""
    return KlingError(
        f"The ledger {where} was written by a newer kling_widget (schema {version}; this one reads {SCHEMA_VERSION}).",
        hint="Nothing was submitted, and it is untouched. Upgrade: pip install -U kling_widget.",
    )
