"""``RemoteWorkspace``: a workspace at an address, ``s3://bucket/clips``, with a local scratch folder in front of it.

Whatever works on files works on the scratch copy. A picture is in the store when it is kept, a video before the ledger
calls it saved; what is missing here is fetched from there when its bytes are needed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from . import media, mp4_metadata, posters, scratch
from .databases import Database, database_of
from .errors import DownloadError, KlingError, StoreError
from .ledger_row import row_of
from .media import LARGEST_VIDEO
from .picture_codec import MAX_BYTES as LARGEST_PICTURE
from .stored_video import LARGEST_RECORD, StoredVideo
from .stores import Store
from .workspace import SUFFIXES, Workspace, is_sha256

if TYPE_CHECKING:
    from .ledger import Row


class RemoteWorkspace(Workspace):
    """Videos and pictures in a store, the ledger in a database, and a scratch folder on this machine.

    Parameters
    ----------
    address
        Where they lie: ``s3://bucket/clips``.
    database
        The ledger's database.
    """

    def __init__(self, address: str, database: str | Database | None = None) -> None:
        self.store = Store(address)
        if (database := database_of(database)) is None:
            raise KlingError(
                f"The ledger of {self.store.address} needs a database: SQLite cannot lie in such a store.",
                hint='Give database="postgresql+psycopg://user:password@host/name", or for one machine alone '
                'database="sqlite:////home/me/clips.sqlite".',
            )
        super().__init__(scratch.folder_of(self.store.address), database)
        self._most = scratch.limit()
        self._stored: set[str] = set()  # pictures known to be there: each is asked for once a process

    @property
    def address(self) -> str:
        """Where videos and pictures lie."""
        return self.store.address

    @property
    def has_ledger(self) -> bool:
        """Always: where the database has none, the store may tell of what was made."""
        return True

    def found_rows(self) -> Iterator[Row]:
        """What the store tells of its videos, what waits here to be put there, and what is under way; each once."""
        names, seen = self.store.sizes("videos"), set()
        sized = [name for name, size in sorted(names.items()) if 0 < size <= LARGEST_RECORD]
        records = [f"videos/{name}" for name in sized if name.endswith(".json")]
        for name, content in self.store.small_files(records, LARGEST_RECORD):
            row, video = row_of(content), f"{Path(name).stem}.mp4"
            if row is not None and row.client_request_id not in seen:
                seen.add(row.client_request_id)
                done = row.saved or row.completed or row.created
                yield row.with_(
                    video_file=video,
                    status="completed",
                    saved=done if video in names else None,  # the record is put there first
                    error_name=None,
                    error_message=None,
                )
        for row in super().found_rows():
            if row.client_request_id not in seen:
                yield row.with_(saved=None)

    # Whether another process has the same workspace

    def leave_mark(self, name: str) -> None:
        """As of a folder."""
        self.store.write(b"kling_widget", name)

    def sees_mark(self, name: str) -> bool:
        """As of a folder."""
        return self.store.size(name) is not None

    def remove_mark(self, name: str) -> None:
        """As of a folder."""
        with contextlib.suppress(StoreError):
            self.store.remove(name)

    # Pictures

    def keep_image(self, sha256: str, suffix: str, data: bytes) -> Path:
        """As of a folder; in the store when this returns.

        Raises
        ------
        KlingError
            The scratch folder or the store can't be written to. Nothing was submitted.
        """
        target = super().keep_image(sha256, suffix, data)
        scratch.use(target)
        if target.name not in self._stored:
            name = f"images/{target.name}"
            try:
                if not self._is_stored(target):
                    self.store.put(target, name)
            except StoreError as error:
                error.hint = f"Nothing was submitted. {error.hint}"
                raise
            self._stored.add(target.name)
            self._trim()
        return target

    def find_image(self, sha256: str) -> Path | None:
        """A picture kept earlier, fetched where it is not here.

        Raises
        ------
        StoreError
            Nobody can tell now whether it is there.
        """
        found = super().find_image(sha256)
        if found is not None or not is_sha256(sha256):
            return found
        denied: StoreError | None = None
        for suffix in SUFFIXES:
            path = self.path / "images" / f"{sha256}{suffix}"
            try:
                if self.store.get(f"images/{path.name}", path, LARGEST_PICTURE):
                    self._trim()
                    return super().find_image(sha256)
            except StoreError as error:
                denied = error
        if denied is not None:
            raise denied
        return None

    # Videos

    def has_video(self, row: Row, *, look: bool = False) -> bool:
        """Whether a video is to be had. What was saved is taken to be there: a list of thousands asks for none."""
        if row.saved is None or not row.video_file:
            return False
        video = self.video_target(row)
        try:
            return not look or video.exists() or self.store.size(f"videos/{video.name}") is not None
        except StoreError:  # nobody can tell now
            return True

    def bring(self, video: Path) -> bool:
        """See to it that a video is here.

        Raises
        ------
        StoreError
            Nobody can tell now whether it is there.
        """
        name = f"videos/{video.name}"
        if not video.exists() and self.store.get(name, video, LARGEST_VIDEO, mp4_metadata.is_whole):
            self._trim()
        scratch.use(video)
        return video.exists()

    def deliver(self, video: Path, row: Row) -> None:
        """Put a video there, after what lies beside it: its record, and its first frame as a small JPEG.

        Raises
        ------
        StoreError
            It is not there.
        """
        self._put_record(video, row)
        with contextlib.suppress(DownloadError):  # no frame to be had: the vendor's word for what it is stands
            self.store.write(posters.first_look(video, [posters.POSTER])[1][0], f"videos/{video.stem}.jpg")
        self.store.put(video, f"videos/{video.name}")
        self._trim()

    def keep_metadata(self, video: Path, row: Row) -> None:
        """Write again what a video was made from; where that fails the video still says it itself."""
        with contextlib.suppress(StoreError):
            self._put_record(video, row)

    def _put_record(self, video: Path, row: Row) -> None:
        try:
            info: media.MediaInfo | None = media.probe(video)
        except DownloadError:  # not here any more, or not to be read
            info = self.stored(video).info()
        record = row.record() if info is None else {**row.record(), "media": asdict(info)}
        self.store.write(json.dumps(record, ensure_ascii=False, indent=1).encode(), f"videos/{video.stem}.json")

    def stored(self, video: Path) -> StoredVideo:
        """The same video as the store has it."""
        return StoredVideo(self.store, video, self.bring)

    def _is_stored(self, path: Path) -> bool:
        """Whether the store has the whole of a file of the scratch folder, as far as it says."""
        try:
            return self.store.size(f"{path.parent.name}/{path.name}") == path.stat().st_size
        except (StoreError, OSError):
            return False

    def _trim(self) -> None:
        scratch.trim(self.path, self._most, self._is_stored)
