"""Where a ledger lives: a SQLite file in the workspace, or elsewhere, or a database on a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from .databases import Database
from .errors import KlingError
from .ledger_file import engine_on, explained, identity
from .ledger_repair import Records, found_rows, prepare_file, repair, settled_identity
from .ledger_schema import DamageFoundError, table

FILE = "ledger.sqlite"  # in the workspace


class Place(Protocol):
    """What a ledger needs to know of the place it lives in.

    Attributes
    ----------
    for_one_statement
        SQLAlchemy's execution options of a connection for a single statement, or for statements that need not be one
        transaction.
    closed_by_a_child
        Whether a fork's child closes the idle connections that it has from its parent. A server would end its parent's.
        A file's must be gone before it opens others: SQLite counts a process's locks, and would believe that it has
        those of its parent. Then the parent takes away the write-ahead log as the last one, and what is in it is lost.
    """

    for_one_statement: Mapping[str, Any]
    closed_by_a_child: bool

    def prepare(self) -> None:
        """See to it that there is a ledger of this version."""

    def look_through(self, let_go: Callable[[], object]) -> None:
        """See whether all of it is whole, where the place doesn't see to that itself; rebuild it where it isn't.

        `let_go` closes the connections that are idle, so that a file can be set aside.
        """

    def engine(self) -> sa.Engine:
        """New connections."""

    def identity(self) -> object:
        """What tells the ledger that is there now from another one that took its place."""

    def keep_others_out(self, connection: sa.Connection) -> None:
        """Begin a transaction in which nobody else, in no process, can add a row."""

    def added(self, values: Mapping[str, Any]) -> sa.Insert:
        """The one statement that adds a row beside others, unless somebody keeps them out: then it waits."""

    def explained(self, money: str, let_go: Callable[[], object]) -> AbstractContextManager[None]:
        """Turn what the database complains of into a sentence, with one on whether money moved.

        `let_go` as of :meth:`look_through`.
        """


class LedgerFile:
    """A SQLite file.

    Parameters
    ----------
    path
        The file.
    records
        Gives what the workspace itself tells of its generations; by default that of the file's folder.
    """

    for_one_statement: Mapping[str, Any] = {}
    closed_by_a_child = True

    def __init__(self, path: Path, records: Records | None = None) -> None:
        self.path = path
        self._records = records or partial(found_rows, path.parent)

    def prepare(self) -> None:
        """Made where it isn't there, brought up to date, or set aside and rebuilt where it is damaged."""
        prepare_file(self.path, self._records)

    def look_through(self, let_go: Callable[[], object]) -> None:
        """Read every page once; a file that cannot be read now says nothing about what is in it."""
        with suppress(sqlite3.OperationalError):
            repair(self.path, self._records, let_go)

    def engine(self) -> sa.Engine:
        """Connections whose every commit survives a power cut."""
        return engine_on(self.path)

    def identity(self) -> object:
        """Another kernel may have set the file aside and made a new one of the same name."""
        return identity(self.path)

    def keep_others_out(self, connection: sa.Connection) -> None:
        """A plain BEGIN would let two kernels count the same."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def added(self, values: Mapping[str, Any]) -> sa.Insert:
        """Only one writes at a time anyway."""
        return table.insert().values(**values)

    @contextmanager
    def explained(self, money: str, let_go: Callable[[], object]) -> Iterator[None]:
        """What SQLite and the disk complain of. Damage that was touched is repaired at once."""
        before = identity(self.path)
        try:
            with explained(self.path, money):
                yield
        except DamageFoundError:
            with explained(self.path, money):
                repair(self.path, self._records, let_go, thorough=True)
            raise
        except KlingError as error:
            # A file that another thread or kernel is setting aside complains of anything, such as a "disk I/O error".
            complained = isinstance(error.__cause__, sa.exc.DatabaseError | sqlite3.Error)
            if complained and settled_identity(self.path) != before:
                raise DamageFoundError(error.message, hint=error.hint) from error
            raise


def place_of(database: Database | None, folder: Path, records: Records | None = None) -> Place:
    """Where the ledger of a workspace lives.

    Parameters
    ----------
    database
        As chosen; None is a file in the workspace.
    folder
        The workspace.
    records
        Gives what the workspace itself tells of its generations; by default that of the folder.
    """
    records = records or partial(found_rows, folder)
    if database is None:
        return LedgerFile(folder / FILE, records)
    if database.file is not None:
        return LedgerFile(database.file, records)
    from .ledger_server import LedgerServer

    return LedgerServer(database, records)
