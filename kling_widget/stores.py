"""``Store``: where a workspace lies that is no folder: ``s3://bucket/clips``, ``gs://…``, ``memory://…``.

Every call blocks: call it beside the event loop. Endpoints, keys and the like come from fsspec's own configuration and
from the environment of its file systems.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from .addresses import checked_address, explained, file_system_class, scheme_of
from .errors import StoreError

AT_ONCE = 500  # small files read together


class Store:
    """A folder at an address.

    Parameters
    ----------
    address
        Such as ``s3://bucket/clips``; see :func:`checked_address`.

    Raises
    ------
    KlingError
        The address is none, or what serves it is not installed.
    """

    def __init__(self, address: str) -> None:
        self.address = checked_address(address)
        file_system_class(scheme_of(self.address))
        self._opened: tuple[int, Any, str] | None = None

    def __repr__(self) -> str:
        return f"Store({self.address!r})"

    def address_of(self, name: str) -> str:
        """The address of a file, for people and for other tools."""
        return f"{self.address}/{name}"

    def write(self, data: bytes, name: str) -> None:
        """Put a small file there; as `put`."""
        with self._explained("written"), tempfile.TemporaryDirectory(prefix="kling_widget-") as folder:
            local = Path(folder, "file")
            local.write_bytes(data)
            self.put(local, name)

    def put(self, local: Path, name: str) -> None:
        """Copy a file there; nobody ever sees half of it under its name.

        Raises
        ------
        StoreError
            It is not there.
        """
        _check_name(name)
        size = local.stat().st_size
        with self._explained("written"):
            file_system, target = self._place(name)
            if _renames(file_system):
                self._put_and_rename(file_system, local, target)
            else:  # an object store: an object is there when all of it is, and a rename would be another copy
                file_system.put_file(str(local), target)
        if self.size(name) != size:
            error = StoreError(f"{self.address} did not keep all of {name}.", hint="Try again later.")
            error.passing = True
            raise error

    def _put_and_rename(self, file_system: Any, local: Path, target: str) -> None:
        folder, _, _ = target.rpartition("/")
        file_system.makedirs(folder, exist_ok=True)
        partial = f"{target}.{uuid.uuid4().hex}.part"
        try:
            file_system.put_file(str(local), partial)
            file_system.mv(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):  # what is left there does no harm
                file_system.rm_file(partial)
            raise

    def get(self, name: str, local: Path, limit: int, is_whole: Callable[[Path], bool] = lambda path: True) -> bool:
        """Copy a file from there, under another name first.

        Parameters
        ----------
        name
            Which.
        local
            Where to.
        limit
            Bytes; a larger one is left alone.
        is_whole
            Asked of what came: other programs write there, too, and may have died half-way.

        Returns
        -------
        Whether it is there, and whole.

        Raises
        ------
        StoreError
            It cannot be read.
        """
        size = self.size(name)
        if size is None:
            return False
        if size > limit:
            raise StoreError(f"{self.address_of(name)} is too large: {size:,} bytes.", hint="It is left alone.")
        partial = local.with_name(f"{local.name}.{uuid.uuid4().hex}.fetched")
        try:
            local.parent.mkdir(parents=True, exist_ok=True)
            partial.touch()
        except OSError as error:
            raise StoreError(
                f"The scratch folder {local.parent} cannot be written: {(error.strerror or str(error)).lower()}.",
                hint="Make room, or set KLING_WIDGET_CACHE to another folder.",
            ) from error
        with self._explained("read"):
            file_system, source = self._place(name)
            try:
                file_system.get_file(source, str(partial))
                if partial.stat().st_size != size:
                    raise OSError(errno.EIO, "the connection broke")
                if not is_whole(partial):
                    return False
                os.replace(partial, local)
            except FileNotFoundError:
                return False
            finally:
                partial.unlink(missing_ok=True)
        return True

    def read(self, name: str, limit: int) -> bytes | None:
        """The bytes of a small file; None where it is not there, or larger than `limit` bytes.

        Raises
        ------
        StoreError
            It cannot be read.
        """
        size = self.size(name)
        if size is None or size > limit:
            return None
        with self._explained("read"):
            file_system, source = self._place(name)
            try:
                return bytes(file_system.cat_file(source)[:limit])
            except FileNotFoundError:
                return None

    def sizes(self, folder: str) -> dict[str, int]:
        """Name and size (bytes) of every file in one of its folders.

        Raises
        ------
        StoreError
            They cannot be listed.
        """
        _check_name(folder)
        with self._explained("read"):
            file_system, path = self._place(folder)
            file_system.invalidate_cache(path)
            try:
                found = file_system.ls(path, detail=True)
            except FileNotFoundError:
                return {}
        sizes = {entry["name"].rpartition("/")[2]: entry["size"] for entry in found if entry["type"] == "file"}
        return {name: int(size or 0) for name, size in sizes.items() if _is_plain(name)}

    def small_files(self, names: Iterable[str], limit: int) -> Iterator[tuple[str, bytes]]:
        """Names and bytes of files that are not empty, many at a time; of each at most `limit` bytes.

        Raises
        ------
        StoreError
            They cannot be read.
        """
        remaining = iter(names)
        while batch := list(islice(remaining, AT_ONCE)):
            with self._explained("read"):
                places = {self._place(name)[1]: name for name in batch}
                file_system, _ = self._place(batch[0])
                contents = file_system.cat_ranges(list(places), 0, limit, on_error="return")
                for content in contents:
                    if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                        raise content
            found = zip(places.values(), contents, strict=True)
            yield from ((name, bytes(content)) for name, content in found if not isinstance(content, Exception))

    def size(self, name: str) -> int | None:
        """Bytes of a file as it is now; None where it is not there.

        Raises
        ------
        StoreError
            Nobody can tell. Also where it may not be looked at: S3 says so, too, of what is not there, to whoever may
            not list.
        """
        _check_name(name)
        with self._explained("read"):
            file_system, path = self._place(name)
            file_system.invalidate_cache(path)  # another machine may have put it there a moment ago
            try:
                found = file_system.info(path)
            except FileNotFoundError:
                return None
            return int(found["size"]) if found.get("type") == "file" else None

    def remove(self, name: str) -> None:
        """Take a file away.

        Raises
        ------
        StoreError
            It may be there still.
        """
        _check_name(name)
        with self._explained("written"):
            file_system, path = self._place(name)
            file_system.rm_file(path)

    def _place(self, name: str) -> tuple[Any, str]:
        """The file system, made anew after a fork, and the path of a file in it."""
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            from fsspec.core import url_to_fs

            self._opened = opened = (os.getpid(), *url_to_fs(self.address))
        _, file_system, root = opened
        return file_system, f"{root.rstrip('/')}/{name}"

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            with explained(self.address, done):
                yield
        except StoreError as error:
            if not error.passing:
                self._opened = None  # whoever mends it need not restart the kernel
            raise


def _check_name(name: str) -> None:
    """Raise `ValueError` where the name of a file leads out of its folder."""
    if not all(_is_plain(part) for part in name.split("/")):
        raise ValueError(f"not a file of a workspace: {name!r}")


def _is_plain(part: str) -> bool:
    return part not in {"", ".", ".."} and "\\" not in part and part.isprintable()


def _renames(file_system: Any) -> bool:
    """Whether files can be renamed there. fsspec's own `mv` is a copy: what has no other is an object store."""
    from fsspec import AbstractFileSystem

    return type(file_system).mv is not AbstractFileSystem.mv
