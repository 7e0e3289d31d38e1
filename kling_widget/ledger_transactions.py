"""``Transactions``: a ledger's connections, and what is done again where one broke or the file was rebuilt."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from .ledger_places import LedgerFile, Place
from .ledger_repair import nothing_is_open
from .ledger_schema import DamageFoundError, LostConnectionError

T = TypeVar("T")

PATIENCE = 20.0  # seconds; ours: a database server starts again in less
PAUSE = 0.5  # seconds between two tries
NOTHING_SENT = "Nothing was submitted."


class Transactions:
    """What is read from the database that a ledger lives in, and written to it. Every call blocks, for a short time.

    Parameters
    ----------
    place
        Where it lives; a path is a SQLite file. It is made where it isn't there and brought up to date where it is
        older; a file that is damaged is set aside and rebuilt from the saved videos.

    Raises
    ------
    KlingError
        It cannot be read or written, or is a newer version's.
    """

    def __init__(self, place: Place | Path) -> None:
        self._place: Place = LedgerFile(place) if isinstance(place, Path) else place
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        with self._place.explained(NOTHING_SENT, nothing_is_open):
            self._place.prepare()
            self._identity, self._process = self._place.identity(), os.getpid()
            self._engine = self._place.engine()

    def look_through(self) -> None:
        """See whether all of it is whole, which opening it doesn't, and rebuild a file that isn't. Takes its time."""
        with self._explained(""):
            self._place.look_through(self._let_go)

    def close(self) -> None:
        """Close the connections."""
        self._let_go()

    def _let_go(self) -> None:
        """Close the idle connections; on the other side of a fork only where that leaves the parent's as they are."""
        self._engine.dispose(close=self._process == os.getpid() or self._place.closed_by_a_child)

    def _current(self) -> sa.Engine:
        """The engine, on the file that has the name now: another kernel may have set ours aside and made a new one."""
        if not self._is_current():
            with self._lock:
                if not self._is_current():
                    self._let_go()
                    self._open()
        return self._engine

    def _is_current(self) -> bool:
        return (self._place.identity(), os.getpid()) == (self._identity, self._process)

    def _write(self, act: Callable[[sa.Connection], T], money: str = "", *, one_statement: bool = False) -> T:
        """One transaction, committed when this returns."""
        with self._explained(money), self._connection(one_statement) as connection, connection.begin():
            return act(connection)

    def _read(self, act: Callable[[sa.Connection], T]) -> T:
        def once() -> T:
            with self._explained(""), self._connection(one_statement=True) as connection:
                return act(connection)

        return patiently(once)

    def _explained(self, money: str) -> AbstractContextManager[None]:
        return self._place.explained(money, self._let_go)

    @contextmanager
    def _connection(self, one_statement: bool) -> Iterator[sa.Connection]:
        with self._current().connect() as connection:
            yield connection.execution_options(**(self._place.for_one_statement if one_statement else {}))


def patience_ends() -> float:
    """Until when what begins now is tried again, on the monotonic clock."""
    return time.monotonic() + PATIENCE


def patiently(act: Callable[[], T]) -> T:
    """Do what may be done twice until the database answers, or nobody would wait any longer; once more if rebuilt."""
    ends, rebuilt = patience_ends(), False
    while True:
        try:
            return act()
        except DamageFoundError:
            if rebuilt:
                raise
            rebuilt = True
        except LostConnectionError:
            if time.monotonic() > ends:
                raise
            time.sleep(PAUSE)
