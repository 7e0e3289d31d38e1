"""The folder a person sees: ``ledger.sqlite``, ``images/<sha256>.*``, ``videos/*.mp4``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import unicodedata
import uuid
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from . import background
from .databases import Database, database_of, hidden_database
from .errors import KlingError

if TYPE_CHECKING:
    from .ledger import Ledger, Row
    from .stored_video import StoredVideo

DEFAULT = "kling_videos"  # relative to the notebook's folder: Jupyter serves only what lies under its root
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
SUFFIXES = (".jpg", ".png")


class Workspace:
    """The folder that keeps videos, pictures and the ledger.

    Parameters
    ----------
    path
        The folder; by default ``KLING_WIDGET_WORKSPACE`` or ``./kling_videos``. It is made when first written to.
    database
        Where its ledger is: ``postgresql+psycopg://user:password@host/database``, or ``sqlite:////absolute/file``. By
        default ``KLING_WIDGET_DATABASE``, or ``ledger.sqlite`` in the folder. The password is shown nowhere.

    Raises
    ------
    InvalidRequestError
        No ledger can be kept in a database of that name.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, database: str | Database | None = None) -> None:
        database = hidden_database(database)
        chosen = path or os.environ.get("KLING_WIDGET_WORKSPACE") or DEFAULT
        # As written, though no longer relative: the notebook's page is given what lies below a link in its folder.
        self.path = Path(os.path.abspath(Path(chosen).expanduser()))
        self.database = database_of(database)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    @property
    def address(self) -> str:
        """Where it lies, for people."""
        return str(self.path)

    @property
    def ledger_is_a_file(self) -> bool:
        """Whether the ledger is SQLite's, which is safe on one machine only."""
        return self.database is None or self.database.file is not None

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of this folder.

        Raises
        ------
        KlingError
            It can't be read or written, or was written by a newer version; see :class:`~kling_widget.ledger.Ledger`.
        """
        from .ledger import Ledger
        from .ledger_places import place_of

        ledger = Ledger(place_of(self.database, self.path, self.found_rows))
        # Opening looks at a file's ends, so that nobody waits. All of it is looked at beside the first use.
        background.go(background.in_thread(ledger.look_through))
        return ledger

    def found_rows(self) -> Iterator[Row]:
        """What the workspace itself tells of its generations, for a ledger that has none."""
        from .ledger_repair import found_rows

        return found_rows(self.path)

    @property
    def has_ledger(self) -> bool:
        """Whether anything was ever submitted here; looking must not make the folder."""
        if self.database is not None and (self.database.file is None or self.database.file.exists()):
            return True
        return any((self.path / name).exists() for name in ("ledger.sqlite", "videos", "pending"))

    @property
    def simulator_state(self) -> Path:
        """Where the built-in simulator keeps what it was asked for, so that a kernel restart loses nothing."""
        return self.path / ".simulator"

    def keep_image(self, sha256: str, suffix: str, data: bytes) -> Path:
        """Keep a picture as it is sent, once, under its source's SHA-256.

        Raises
        ------
        KlingError
            The folder can't be written to.
        """
        target = self.path / "images" / f"{_checked_sha256(sha256)}{suffix}"
        # Not by its name alone: a power cut or a drive half in step leaves less, a picture editor another picture.
        if self._leads_out(target) or not _holds(target, data):
            partial = target.with_suffix(f".{uuid.uuid4().hex}.part")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                _write(partial, data, target, lasting=True)
            except OSError as error:
                raise KlingError(
                    f"The workspace {self.path} cannot be written: {(error.strerror or str(error)).lower()}.",
                    hint="Nothing was submitted. Make room, or choose another folder with workspace=….",
                ) from error
        return target

    def find_image(self, sha256: str) -> Path | None:
        """A picture kept earlier; None also where the name, from the ledger or a link, leads out of the folder."""
        if not is_sha256(sha256):
            return None
        found = (self.path / "images" / f"{sha256}{suffix}" for suffix in SUFFIXES)
        return next((path for path in found if path.is_file() and not self._leads_out(path)), None)

    def name_video(self, row: Row) -> str:
        """A file name a person can read: day, first frame, prompt, take. Never one that is taken."""
        day = datetime.fromtimestamp(row.created).astimezone().strftime("%Y-%m-%d")
        frame = _slug(Path((row.pictures.get("image_url") or {}).get("name", "")).stem, 24)
        words = [day, frame, _slug(row.request.get("prompt", ""), 48), f"take{row.take}" if row.take > 1 else ""]
        stem = "-".join(word for word in words if word)
        return f"{stem}-{re.sub(r'[^A-Za-z0-9]', '-', row.client_request_id[-8:])}.mp4"

    def video_target(self, row: Row) -> Path:
        """Where its video lies, or goes: never outside the folder, whatever name the ledger has."""
        for name in (row.video_file, self.name_video(row)):
            with contextlib.suppress(ValueError):
                return self.video_path(name or "")
        return self.video_path(f"{uuid.uuid4().hex}.mp4")

    def video_path(self, name: str) -> Path:
        """Where a video of that name lies.

        Raises
        ------
        ValueError
            The name, or a link of that name, leads out of the folder (anybody may have edited the ledger).
        """
        if name != os.path.basename(name) or name in {"", ".", ".."} or "\\" in name or not name.isprintable():
            raise ValueError(f"not a file name: {name!r}")
        path = self.path / "videos" / name
        if self._leads_out(path):
            raise ValueError(f"a link to somewhere else: {name!r}")
        return path

    def _leads_out(self, path: Path) -> bool:
        return path.is_symlink() and not path.resolve().is_relative_to(self.path.resolve())

    # What a workspace whose videos lie elsewhere does otherwise (`remote_workspace.py`)

    def has_video(self, row: Row, *, look: bool = False) -> bool:
        """Whether the video of a row is to be had; a store is asked only with `look`, else trusted."""
        return self.video_target(row).exists()

    def bring(self, video: Path) -> bool:
        """See to it that a video is on this machine, if it is to be had; returns whether it is."""
        return video.exists()

    def deliver(self, video: Path, row: Row) -> None:
        """Put a video that is whole where the workspace keeps its videos: it lies there already.

        What it was made from is written beside it now, before the ledger calls it saved: whoever is killed meanwhile
        leaves a video that the next process finishes.
        """
        self.keep_metadata(video, row.with_(saved=time.time()))

    def stored(self, video: Path) -> StoredVideo | None:
        """The video as a store has it; None where the file is all there is."""
        return None

    # Whether another process has the same workspace

    def leave_mark(self, name: str) -> None:
        """Leave a mark that every process on this workspace sees.

        Raises
        ------
        KlingError
            The workspace can't be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / name).touch()
        except OSError as error:
            raise KlingError(
                f"The workspace {self.path} cannot be written: {(error.strerror or str(error)).lower()}.",
                hint="Nothing was submitted. Choose another folder with workspace=….",
            ) from error

    def sees_mark(self, name: str) -> bool:
        """Whether another process left it here."""
        return (self.path / name).exists()

    def remove_mark(self, name: str) -> None:
        """It has served."""
        with contextlib.suppress(OSError):
            (self.path / name).unlink(missing_ok=True)

    def keep_metadata(self, video: Path, row: Row) -> None:
        """Write what a video was made from beside it, where that is possible: the video says it itself, too."""
        target = video.with_suffix(".json")
        text = json.dumps(row.record(), ensure_ascii=False, indent=1)
        with contextlib.suppress(OSError):  # a full disk or read-only folder must not lose a video that is there
            _write(target.with_name(target.name + ".part"), text.encode("utf-8"), target)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _write(partial: Path, data: bytes, target: Path, *, lasting: bool = False) -> None:
    """Write a file under another name, then give it its own; `lasting`: a power cut right after leaves it whole."""
    partial.unlink(missing_ok=True)
    try:
        with open(partial, "xb") as file:  # a new file: a link put there is not followed
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _slug(text: str, longest: int) -> str:
    """A few plain words of a text, for a file name."""
    plain = unicodedata.normalize("NFKD", text[:200]).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(words) <= longest:
        return words
    return words[:longest].rsplit("-", 1)[0] if "-" in words[:longest] else words[:longest]


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in hex."""
    return _SHA256.match(text) is not None


def _checked_sha256(sha256: str) -> str:
    if not is_sha256(sha256):
        raise ValueError(f"not a SHA-256: {sha256!r}")
    return sha256
