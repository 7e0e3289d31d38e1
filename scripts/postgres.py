"""Finds the PostgreSQL of the tests: ``python -m scripts.postgres`` installs it where that is possible.

The distribution's server is wanted. The tests start one of their own from it, in a temporary folder.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from scripts.distribution import ensure

DEBIAN = Path("/usr/lib/postgresql")  # one folder a version there, none of them on the PATH

MISSING = (
    "The tests of a ledger on PostgreSQL need its server and none was found: install it with "
    "`sudo apt-get install postgresql` (Debian; elsewhere PostgreSQL from your package manager), "
    "or say where its programs are with POSTGRES_BIN=/path/to/bin."
)


def find_programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, the newest version first, or None. POSTGRES_BIN goes first."""
    named = os.environ.get("POSTGRES_BIN")
    if named:
        folders = [Path(named)]
    else:
        versions = DEBIAN.iterdir() if DEBIAN.is_dir() else ()
        folders = sorted((each / "bin" for each in versions), key=_version, reverse=True)
        found = shutil.which("initdb")
        folders += [Path(found).resolve().parent] if found else []
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def _version(programs: Path) -> int:
    return int(programs.parent.name) if programs.parent.name.isdigit() else 0


if __name__ == "__main__":
    sys.exit(ensure(find_programs, "postgresql", MISSING, named="POSTGRES_BIN"))
