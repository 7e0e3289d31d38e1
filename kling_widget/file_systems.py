"""On what kind of file system a folder lies: SQLite's write-ahead log needs one that this machine has to itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")  # Linux; elsewhere nothing is known

# `fuse.drive` is Google Drive in Colab (google/colab/drive.py); `fuseblk`, not among them, is a local disk.
_SHARED = re.compile(
    r"fuse$|fuse\.|nfs|cifs$|smb|9p$|drvfs$|afs$|ceph$|lustre$|gpfs$|glusterfs$|davfs$|virtiofs$|vboxsf$"
)


def is_shared(path: Path) -> bool:
    """Whether a path lies on a network's or a program's file system, as mounted cloud drives are.

    There, memory shared between processes (https://sqlite.org/wal.html, "Disadvantages") may not be had, and files are
    copied one by one to wherever they are kept: a database and its log may come from different moments.
    """
    kind = file_system(path)
    return kind is not None and _SHARED.match(kind) is not None


def file_system(path: Path) -> str | None:
    """The type of the file system a path lies on (``ext4``, ``fuse.drive``); None where that can't be known."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found, kind = -1, None
    target = Path(os.path.realpath(path))
    for line in lines:
        _, folder, this, *_ = line.split(" ")
        mounted = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), folder)  # a space is written \040
        if target.is_relative_to(mounted) and len(mounted) >= found:  # of two on one folder, the later hides the first
            found, kind = len(mounted), this
    return kind
