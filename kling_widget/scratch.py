"""The local folder in front of a workspace at an address: where it is, and how large it may grow."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from .errors import KlingError

IN_USE = 60.0  # seconds after which whoever asked for a file has opened it
LIMIT = 5.0  # GB; ours: some 400 clips of 12 MB, and little enough for a notebook's disk


def folder_of(address: str) -> Path:
    """The folder of an address: below ``KLING_WIDGET_CACHE``, or where this system keeps caches.

    Raises
    ------
    KlingError
        platformdirs is not installed, which knows where that is.
    """
    chosen = os.environ.get("KLING_WIDGET_CACHE")
    if chosen:
        base = Path(chosen).expanduser()
    else:
        try:
            from platformdirs import user_cache_path
        except ImportError:
            raise KlingError(
                "A workspace at an address needs the package platformdirs, which is not installed.",
                hint='pip install "kling-widget[remote]", or name a folder in KLING_WIDGET_CACHE.',
            ) from None
        base = user_cache_path("kling_widget", appauthor=False)
    plain = re.sub(r"[^a-z0-9]+", "-", address.lower()).strip("-")[:40]
    return base.resolve() / f"{plain}-{hashlib.sha256(address.encode()).hexdigest()[:12]}"


def limit() -> float:
    """How many bytes of videos and pictures are kept in such a folder: ``KLING_WIDGET_CACHE_GB``, or 5 GB.

    Raises
    ------
    KlingError
        The variable is no number.
    """
    chosen = os.environ.get("KLING_WIDGET_CACHE_GB") or LIMIT
    try:
        gigabytes = float(chosen)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes >= 0:
        raise KlingError(f"KLING_WIDGET_CACHE_GB is not a number of gigabytes: {chosen!r}.")
    return gigabytes * 1e9


def use(path: Path) -> None:
    """Note that a file is used now: what was not for longest leaves first."""
    with contextlib.suppress(OSError):  # gone, or read-only: then it is not the latest
        os.utime(path)


def trim(folder: Path, most: float, is_stored: Callable[[Path], bool]) -> None:
    """Remove what was not used for longest until the rest is small enough.

    Never what is not stored yet, nor what was asked for a moment ago.

    Parameters
    ----------
    folder
        The scratch folder.
    most
        Bytes.
    is_stored
        Whether the store has the whole of it, which is asked of the store itself.
    """
    paths = [path for kind in ("images/*", "videos/*.mp4") for path in folder.glob(kind)]
    files = [(path, found) for path in paths if (found := _stat(path)) is not None]
    over = sum(found.st_size for _, found in files) - most
    for path, found in sorted(files, key=lambda file: file[1].st_mtime):
        if over <= 0 or time.time() - found.st_mtime < IN_USE:
            return
        if is_stored(path):
            with contextlib.suppress(OSError):  # in use, where that forbids it: another time
                path.unlink(missing_ok=True)
                over -= found.st_size


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # removed by another kernel meanwhile
        return None
