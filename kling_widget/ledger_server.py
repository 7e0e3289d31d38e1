"""The ledger in a PostgreSQL database: how it is made and reached, and what is said when that fails.

Imported only where a database is named. One database is one ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa

from .databases import Database
from .errors import KlingError
from .ledger_repair import Records
from .ledger_schema import (
    MIGRATIONS,
    SCHEMA_VERSION,
    LostConnectionError,
    create_tables,
    newer,
    table,
)

CONNECT_TIMEOUT = 10  # seconds for one try; a host that is off answers nothing
LOCK = 5_420_116_160  # any number: pg_advisory_xact_lock's, the same for all of us in this database
ASKS = "Is the server running on that host and accepting TCP/IP connections?"  # libpq, below its sentence
IDLE = 5.0  # seconds without use after which a connection is looked at; what breaks sooner is told by its next use
POOL = 8  # connections at most: the background loop's threads, and the cell's

version_table = sa.Table("kling_widget_schema", sa.MetaData(), sa.Column("version", sa.Integer, nullable=False))


class _UnreachableError(Exception):
    """No connection could be made; says why, and holds nothing of how it was tried."""


class LedgerServer:
    """A database on a PostgreSQL server.

    Parameters
    ----------
    database
        Its URL.
    records
        Gives what the workspace itself tells of its generations, for a database that has no ledger yet.
    """

    # One trip to the server instead of three, for BEGIN and COMMIT are trips of their own.
    for_one_statement: Mapping[str, Any] = {"isolation_level": "AUTOCOMMIT"}
    closed_by_a_child = False

    def __init__(self, database: Database, records: Records) -> None:
        self._database = database
        self._records = records

    def engine(self) -> sa.Engine:
        """Connections; one that was idle is looked at before its use, for the server may have been restarted.

        Raises
        ------
        KlingError
            The driver is not installed.
        """
        url, secret = self._database.parts()
        try:
            engine = sa.create_engine(
                url, pool_size=POOL, max_overflow=0, hide_parameters=True,
                connect_args={"connect_timeout": CONNECT_TIMEOUT, "application_name": "kling_widget"},
            )  # fmt: skip
        except ModuleNotFoundError as error:
            raise KlingError(
                f"A ledger on PostgreSQL needs the driver psycopg ({error}).",
                hint='Nothing was submitted. pip install "kling-widget[postgres]"',
            ) from error
        # The password comes in here, so that neither the engine nor a frame that a traceback shows has it.
        sa.event.listen(engine, "do_connect", _Connector(secret))
        # Not pool_pre_ping: on busy workers it would be a third of all that is asked of the server.
        for moment in ("connect", "checkin"):
            sa.event.listen(engine, moment, _used)
        sa.event.listen(engine, "checkout", partial(_look_at, engine.dialect))
        return engine

    def look_through(self, let_go: Callable[[], object]) -> None:
        """A server sees to its files itself, and says so in its log."""

    def identity(self) -> object:
        """A server's database is not exchanged behind our back."""
        return None

    def prepare(self) -> None:
        """Make the tables where they are not there, or bring them up to date: all in one transaction.

        Raises
        ------
        KlingError
            It is a newer version's, or the database is somebody else's.
        """
        engine = self.engine()
        try:
            with engine.begin() as connection:
                self.keep_others_out(connection)  # of two kernels that start at once, the second finds it done
                if not sa.inspect(connection).has_table(version_table.name):
                    self._make(connection)
                self._migrate(connection)
        finally:
            engine.dispose()

    def _make(self, connection: sa.Connection) -> None:
        if sa.inspect(connection).has_table(table.name):
            raise KlingError(
                f"The database {self._database} has a table {table.name!r} that is no ledger's.",
                hint="Nothing was submitted, and it is untouched. Make a database for the ledger alone.",
            )
        create_tables(connection, self._records())
        version_table.create(connection)
        connection.execute(version_table.insert().values(version=SCHEMA_VERSION))

    def _migrate(self, connection: sa.Connection) -> None:
        version = int(connection.execute(sa.select(version_table.c.version)).scalar_one())
        if version > SCHEMA_VERSION:
            raise newer(self._database, version)
        if version == SCHEMA_VERSION:
            return
        for step in MIGRATIONS[version:]:
            for statement in step:
                connection.exec_driver_sql(statement)
        connection.execute(version_table.update().values(version=SCHEMA_VERSION))

    def keep_others_out(self, connection: sa.Connection) -> None:
        """Wait until nobody adds a row any more; it ends with the transaction, also when its process dies."""
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))

    def added(self, values: Mapping[str, Any]) -> sa.Insert:
        """Wait for whoever keeps everybody out, and for nobody else, in the statement itself: a trip is saved."""
        gate = sa.select(sa.func.pg_advisory_xact_lock_shared(LOCK)).cte("gate")
        row = [sa.bindparam(None, value, type_=table.c[name].type) for name, value in values.items()]
        return table.insert().from_select(list(values), sa.select(*row).select_from(gate))

    @contextmanager
    def explained(self, money: str, let_go: Callable[[], object]) -> Iterator[None]:
        """Turn what the server and the driver complain of into a sentence.

        Raises
        ------
        LostConnectionError
            The server cannot be reached, or not any more.
        KlingError
            It does not do what was asked.
        """
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, _UnreachableError) as complaint:
            raise self._error(complaint, money) from complaint

    def _error(self, complaint: Exception, money: str) -> KlingError:
        said = str(getattr(complaint, "orig", complaint))
        said = " ".join(said.replace(ASKS, "").split()).rstrip(".")
        lost = isinstance(complaint, _UnreachableError)
        if lost or (isinstance(complaint, sa.exc.DBAPIError) and complaint.connection_invalidated):
            problem = "cannot be reached" if lost else "broke the connection"
            goes_on = "What was submitted goes on at the vendor, and is taken up again from here."
            return LostConnectionError(
                f"The ledger's database {self._database} {problem}: {said}.",
                hint=f"{money or goes_on} Run it again when the database answers.",
            )
        return KlingError(f"The ledger {self._database} cannot be used: {said}.", hint=money)


def _used(_: object, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _look_at(dialect: sa.Dialect, connection: Any, record: Any, _: object) -> None:
    if time.monotonic() - record.info["used"] > IDLE:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise sa.exc.DisconnectionError from error  # the pool makes another


class _Connector:
    """Connects with what is secret; no frame that a traceback shows the locals of has it."""

    def __init__(self, secret: dict[str, Any]) -> None:
        self.__secret = secret

    def __call__(self, dialect: Any, record: Any, arguments: Any, named: dict[str, Any]) -> Any:
        try:
            return dialect.dbapi.connect(*arguments, **named, **self.__secret)
        except dialect.dbapi.Error as error:
            said = self._without_secrets(str(error))
        raise _UnreachableError(said)  # here, so that none of the driver's frames comes with it

    def _without_secrets(self, said: str) -> str:
        for value in self.__secret.values():  # libpq's messages never hold it; a proxy's might
            said = said.replace(value, "…") if value else said
        return said
