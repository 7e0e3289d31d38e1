"""The forms in which people hold a picture, each brought to one of three: file bytes, a Pillow image, a web address."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import re
import stat
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from . import addresses, mp4_metadata
from .errors import DownloadError, ImageError, KlingError
from .picture_files import human_size, open_picture, sniff
from .rules import is_bare_base64

if TYPE_CHECKING:
    from PIL import Image

MAX_SOURCE = 512_000_000  # bytes; ours: above any camera's files, below what a notebook's memory bears
_STANDARD = str.maketrans("-_", "+/")  # Base64 for addresses (RFC 4648, section 5) → the usual one
_FORMS = "Give a path, URL, bytes, file object, Pillow image, NumPy array, torch tensor, figure or Video."


@dataclass(frozen=True, slots=True)
class FileBytes:
    """The bytes of a picture file."""

    data: bytes
    name: str = "picture"


@dataclass(frozen=True, slots=True)
class ImageValue:
    """A decoded picture; `identity` where its pixels are not what identifies it."""

    image: Image.Image
    name: str = "picture"
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A URL that the vendor will fetch."""

    url: str
    name: str


Found = FileBytes | ImageValue | WebAddress


def read_source(source: Any) -> Found:
    """Tell the form of `source` and read it.

    Raises
    ------
    ImageError
        Nothing there, not readable, or not a form that can hold a picture.
    """
    if isinstance(source, (FileBytes, ImageValue, WebAddress)):
        return source
    if isinstance(source, str):
        return _from_text(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return FileBytes(bytes(source))
    if _is_a(source, "PIL.Image", "Image"):
        return ImageValue(source, Path(str(getattr(source, "filename", "") or "picture")).name)
    if hasattr(type(source), "last_frame"):  # a Video, before paths: it is path-like too; asked of it, it would decode
        return _from_video(source)
    if isinstance(source, os.PathLike):
        return _from_path(os.fspath(source))
    if _is_a(source, "IPython.core.display", "Image"):
        return _from_ipython(source)
    if callable(getattr(source, "savefig", None)):
        return _from_figure(source)
    if callable(getattr(source, "read", None)):
        return _from_file_object(source)
    if any(hasattr(source, name) for name in ("__array__", "__array_interface__", "detach")):
        from .picture_arrays import image_from_array

        return ImageValue(image_from_array(source))
    if source is None:
        raise ImageError("No image was given.", hint=_FORMS)
    raise ImageError(f"A {type(source).__name__} cannot be read as an image.", hint=_FORMS)


def _is_a(source: object, module: str, name: str) -> bool:
    """An isinstance that imports nothing: what was never imported has no instances."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(source, kind)


def _from_text(text: str) -> Found:
    stripped = text.strip()
    if not stripped:
        raise ImageError("No image was given: the text is empty.", hint=_FORMS)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", stripped)  # two letters at least: C:\cat.png is a path
    if scheme is None:
        return _from_data_uri(f"data:;base64,{stripped}") if is_base64_picture(stripped) else _from_path(text)
    match scheme[1].lower():
        case "data":
            return _from_data_uri(stripped)
        case "http" | "https":
            return _from_url(stripped)
        case "file":
            raise ImageError("A file: address cannot be used.", hint="Give the plain path of the file.")
        case other:
            if "://" in stripped and addresses.is_served(other):
                return _from_address(stripped)
            if "://" not in stripped and os.path.exists(text):
                return _from_path(text)
            raise ImageError(f"An address that begins with {other}: cannot be used.", hint="Use http:// or https://.")


def is_base64_picture(text: str) -> bool:
    """Whether it is a picture in Base64, as the vendor takes it; a path may look like some Base64."""
    if not is_bare_base64(text):
        return False
    try:
        sniff(base64.b64decode(text[:64].translate(_STANDARD)), "picture")
    except ImageError:
        return False
    return True


def _from_url(text: str) -> WebAddress:
    hint = "A full address looks like https://example.org/cat.png."
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ImageError(f"{_clip(text)} is not a web address: {error}.", hint=hint) from error
    if not host:
        raise ImageError(f"{_clip(text)} is not a web address: it names no host.", hint=hint)
    if re.search(r"[\s\x00-\x1f\x7f<>\"]", text):
        raise ImageError(
            f"{_clip(text)} is not a web address: it has spaces or quotes in it.", hint="Write a space as %20."
        )
    last = unquote(parts.path).rstrip("/").rpartition("/")[2]
    return WebAddress(text, f"{last[-60:]} at {host}" if last else f"picture at {host}")


def _from_address(text: str) -> FileBytes:
    """From a store that fsspec knows, such as ``s3://bucket/cat.jpg``: the vendor could not fetch it."""
    name = unquote(text).rstrip("/").rpartition("/")[2]
    try:
        data = addresses.read_bytes(text, MAX_SOURCE, partial(_check_size, name=name))
    except ImageError:
        raise
    except KlingError as error:
        raise ImageError(error.message, hint=error.hint) from error
    _check_size(len(data), name)
    return FileBytes(data, name)


def _from_data_uri(text: str) -> FileBytes:
    header, comma, payload = text[5:].partition(",")
    kind, *options = [part.strip().lower() for part in header.split(";")]
    if not comma:
        raise ImageError("The data: URI has no data in it.", hint="It looks like data:image/png;base64,iVBORw0….")
    if kind and not kind.startswith("image/") and kind != "application/octet-stream":
        raise ImageError(f"The data: URI holds {_clip(kind, 40)}, not an image.", hint="It begins with data:image/….")
    if "base64" not in options:
        return FileBytes(unquote_to_bytes(payload))
    try:
        compact = re.sub(r"\s+", "", unquote(payload)).rstrip("=").translate(_STANDARD)
        return FileBytes(base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True))
    except (binascii.Error, ValueError) as error:
        raise ImageError("The data: URI is damaged: its base64 cannot be read.", hint="Copy it again.") from error


def _from_path(given: str | bytes) -> FileBytes:
    text = os.fsdecode(given)
    try:
        path = Path(text).expanduser()
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{_end(text)} is a folder, not a picture.", hint="Give one file in it.")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{_end(text)} is not a file.", hint="Give the path of a picture file.")
        _check_size(status.st_size, path.name)
        return FileBytes(path.read_bytes(), path.name)
    except FileNotFoundError as error:
        where = "" if os.path.isabs(text) else f" in {Path.cwd()}"
        raise ImageError(f"There is no file {_end(text)}{where}.", hint="Check the name and the folder.") from error
    except PermissionError as error:
        raise ImageError(f"{_end(text)} may not be read.", hint="Check the file's permissions.") from error
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, a NUL in it, no home for ~
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{_end(text)} cannot be read: {reason}.", hint="Check the path.") from error


def _from_file_object(source: Any) -> FileBytes:
    """From its beginning, as Pillow does it: after a save() the position is at the end."""
    label = getattr(source, "name", None)
    name = Path(label).name if isinstance(label, str) and label else "picture"
    try:
        if source.seekable() if callable(getattr(source, "seekable", None)) else False:
            source.seek(0)
        data = source.read(MAX_SOURCE + 1)
    except (OSError, ValueError, TypeError) as error:  # UnicodeDecodeError, a closed file, not opened for reading
        raise ImageError(f"{_clip(name)} cannot be read: {error}.", hint='Open it with open(path, "rb").') from error
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ImageError(f"{_clip(name)} is open as text.", hint='Open it with open(path, "rb").')
    _check_size(len(data), name)
    return FileBytes(bytes(data), name)


def _check_size(size: int, name: str) -> None:
    if size > MAX_SOURCE:
        raise ImageError(
            f"{name} is too large: {human_size(size)}, and the limit is {human_size(MAX_SOURCE)}.",
            hint="Scale it down first.",
        )


def _from_video(source: Any) -> ImageValue:
    """Known by its file as the vendor made it, not by its decoded pixels: another FFmpeg may round them otherwise."""
    try:
        frame = source.last_frame
    except DownloadError as error:
        raise ImageError(error.message, hint=error.hint, generation_id=error.generation_id) from error
    path = getattr(source, "path", None)
    name, identity = "last frame", None
    if isinstance(path, os.PathLike) and os.path.isfile(path):
        name = f"last frame of {Path(path).name}"
        identity = hashlib.sha256(b"last frame of " + mp4_metadata.digest(path)).hexdigest()
    return ImageValue(frame, name, identity)


def _from_ipython(source: Any) -> Found:
    if source.data is not None:
        return read_source(source.data)
    if source.url or source.filename:
        return _from_text(str(source.url or source.filename))
    raise ImageError("The IPython Image holds no picture.", hint="Make it with Image(filename=…) or Image(data=…).")


def _from_figure(figure: Any) -> ImageValue:
    """By its pixels, not by its file: that one carries matplotlib's version."""
    stream = io.BytesIO()
    try:
        figure.savefig(stream, format="png")
    except (ValueError, RuntimeError, TypeError) as error:
        raise ImageError(f"The figure cannot be drawn: {error}.", hint="Draw it with figure.savefig first.") from error
    return ImageValue(open_picture(stream.getvalue(), "PNG", "figure"), "figure")


def _clip(text: str, length: int = 80) -> str:
    clean = "".join(character for character in text[: length + 1] if character.isprintable())
    return clean if len(text) <= length else f"{clean[:length]}…"


def _end(path: str, length: int = 80) -> str:
    """Of a long path the end is what people know it by."""
    clean = "".join(character for character in path[-length - 1 :] if character.isprintable())
    return clean if len(path) <= length else f"…{clean[-length:]}"
