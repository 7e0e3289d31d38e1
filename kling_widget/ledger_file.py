"""The ledger as a SQLite file: how it is made, looked at and brought up to date, and what is said when that fails."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from .errors import KlingError
from .file_systems import is_shared
from .ledger_schema import MIGRATIONS, SCHEMA_VERSION, DamageFoundError, create_tables, newer, table

BUSY_TIMEOUT = 30.0  # seconds to wait for another kernel's transaction; ours take milliseconds
PAGES_KEPT = 256  # KB a connection; SQLite's own 2,000, times a pool's connections, keep what the system keeps anyway


class DamagedLedgerError(Exception):
    """The file is not a ledger, or no longer a whole one."""


def engine_on(path: Path) -> sa.Engine:
    """An engine whose every commit survives a power cut: it is money."""
    url = sa.URL.create("sqlite", database=str(path))  # not an f-string: a folder's name may have a question mark
    # The last connection given back is the next one used: a kernel that does one thing at a time has one.
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT}, pool_use_lifo=True)
    sa.event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{PAGES_KEPT}")


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
            create_tables(connection)
            connection.commit()
    except sa.exc.OperationalError:
        engine.dispose()  # or the file stays open
        raise
    return engine


def check(path: Path) -> int:
    """Look at a ledger without writing to it, at the same cost however long it is.

    Read are the header, the schema, and both ends of the table and of its indexes; SQLite itself notices a file that
    is shorter than it should be. The rest is for :func:`look_through`.

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
    with _reading(path) as connection:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise newer(path, version)
        columns = {str(row[1]) for row in connection.execute("PRAGMA table_info(generations)")}
        wanted = {column.name for column in table.columns} if version == SCHEMA_VERSION else {"held_take"}
        if missing := wanted - columns:
            raise DamagedLedgerError(f"it has no {min(missing)}")
        for by in _ENDS:
            for way in ("ASC", "DESC"):
                order = ", ".join(f"{column} {way}" for column in by)
                connection.execute(f"SELECT {', '.join(by)} FROM generations ORDER BY {order} LIMIT 1").fetchall()  # noqa: S608
        connection.execute("SELECT * FROM generations WHERE rowid = (SELECT max(rowid) FROM generations)").fetchall()
    return version


_ENDS = (
    ("rowid",), ("client_request_id",), ("provider", "request_hash", "held_take"), ("status",), ("generation_id",),
    ("created",),
)  # fmt: skip
"""What the table and its indexes are ordered by."""


def look_through(path: Path, *, thorough: bool = False) -> None:
    """Look at every page of a ledger; takes 0.1 s of processor time for 100,000 rows.

    Parameters
    ----------
    path
        The file.
    thorough
        Compare the indexes with the table, too; takes four times as long.

    Raises
    ------
    DamagedLedgerError, sqlite3.OperationalError
        As of :func:`check`.
    """
    with _reading(path) as connection:
        how = "integrity_check" if thorough else "quick_check"
        said = str(connection.execute(f"PRAGMA {how}(1)").fetchone()[0])
    if said != "ok":
        raise DamagedLedgerError(said)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)) as connection:
            yield connection
    except sqlite3.OperationalError:  # locked, unreadable: says nothing about what is in it
        raise
    except sqlite3.DatabaseError as error:
        raise DamagedLedgerError(str(error)) from error


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
    DamageFoundError
        Part of the file is damaged.
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
    if any(words in said for words in ("malformed", "not a database")):
        return DamageFoundError(
            f"The ledger {path} is damaged: {said}.",
            hint=f"{money} It is set aside and rebuilt from the saved videos. Try again.".strip(),
        )
    elsewhere = "Choose another with workspace=… or KLING_WIDGET_WORKSPACE."
    known = (
        ("locked", "another program holds it", "Close what holds it, then try again."),
        ("another process", "another program holds it", "Close what holds it, then try again."),  # in Windows' words
        ("full", "the disk is full", "Make room, then try again."),
        ("No space left", "the disk is full", "Make room, then try again."),
        ("readonly", "its folder or file is read-only", elsewhere),
        ("Read-only", "its folder is read-only", elsewhere),
    )
    problem, advice = next(((is_so, do) for words, is_so, do in known if words in said), (said, elsewhere))
    return KlingError(f"The ledger {path} cannot be used: {problem}.", hint=f"{money} {advice}".strip())
