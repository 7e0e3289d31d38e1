"""``pending/<client request id>.json``: what is being submitted or made, so that no paid id hangs on the ledger alone.

Written before the POST, with room for the id that comes back: noting it then takes no space, so that it works on a
full disk too. Removed once the video is saved or the vendor has refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from .ledger_row import Row, row_of

ROOM = 1200  # bytes kept free for the id: 256 characters, the most we take, in UTF-8 and JSON, and to spare


def write(folder: Path, row: Row) -> None:
    """Keep what is about to be submitted; it is on the disk when this returns.

    Raises
    ------
    OSError
        It can't be written: nothing must be submitted.
    """
    path = _path(folder, row.client_request_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with open(partial, "wb") as file:
        file.write(json.dumps(row.record()).encode() + b"\n" + _padded(row.generation_id))
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def note_id(folder: Path, client_request_id: str, generation_id: str) -> None:
    """Keep the id that was paid for, in the room made for it.

    Raises
    ------
    OSError
        The file is gone or can't be written.
    """
    with open(_path(folder, client_request_id), "r+b") as file:
        file.seek(len(file.readline()))
        file.write(_padded(generation_id))
        file.flush()
        os.fsync(file.fileno())


def noted_id(folder: Path, client_request_id: str) -> str | None:
    """The id kept for a submission, if there is one."""
    row = _read(_path(folder, client_request_id))
    return row.generation_id if row is not None else None


def remove(folder: Path, client_request_id: str) -> None:
    """Forget it: it is saved, or refused."""
    _path(folder, client_request_id).unlink(missing_ok=True)


def rows(folder: Path) -> Iterator[Row]:
    """Everything kept, as rows."""
    for path in sorted((folder / "pending").glob("*.json")):
        row = _read(path)
        if row is not None and path == _path(folder, row.client_request_id):
            yield row


def _path(folder: Path, client_request_id: str) -> Path:
    return folder / "pending" / f"{client_request_id.replace(':', '_')}.json"


def _read(path: Path) -> Row | None:
    try:
        record, _, rest = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    row = row_of(record)
    try:
        noted = json.loads(rest)
    except ValueError:  # torn while it was written
        noted = None
    if row is None or not isinstance(noted, str):
        return row
    return row_of(json.dumps(row.with_(generation_id=noted, status="queued").record()).encode())


def _padded(generation_id: str | None) -> bytes:
    return json.dumps(generation_id).encode().ljust(ROOM) + b"\n"
