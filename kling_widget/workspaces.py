"""Which workspace a path or an address means. One in a store needs more than a widget in a folder waits for."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from .addresses import is_address, scheme_of
from .databases import Database
from .errors import KlingError
from .workspace import Workspace


def workspace_at(path: str | os.PathLike[str] | None = None, database: str | Database | None = None) -> Workspace:
    """The workspace of a folder or an address.

    Parameters
    ----------
    path
        A folder, or an address that fsspec knows (``s3://bucket/clips``); by default ``KLING_WIDGET_WORKSPACE`` or
        ``./kling_videos``.
    database
        Where its ledger is; a folder has one of its own.

    Raises
    ------
    KlingError
        The address cannot be used, or there is no database for its ledger.
    """
    chosen = path or os.environ.get("KLING_WIDGET_WORKSPACE")
    text = os.fspath(chosen) if chosen else None
    if isinstance(path, os.PathLike) and text is not None and re.match(r"[a-z0-9]{2,}:/(?!/)", text):
        raise KlingError(f"{text} is an address that a Path has changed.", hint='Give it as text: "s3://bucket/clips".')
    if text is None or not is_address(text):
        return Workspace(path, database)
    if scheme_of(text) in ("file", "local"):  # a folder, with all that a folder promises
        return Workspace(_path_of(text), database)
    from .remote_workspace import RemoteWorkspace

    return RemoteWorkspace(text, database)


def _path_of(address: str) -> str:
    from urllib.request import url2pathname  # brings an HTTP client along

    parts = urlsplit(address.strip())
    if parts.netloc not in ("", "localhost"):
        raise KlingError(f"{parts.scheme}:// with a host is no folder here.", hint="It looks like file:///data/clips.")
    return url2pathname(parts.path)
