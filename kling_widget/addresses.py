"""Addresses that fsspec serves, ``s3://bucket/clips``: what may be in one, and its complaints as sentences.

fsspec and its file systems are imported where an address is used, never before.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import KlingError, StoreError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?=//|:)")  # two letters at least: C:\clips is a folder
_CLOUDS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "sftp", "memory"}  # what people most probably mean
_EXTRAS = {"s3": "s3", "s3a": "s3"}  # protocol → our extra that brings its file system
# The names of what the clouds' own libraries raise (botocore, azure-core, google-auth), none of which is imported here.
_NO_CREDENTIALS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"),
    *("ClientAuthenticationError", "DefaultCredentialsError", "RefreshError"),
}
_FULL = {errno.ENOSPC, errno.EDQUOT}


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
            "The address holds a key, a password or a signature: it would be shown, and saved with what is made.",
            hint="Give the address alone. Keys go where the store's own tools look for them, see docs/scale.md.",
        )
    if "::" in address or not rest.strip("/"):
        raise KlingError(f"{scheme}: is not an address of a folder.", hint="It looks like s3://bucket/clips.")
    if "\\" in rest or not rest.isprintable() or {".", ".."} & set(rest.split("/")):
        raise KlingError("The address has . or .. or odd signs in it.", hint="It looks like s3://bucket/clips.")
    return f"{scheme}://{rest.rstrip('/')}"


def is_served(scheme: str) -> bool:
    """Whether fsspec serves such addresses, with the package for it; without fsspec, whether it would."""
    try:
        from fsspec import available_protocols
    except ImportError:
        return scheme in _CLOUDS
    return scheme in available_protocols()


def read_bytes(address: str, most: int, check: Callable[[int], object]) -> bytes:
    """The bytes of one file at an address.

    Parameters
    ----------
    address
        Which.
    most
        Bytes; of a larger file no more than one more is read.
    check
        Called with its size in bytes, where that is known before it is read; what it raises is raised.

    Raises
    ------
    KlingError
        It cannot be read, or the address is none.
    """
    address = checked_address(address)
    file_system_class(scheme_of(address))
    from fsspec.core import url_to_fs

    with explained(address, "read"):
        file_system, path = url_to_fs(address)
        found = file_system.info(path)
        if found.get("type") == "directory":
            raise KlingError(f"{address} is a folder, not a file.", hint="Give one file in it.")
        size = found.get("size")
        if size is not None:
            check(int(size))
        end = most + 1 if size is None else min(int(size), most + 1)
        return bytes(file_system.cat_file(path, start=0, end=end)) if end else b""  # S3 has no range in nothing


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
            hint=f'pip install "kling-widget[{extra}]"'
            + ("" if extra != "remote" else f" and what serves {scheme}://."),
        ) from None
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        known = f'pip install "kling-widget[{_EXTRAS[scheme]}]"' if scheme in _EXTRAS else str(error)
        raise KlingError(f"What serves {scheme}:// is not installed.", hint=f"{known.rstrip('.')}.") from None
    except ValueError:
        raise KlingError(f"Nothing that is installed serves {scheme}://.", hint="Check the address.") from None


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
        what, hint, passing = _sentence(error, done)
        told = StoreError(f"{address} cannot be {done}: {what}.", hint=hint)
        told.passing = passing
        if not passing:  # fsspec keeps file systems, with the credentials they found or did not find
            file_system_class(scheme_of(address)).clear_instance_cache()
        raise told from error


def _sentence(error: Exception, done: str) -> tuple[str, str, bool]:
    """What happened, what to do, and whether it may pass. A library's own words may hold a signed address."""
    chain = {type(each).__name__ for each in _causes(error)}
    if chain & _NO_CREDENTIALS:
        where = "Give them where the store's own tools look for them (for S3 the AWS_… variables or ~/.aws)"
        return "no credentials for it were found", f"{where}, see docs/scale.md.", False
    if isinstance(error, PermissionError):
        return "access is denied", "Check the credentials, and what they may do there.", False
    if isinstance(error, FileNotFoundError) and done == "read":
        return "it is not there", "Check the address.", False
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket or folder", "Make it, or check the address.", False
    if isinstance(error, OSError) and error.errno == errno.EINVAL:  # what s3fs makes of a wrong region, name or token
        said = " ".join(str(error.strerror).split())[:200].rstrip(".")
        return f"it refused what it was asked ({said})", "Check the address, the region and the credentials.", False
    if isinstance(error, OSError) and error.errno in _FULL:
        hint = "Make room, or set KLING_WIDGET_CACHE to a folder that has some."
        return "there is no room left, there or in the cache", hint, True
    return f"it cannot be reached now ({type(error).__name__})", "Check the network, and try again.", True


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
