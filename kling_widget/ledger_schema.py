"""The ledger's table, its schema versions, and how a file is opened, checked and brought up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .errors import KlingError
from .file_systems import is_shared
from .ledger_row import ROW_FIELDS, Row

BUSY_TIMEOUT = 30.0  # seconds to wait for another kernel's transaction; ours take milliseconds

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
)
"""By the version it starts from, the statements of each step. Steps are only added; version 0 was never released."""

SCHEMA_VERSION = len(MIGRATIONS)  # kept in SQLite's user_version

metadata = sa.MetaData()
table = sa.Table(
    "generations",
    metadata,
    sa.Column("client_request_id", sa.String(128), primary_key=True),
    sa.Column("provider", sa.String(255), nullable=False),
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("take", sa.Integer, nullable=False),
    # Equal to `take` while this row holds it; null once the vendor refused, so that the take can be tried again.
    sa.Column("held_take", sa.Integer),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("generation_id", sa.String(256), index=True),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("pictures", sa.JSON, nullable=False),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("accepted", sa.Float),
    sa.Column("completed", sa.Float),
    sa.Column("saved", sa.Float),
    sa.Column("took", sa.Float),
    sa.Column("vendor_status", sa.String(64)),
    sa.Column("video_url", sa.Text),
    sa.Column("video_file", sa.Text),
    sa.Column("error_name", sa.String(200)),
    sa.Column("error_message", sa.Text),
    sa.Column("credits", sa.Float),
    sa.Column("usd", sa.Float),
    sa.Column("time_factor", sa.Float),
    sa.Column("notebook", sa.String(255)),
    sa.Column("lease_owner", sa.String(200)),
    sa.Column("lease_until", sa.Float),
    sa.UniqueConstraint("provider", "request_hash", "held_take"),
)
sa.Index(
    "ix_generations_learned",
    table.c.provider,
    table.c.completed,
    sqlite_where=table.c.took.is_not(None),  # only these: a submission has no more to write than before
    postgresql_where=table.c.took.is_not(None),
)
COLUMNS = [table.c[name] for name in ROW_FIELDS]


class DamagedLedgerError(Exception):
    """The file is not a ledger, or no longer a whole one."""


def values_of(row: Row) -> dict[str, Any]:
    """A row's columns."""
    return {name: getattr(row, name) for name in ROW_FIELDS}


def engine_on(path: Path) -> sa.Engine:
    """An engine whose every commit survives a power cut: it is money."""
    url = sa.URL.create("sqlite", database=str(path))  # not an f-string: a folder's name may have a question mark
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT})
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = FULL"))
    return engine


def make(path: Path) -> sa.Engine:
    """A new, empty ledger.

    In WAL mode, which stays in the file: a second kernel reads while we write. With a rollback journal where the file
    system is no place for that, by its kind or because SQLite says so.
    """
    if not is_shared(path):
        try:
            return _make(path, "WAL")
        except sa.exc.OperationalError:  # such as SQLITE_IOERR_SHMMAP; a full disk is told by the second try
            for suffix in ("", "-wal", "-journal"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
    return _make(path, "DELETE")


def _make(path: Path, journal: str) -> sa.Engine:
    engine = engine_on(path)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA journal_mode = {journal}")
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
            metadata.create_all(connection)
            connection.commit()
    except sa.exc.OperationalError:
        engine.dispose()  # or the file stays open
        raise
    return engine


def check(path: Path) -> int:
    """Look at a ledger without writing to it.

    Returns
    -------
    Its schema version.

    Raises
    ------
    DamagedLedgerError
        It is not a whole ledger.
    KlingError
        It is a newer version's.
    sqlite3.OperationalError
        It cannot be read at all now.
    """
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version > SCHEMA_VERSION:
                raise KlingError(
                    f"The ledger {path} was written by a newer kling_widget (schema {version}; this one reads "
                    f"{SCHEMA_VERSION}).",
                    hint="Nothing was submitted, and the file is untouched. Upgrade: pip install -U kling_widget.",
                )
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            columns = {str(row[1]) for row in connection.execute("PRAGMA table_info(generations)")}
    except sqlite3.OperationalError:  # locked, unreadable: says nothing about what is in it
        raise
    except sqlite3.DatabaseError as error:
        raise DamagedLedgerError(str(error)) from error
    if said != "ok":
        raise DamagedLedgerError(said)
    missing = ({column.name for column in table.columns} if version == SCHEMA_VERSION else {"held_take"}) - columns
    if missing:
        raise DamagedLedgerError(f"it has no {min(missing)}")
    return version


def migrate(path: Path) -> None:
    """Bring a ledger to the current version: all steps in one transaction, or none."""
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # of two kernels that start at once, the second finds it done
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for step in MIGRATIONS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that took its name later."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def explained(path: Path, money: str = "") -> Iterator[None]:
    """Turn what SQLite and the disk complain of into a sentence.

    Parameters
    ----------
    path
        The ledger.
    money
        A sentence on whether money moved.

    Raises
    ------
    KlingError
        The ledger cannot be read or written.
    """
    try:
        yield
    except sa.exc.IntegrityError:
        raise
    except sa.exc.DatabaseError as error:
        raise _error(path, str(error.orig), money) from error
    except (sqlite3.Error, OSError, sa.exc.TimeoutError) as error:
        raise _error(path, getattr(error, "strerror", None) or str(error), money) from error


def _error(path: Path, said: str, money: str) -> KlingError:
    """The sentence for a complaint; SQLite's words are those of sqlite3_errstr()."""
    elsewhere = "Choose another with workspace=… or KLING_WIDGET_WORKSPACE."
    known = (
        ("locked", "another program holds it", "Close what holds it, then try again."),
        ("full", "the disk is full", "Make room, then try again."),
        ("No space left", "the disk is full", "Make room, then try again."),
        ("readonly", "its folder or file is read-only", elsewhere),
        ("Read-only", "its folder is read-only", elsewhere),
        ("malformed", "the file is damaged", "A new kernel sets it aside and rebuilds it from the saved videos."),
    )
    problem, advice = next(((is_so, do) for words, is_so, do in known if words in said), (said, elsewhere))
    return KlingError(f"The ledger {path} cannot be used: {problem}.", hint=f"{money} {advice}".strip())
