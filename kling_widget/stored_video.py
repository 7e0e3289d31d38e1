"""``StoredVideo``: a saved video as a store has it, for a `Video` whose file may not be on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from .errors import DownloadError, StoreError
from .media import MediaInfo
from .stores import Store

LARGEST_RECORD = 1 << 20  # bytes read of what lies beside a video; anybody may have put it there
LARGEST_POSTER = 1 << 20


class _Record(msgspec.Struct):
    """What we read again of the record beside a video."""

    media: MediaInfo


class StoredVideo:
    """A video in a store. Everything here asks the network: call it beside the event loop.

    Parameters
    ----------
    store
        Where it lies.
    place
        Where its file is on this machine, or goes when it is fetched.
    bring
        Fetches it there unless it is there; returns whether it is there now.
    """

    def __init__(self, store: Store, place: Path, bring: Callable[[Path], bool]) -> None:
        self._store, self._place, self._bring = store, place, bring
        self._size: int | None = None

    @property
    def address(self) -> str:
        """Where it lies: ``s3://bucket/clips/videos/….mp4``."""
        return self._store.address_of(self._name(".mp4"))

    def here(self) -> Path:
        """Its file on this machine, fetched if need be.

        Raises
        ------
        DownloadError
            It cannot be fetched.
        """
        try:
            found = self._bring(self._place)
        except StoreError as error:
            raise DownloadError(f"The video is not on this machine: {error.message}", hint=error.hint) from error
        if not found:
            raise self._gone()
        return self._place

    def size(self) -> int:
        """Bytes. Raises `DownloadError` if it is not there or cannot be looked at."""
        try:
            self._size = self._size or self._store.size(self._name(".mp4"))
        except StoreError as error:
            raise DownloadError(error.message, hint=error.hint) from error
        if self._size is None:
            raise self._gone()
        return self._size

    def info(self) -> MediaInfo | None:
        """What the record beside it says of its header; None where that says nothing."""
        try:
            content = self._store.read(self._name(".json"), LARGEST_RECORD)
            return None if content is None else msgspec.json.decode(content, type=_Record).media
        except (StoreError, msgspec.MsgspecError, ValueError, RecursionError):
            return None

    def poster(self) -> bytes | None:
        """The small JPEG beside it, if it is there."""
        try:
            content = self._store.read(self._name(".jpg"), LARGEST_POSTER)
        except StoreError:
            return None
        return content if content is not None and content.startswith(b"\xff\xd8\xff") else None

    def _name(self, suffix: str) -> str:
        return f"videos/{self._place.with_suffix(suffix).name}"

    def _gone(self) -> DownloadError:
        return DownloadError(
            f"The video {self.address} is not there any more.",
            hint="kling_widget.resume(generation_id) fetches it again, free of charge, as long as the vendor keeps it.",
        )
