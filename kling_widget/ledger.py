"""The ledger: one SQL row per generation, written before anything is sent.

SQLAlchemy Core over a SQLite file. Every call is a short blocking transaction: call it beside the event loop.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .money import Expense

SCHEMA_VERSION = 1  # kept in SQLite's user_version
BUSY_TIMEOUT = 30.0  # seconds to wait for another kernel's transaction; ours take milliseconds

UNDER_WAY = ("submitting", "queued", "generating")  # goes on by itself in the next kernel
FREE_TAKE = ("rejected", "error")  # never charged: the same request and take may be submitted again
COLUMNS_OF_TRUTH = ("client_request_id", "provider", "request_hash", "created")  # written once, never changed
Check = Callable[[list[Expense]], object]  # raises where a new row is not to be written

_metadata = sa.MetaData()
_table = sa.Table(
    "generations",
    _metadata,
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
    sa.Column("vendor_status", sa.String(64)),
    sa.Column("video_url", sa.Text),
    sa.Column("video_file", sa.Text),
    sa.Column("error_name", sa.String(200)),
    sa.Column("error_message", sa.Text),
    sa.Column("credits", sa.Float),
    sa.Column("usd", sa.Float),
    sa.Column("time_factor", sa.Float),
    sa.Column("notebook", sa.String(255)),
    sa.UniqueConstraint("provider", "request_hash", "held_take"),
)


@dataclass(frozen=True)
class Row:
    """One generation, as the ledger knows it. Times are Unix seconds (UTC).

    Attributes
    ----------
    client_request_id
        Ours; sent with the submission.
    provider
        The API's base URL, or ``simulator``.
    request_hash, take
        What was asked for, and the how-manieth of it.
    request
        The request's fields; pictures appear as ``sha256:<hex>`` or a URL, never as bytes.
    pictures
        By request field: ``{"name", "sha256", "url"}``.
    time_factor
        How much faster than the vendor the simulator ran that made it; None when it was the vendor.
    notebook
        File name of the notebook or script that asked for it, where known.
    """

    client_request_id: str
    provider: str
    request_hash: str
    take: int = 1
    status: str = "submitting"
    generation_id: str | None = None
    request: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    accepted: float | None = None
    completed: float | None = None
    saved: float | None = None
    vendor_status: str | None = None
    video_url: str | None = None
    video_file: str | None = None
    error_name: str | None = None
    error_message: str | None = None
    credits: float | None = None
    usd: float | None = None
    time_factor: float | None = None
    notebook: str | None = None

    def with_(self, **changes: Any) -> Row:
        """A copy with some columns changed."""
        return replace(self, **changes)

    def metadata(self) -> dict[str, Any]:
        """What a video was made from and what it cost, for its caption and its sidecar file."""
        return {
            **self.request,
            "take": self.take,
            "generation_id": self.generation_id,
            "client_request_id": self.client_request_id,
            "provider": self.provider,
            "simulated": self.provider == "simulator" or self.time_factor is not None,
            "pictures": self.pictures,
            "created": self.created,
            "completed": self.completed,
            "credits": self.credits,
            "usd": self.usd,
            "notebook": self.notebook,
        }


_ROW_FIELDS = tuple(f.name for f in fields(Row))
_COLUMNS = [_table.c[name] for name in _ROW_FIELDS]


class Ledger:
    """All generations of one workspace.

    Parameters
    ----------
    path
        The SQLite file; made when it isn't there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            _create(path)
        self._engine = _engine(path)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

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
        """
        while True:
            if new_take:
                row = row.with_(take=self._next_take(row))
            else:
                held = self._holder(row)
                if held is not None:
                    return held, False
            try:
                with self._engine.begin() as connection:
                    if check is not None:
                        connection.exec_driver_sql("BEGIN IMMEDIATE")  # a plain BEGIN lets two kernels count the same
                        check(_expenses(connection, row.provider))
                    connection.execute(_table.insert().values(**_values(row), held_take=row.take))
            except sa.exc.IntegrityError:
                if self.get(row.client_request_id) is not None:
                    raise
                continue  # another kernel took this take a moment ago: look again
            return row, True

    def _holder(self, row: Row) -> Row | None:
        same = (_table.c.provider == row.provider) & (_table.c.request_hash == row.request_hash)
        return self._one(same & (_table.c.held_take == row.take))

    def _next_take(self, row: Row) -> int:
        same = (_table.c.provider == row.provider) & (_table.c.request_hash == row.request_hash)
        with self._engine.connect() as connection:
            last = connection.execute(sa.select(sa.func.max(_table.c.held_take)).where(same)).scalar()
        return int(last or 0) + 1

    def update(self, client_request_id: str, **changes: Any) -> Row:
        """Change a row, committed when this returns. A refused row gives its take back."""
        if set(changes) & set(COLUMNS_OF_TRUTH):
            raise ValueError(f"{', '.join(COLUMNS_OF_TRUTH)} never change")
        values: dict[str, Any] = dict(changes)
        if changes.get("status") in FREE_TAKE:
            values["held_take"] = None
        mine = _table.c.client_request_id == client_request_id
        with self._engine.begin() as connection:
            connection.execute(_table.update().where(mine).values(**values))
        row = self.get(client_request_id)
        if row is None:
            raise LookupError(f"no row {client_request_id}")
        return row

    def get(self, client_request_id: str) -> Row | None:
        """The row of a client request id."""
        return self._one(_table.c.client_request_id == client_request_id)

    def by_generation_id(self, generation_id: str, provider: str) -> Row | None:
        """The row of a vendor's id."""
        return self._one((_table.c.generation_id == generation_id) & (_table.c.provider == provider))

    def rows(self, *, limit: int | None = None, statuses: Iterable[str] | None = None) -> list[Row]:
        """Rows, newest first."""
        query = sa.select(*_COLUMNS).order_by(_table.c.created.desc()).limit(limit)
        if statuses is not None:
            query = query.where(_table.c.status.in_(list(statuses)))
        with self._engine.connect() as connection:
            return [Row(**row) for row in connection.execute(query).mappings()]

    def unfinished(self) -> list[Row]:
        """Rows a new kernel goes on with: under way, unknown, or made but not saved; oldest first."""
        open_ = _table.c.status.in_([*UNDER_WAY, "unknown"])
        unsaved = (_table.c.status == "completed") & _table.c.saved.is_(None)
        query = sa.select(*_COLUMNS).where(open_ | unsaved).order_by(_table.c.created)
        with self._engine.connect() as connection:
            return [Row(**row) for row in connection.execute(query).mappings()]

    def expenses(self, provider: str) -> list[Expense]:
        """Everything of a provider that cost or may cost something, newest first."""
        with self._engine.connect() as connection:
            return _expenses(connection, provider)

    def durations(self, provider: str, duration: int | None, limit: int = 200) -> list[float]:
        """Seconds from acceptance to ready of the latest generations of this length."""
        took = _table.c.completed - _table.c.accepted
        length = _table.c.request["duration"].as_integer()
        query = (
            sa.select(took)
            .where(_table.c.provider == provider, _table.c.completed.is_not(None), _table.c.accepted.is_not(None))
            .where(length.is_(None) if duration is None else length == duration)
            .order_by(_table.c.created.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [float(seconds) for seconds in connection.execute(query).scalars()]

    def _one(self, condition: sa.ColumnElement[bool]) -> Row | None:
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(*_COLUMNS).where(condition)).mappings().first()
        return Row(**found) if found is not None else None


def _values(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _ROW_FIELDS}


def _expenses(connection: sa.Connection, provider: str) -> list[Expense]:
    c = _table.c  # what was resumed by its id alone was paid for elsewhere
    ours = (c.provider == provider) & c.request_hash.not_like("resumed:%") & c.status.not_in(FREE_TAKE)
    query = sa.select(c.created, c.notebook, c.request["duration"].as_integer(), c.usd).where(ours)
    return [Expense(*row) for row in connection.execute(query.order_by(c.created.desc()))]


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT})
    sa.event.listen(engine, "connect", _make_durable)
    return engine


def _make_durable(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous = FULL")  # each commit survives a power cut: it is money


def _create(path: Path) -> None:
    """Make the file under another name and link it into place: of two kernels that start at once, one file wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{uuid.uuid4().hex}.sqlite")
    engine = _engine(fresh)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "PRAGMA journal_mode = WAL"
        )  # kept in the file: a second kernel reads while we write
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
        _metadata.create_all(connection)
        connection.commit()
    engine.dispose()
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass  # the other kernel's
    except OSError:  # a file system without hard links, e.g. a mounted cloud drive
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
