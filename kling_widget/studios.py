"""The studios of this process: one for each workspace, database and provider, so that nothing is watched twice."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from . import background
from .credentials import ApiKey, hidden
from .databases import Database, hidden_database
from .studio import Studio

# A fork's child keeps them, and with them the keys that were given: each has forgotten what is its parent's.
_studios: dict[tuple[Path, Database | None, str], Studio] = {}
_studios_lock = threading.Lock()


def _in_child() -> None:
    global _studios_lock
    _studios_lock = threading.Lock()


background.in_child(_in_child)


def studio_for(
    *,
    api_key: str | ApiKey | None = None,
    base_url: str | None = None,
    workspace: str | os.PathLike[str] | None = None,
    database: str | Database | None = None,
    simulate: bool = False,
) -> Studio:
    """The studio of a workspace, its database and a provider, made when it is first asked for.

    Parameters as of :class:`Studio`. A key given later replaces the one before.
    """
    api_key, database = hidden(api_key), hidden_database(database)
    if api_key is not None:
        api_key = ApiKey(api_key)  # a bad one is refused before it takes the place of a good one
    fresh = Studio(api_key=api_key, base_url=base_url, workspace=workspace, database=database, simulate=simulate)
    with _studios_lock:
        studio = _studios.setdefault((fresh.workspace.path.resolve(), fresh.workspace.database, fresh.provider), fresh)
    if api_key is not None and studio is not fresh:
        studio.use_key(api_key)
    return studio
