"""``Store``: where a workspace lies that is no folder: ``s3://bucket/clips``, ``gs://…``, ``memory://…``.

fsspec and its file systems are imported when a store is made, never before. Every call blocks: call it beside the event
loop. Endpoints, keys and the like come from fsspec's own configuration and from the environment of its file systems.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import KlingError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=//|:)")  # two letters at least: C:\clips is a folder
_EXTRAS = {"s3": "s3", "s3a": "s3"}  # protocol → our extra that brings its file system
# The names of what the clouds' own libraries raise (botocore, azure-core, google-auth), none of which is imported here.
_NO_CREDENTIALS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),
    *("ClientAuthenticationError", "DefaultCredentialsError", "RefreshError"),
}
_FULL = {errno.ENOSPC, errno.EDQUOT}


class StoreError(KlingError):
    """A workspace's store (``s3://…``) cannot be read or written.

    Attributes
    ----------
    passing
        Whether it may work a little later: the network, a busy server. Not where access is denied.
    """

    passing = False


def is_address(text: object) -> bool:
    """Whether a workspace or picture is named by an address and not by a path."""
    return isinstance(text, str) and _SCHEME.match(text.strip()) is not None


def scheme_of(address: str) -> str:
    """``s3`` of ``s3://bucket``; empty where it is no address."""
    found = _SCHEME.match(address.strip())
    return found[1].lower() if found else ""


def checked_address(address: str) -> str:
    """An address with nothing in it that must not be shown, and nothing that leads out of it.

    Raises
    ------
    KlingError
        It holds a key, a password or a signature (it is not repeated then), chains file systems, or leads elsewhere.
    """
    scheme, rest = scheme_of(address), address.strip().partition("://")[2]
    if ":" in rest.rpartition("@")[0] or re.search(r"[?#]", rest):
        raise KlingError(
            "The address holds a key, a password or a signature: it would be shown and saved with everything made here.",
            hint="Give the address alone. Keys go where the store's own tools look for them, see docs/scale.md.",
        )
    if "::" in address or not rest.strip("/"):
        raise KlingError(f"{scheme}: is not an address of a folder.", hint="It looks like s3://bucket/clips.")
    if "\\" in rest or not rest.isprintable() or {".", ".."} & set(rest.split("/")):
        raise KlingError("The address has . or .. or odd signs in it.", hint="It looks like s3://bucket/clips.")
    return f"{scheme}://{rest.rstrip('/')}"


def file_system_class(scheme: str) -> Any:
    """fsspec's class for a protocol.

    Raises
    ------
    KlingError
        There is none, or its package is not installed; the sentence says which.
    """
    try:
        import fsspec
    except ImportError:
        extra = _EXTRAS.get(scheme, "remote")
        raise KlingError(
            f"{scheme}:// needs the package fsspec, which is not installed.",
            hint=f'pip install "kling-widget[{extra}]"' + ("" if extra != "remote" else f" and what serves {scheme}://."),
        ) from None
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        known = f'pip install "kling-widget[{_EXTRAS[scheme]}]"' if scheme in _EXTRAS else str(error)
        raise KlingError(f"What serves {scheme}:// is not installed.", hint=f"{known.rstrip('.')}.") from None
    except ValueError:
        raise KlingError(f"Nothing that is installed serves {scheme}://.", hint="Check the address.") from None


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
        self._class = file_system_class(scheme_of(self.address))
        self._opened: tuple[int, Any, str] | None = None

    def __repr__(self) -> str:
        return f"Store({self.address!r})"

    def address_of(self, name: str) -> str:
        """The address of a file, for people and for other tools."""
        return f"{self.address}/{name}"

    def write(self, data: bytes, name: str) -> None:
        """Put a small file there; as `put`."""
        with tempfile.TemporaryDirectory(prefix="kling_widget-") as folder:
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
        with explained(self.address, "written"):
            file_system, target = self._place(name)
            size = local.stat().st_size
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

    def get(self, name: str, local: Path, limit: int) -> bool:
        """Copy a file from there, under another name first.

        Parameters
        ----------
        name
            Which.
        local
            Where to.
        limit
            Bytes; a larger one is left alone.

        Returns
        -------
        Whether it is there.

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
        with explained(self.address, "read"):
            file_system, source = self._place(name)
            local.parent.mkdir(parents=True, exist_ok=True)
            try:
                file_system.get_file(source, str(partial))
                if partial.stat().st_size != size:
                    raise OSError(errno.EIO, "the connection broke")
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
        with explained(self.address, "read"):
            file_system, source = self._place(name)
            try:
                return bytes(file_system.cat_file(source)[:limit])
            except FileNotFoundError:
                return None

    def size(self, name: str) -> int | None:
        """Bytes of a file as it is now; None where it is not there, or may not be looked at.

        Raises
        ------
        StoreError
            Nobody can tell.
        """
        _check_name(name)
        with explained(self.address, "read"):
            file_system, path = self._place(name)
            file_system.invalidate_cache(path)  # another machine may have put it there a moment ago
            try:
                found = file_system.info(path)
            except (FileNotFoundError, PermissionError):  # S3 denies what is not there to whoever may not list
                return None
            return int(found["size"]) if found.get("type") == "file" else None

    def _place(self, name: str) -> tuple[Any, str]:
        """The file system, made anew after a fork, and the path of a file in it."""
        if self._opened is None or self._opened[0] != os.getpid():
            from fsspec.core import url_to_fs

            self._opened = (os.getpid(), *url_to_fs(self.address))
        _, file_system, root = self._opened
        return file_system, f"{root.rstrip('/')}/{name}"


def _check_name(name: str) -> None:
    """Raise `ValueError` where the name of a file leads out of its folder."""
    if {"", ".", ".."} & set(name.split("/")) or "\\" in name or not name.isprintable():
        raise ValueError(f"not a file of a workspace: {name!r}")


@contextmanager
def explained(address: str, done: str) -> Iterator[None]:
    """Turn what a file system raises into a sentence.

    Parameters
    ----------
    address
        What cannot be read or written; shown.
    done
        ``read`` or ``written``.

    Raises
    ------
    StoreError
        Whatever it was.
    """
    try:
        yield
    except (KlingError, TypeError, NameError):
        raise
    except Exception as error:  # fsspec has no errors of its own: each file system raises its library's
        what, hint, passing = _sentence(error)
        told = StoreError(f"{address} cannot be {done}: {what}.", hint=hint)
        told.passing = passing
        raise told from error


def _sentence(error: Exception) -> tuple[str, str, bool]:
    """What happened, what to do, and whether it may pass. No library's own words: they may hold a signed address."""
    chain = {type(each).__name__ for each in _causes(error)}
    if chain & _NO_CREDENTIALS:
        where = "Give them where the store's own tools look for them (for S3 the AWS_… variables or ~/.aws)"
        return "no credentials for it were found", f"{where}, see docs/scale.md.", False
    if isinstance(error, PermissionError):
        return "access is denied", "Check the credentials, and what they may do there.", False
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket or folder", "Make it, or check the address.", False
    if isinstance(error, OSError) and error.errno in _FULL:
        return "there is no room left, there or in the cache", "Make room, or set KLING_WIDGET_CACHE to a folder that has some.", True
    return f"it cannot be reached now ({type(error).__name__})", "Check the network, and try again.", True


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _renames(file_system: Any) -> bool:
    """Whether files can be renamed there. fsspec's own `mv` is a copy: what has no other is an object store."""
    from fsspec import AbstractFileSystem

    return type(file_system).mv is not AbstractFileSystem.mv
