"""What Windows refuses to do with files, refused on this system: nothing of ours was ever run there.

It flushes no file that is open for reading only (`FlushFileBuffers` asks for GENERIC_WRITE), and neither renames nor
removes one that anybody has open the way Python and SQLite open it (without FILE_SHARE_DELETE). Known here is what the
running process has open, from Linux's ``/proc``.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def refused() -> Iterator[None]:
    """Refuse the same here."""
    fsync = os.fsync
    takes_away = {name: getattr(os, name) for name in ("replace", "rename", "unlink", "remove")}

    def flush(file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "open for reading only")
        fsync(number)

    def unless_open(name: str) -> Any:
        def act(*paths: Any, **how: Any) -> Any:
            for path in paths:
                if _is_open(path):
                    raise PermissionError(errno.EACCES, "in use by this process", os.fspath(path))
            return takes_away[name](*paths, **how)

        return act

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", flush)
        for name in takes_away:
            patch.setattr(os, name, unless_open(name))
        yield


def _is_open(path: Any) -> bool:
    try:
        wanted = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    for number in os.listdir("/proc/self/fd"):
        try:
            found = os.stat(f"/proc/self/fd/{number}")
        except OSError:  # closed meanwhile
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False
