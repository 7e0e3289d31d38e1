"""Opening a ledger that may be missing, older, or damaged: set aside, never overwritten, and rebuilt."""

from __future__ import annotations

import os
import sqlite3
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from . import mp4_metadata, pending
from .ledger_file import BUSY_TIMEOUT, DamagedLedgerError, check, identity, look_through, make, migrate
from .ledger_row import Row, row_of
from .ledger_schema import SCHEMA_VERSION, insert_found

Records = Callable[[], Iterable[Row]]  # what the workspace itself tells of its generations

LARGEST_SIDECAR = mp4_metadata.LARGEST  # bytes


def nothing_is_open() -> None:
    """Lets go of a ledger that is being opened."""


class LedgerWarning(UserWarning):
    """The ledger was damaged, and rebuilt."""


def prepare_file(path: Path, records: Records) -> None:
    """See to it that there is a whole ledger of this version at `path`.

    Parameters
    ----------
    path
        The file.
    records
        Gives what a new one is made from.

    Raises
    ------
    KlingError
        It was written by a newer version.
    OSError, sqlite3.Error, sqlalchemy.exc.DatabaseError
        The folder or the file cannot be used now.
    """
    found = identity(path)
    try:
        if found is not None and check(path) < SCHEMA_VERSION:
            look_through(path)
            migrate(path)
    except DamagedLedgerError:
        _set_aside(path, records, check, nothing_is_open)
    except sqlite3.OperationalError:
        if identity(path) == found:  # else another kernel sets it aside in this moment, or has just made a new one
            raise
    if not path.exists():
        _create(path, records)


def repair(path: Path, records: Records, let_go: Callable[[], object], *, thorough: bool = False) -> None:
    """Look at all of a ledger; where it is damaged, set it aside and rebuild it.

    Parameters
    ----------
    path, records
        As of :func:`prepare_file`.
    let_go
        Closes what has it open here: Windows gives no other name to an open file.
    thorough
        As of :func:`~kling_widget.ledger_file.look_through`.

    Raises
    ------
    OSError, sqlite3.Error
        It cannot be read now, or not be rebuilt.
    """
    whole = partial(look_through, thorough=thorough)
    try:
        whole(path)
    except DamagedLedgerError:
        _set_aside(path, records, whole, let_go)
        if not path.exists():
            _create(path, records)


def _set_aside(path: Path, records: Records, look: Callable[[Path], object], let_go: Callable[[], object]) -> None:
    """Look again, now that nobody else repairs it, and move it out of the way with its -wal and -shm."""
    with _one_at_a_time(path):
        if not path.exists():
            return
        try:
            look(path)
        except DamagedLedgerError as damage:
            let_go()
            kept = _move(path)
            found = len(list(records()))
            warnings.warn(
                f"The ledger {path} was damaged ({damage}). It is kept as {kept.name}; a new one was made from the "
                f"saved videos and what is under way: {found} generation{'' if found == 1 else 's'} found.",
                LedgerWarning,
                stacklevel=2,
            )


def settled_identity(path: Path) -> tuple[int, int] | None:
    """Which file has the name once nobody is setting one aside any more; waits for them."""
    with suppress(sqlite3.Error), _one_at_a_time(path):  # a folder that can't be written: nobody sets aside there
        pass
    return identity(path)


def _move(path: Path) -> Path:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    number, kept = 1, path.with_name(f"{path.stem}.damaged-{stamp}.sqlite")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.stem}.damaged-{stamp}-{number}.sqlite")
    for suffix in ("-wal", "-shm", ""):  # the file itself last: whoever dies in between finds it still damaged
        part = Path(f"{path}{suffix}")
        if part.exists():
            os.rename(part, f"{kept}{suffix}")
    return kept


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock between processes; a database is one that ends with its process on every system."""
    lock = path.with_name(f".{path.stem}.lock")
    with closing(sqlite3.connect(lock, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def _create(path: Path, records: Records) -> None:
    """Make the file under another name and link it into place: of two kernels that start at once, one file wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("-wal", "-shm"):  # of a ledger that is gone: SQLite would take them for the new one's
        left = Path(f"{path}{suffix}")
        if left.exists() and not path.exists():
            os.rename(left, path.with_name(f"{path.stem}.left-{uuid.uuid4().hex}.sqlite{suffix}"))
    fresh = path.with_name(f".{uuid.uuid4().hex}.sqlite")
    try:
        engine = make(fresh)
        with engine.begin() as connection:
            connection.exec_driver_sql("BEGIN")  # sqlite3 begins none for a savepoint: each would be a commit
            insert_found(connection, records())
        engine.dispose()
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass  # the other kernel's
        except OSError:  # a file system without hard links, e.g. a mounted cloud drive
            os.replace(fresh, path)
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{fresh}{suffix}").unlink(missing_ok=True)


def found_rows(folder: Path) -> Iterator[Row]:
    """What the folder itself tells of its generations: saved videos first, then what is under way; each once."""
    seen = set()
    for row in (*_saved(folder / "videos"), *pending.rows(folder)):
        if row.client_request_id not in seen:
            seen.add(row.client_request_id)
            yield row


def _saved(videos: Path) -> Iterator[Row]:
    names = {path.with_suffix(".mp4") for pattern in ("*.mp4", "*.json") for path in videos.glob(pattern)}
    for path in sorted(names):
        row = _sidecar(path.with_suffix(".json")) or _embedded(path)
        if row is not None:
            yield row.with_(
                video_file=path.name, status="completed", saved=row.saved or row.completed or row.created,
                error_name=None, error_message=None,
            )  # fmt: skip


def _sidecar(path: Path) -> Row | None:
    try:
        return row_of(path.read_bytes()) if path.stat().st_size <= LARGEST_SIDECAR else None
    except OSError:
        return None


def _embedded(path: Path) -> Row | None:
    try:
        content = mp4_metadata.read(path)
    except OSError:
        return None
    return row_of(content) if content is not None else None
