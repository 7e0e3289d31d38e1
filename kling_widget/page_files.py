"""Which files a page made from a notebook may take in, and what they become there.

A notebook may come from anybody: the addresses in it lead nowhere but into the folders given here, and only what really
is a picture, a video or a sound is taken, whatever its name says.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .errors import ImageError
from .picture_files import human_size, sniff

# What browsers show of the pictures `sniff` knows.
_PICTURES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
_SIGNATURES = {  # whatwg mimesniff, "matching an audio or video type pattern"
    b"\x1a\x45\xdf\xa3": "video/webm",
    b"OggS\0": "video/ogg",
    b"ID3": "audio/mpeg",
}
_CARRIED = ("data:image/", "data:video/", "data:audio/")


class NotTakenError(Exception):
    """Why a file is not in the page: a sentence."""


class PageFiles:
    """The files that may become part of a page.

    Parameters
    ----------
    base
        The folder that addresses are relative to: the notebook's.
    folders
        Where files may lie; links that lead out of them are not followed.
    limit
        Bytes up to which a file is taken.
    """

    def __init__(self, base: Path, folders: Sequence[Path], limit: int) -> None:
        self._base = base.resolve()
        self._folders = [folder.resolve() for folder in folders]
        self._limit = limit

    def data_uri(self, address: str) -> str:
        """The file as a ``data:`` address. One that is already there stays.

        Raises
        ------
        NotTakenError
            It is not there, too large, somewhere else, or something else.
        """
        if address[:16].lower().startswith(_CARRIED):
            return address
        path = self._find(address)
        try:
            size = path.stat().st_size
            if size > self._limit:
                raise NotTakenError(f"{path.name} is too large for this page: {human_size(size)}.")
            data = path.read_bytes()
        except OSError as error:
            raise _gone(path) from error
        return f"data:{_media_type(data, path)};base64,{base64.b64encode(data).decode('ascii')}"

    def _find(self, address: str) -> Path:
        elsewhere = NotTakenError(f"{_short(address)} is not in this page: it is not in the notebook's folder.")
        try:
            parts = urlsplit(address)
        except ValueError as error:
            raise elsewhere from error
        name = unquote(parts.path)
        if parts.scheme or parts.netloc or name.startswith("/") or "\\" in name or not name.isprintable():
            raise elsewhere
        try:
            path = (self._base / name).resolve()
            there = path.is_file()
        except OSError as error:  # a name too long
            raise elsewhere from error
        except RuntimeError as error:  # links in a circle; from Python 3.13 on simply not there
            raise _gone(Path(name)) from error
        inside = [path.relative_to(folder) for folder in self._folders if path.is_relative_to(folder)]
        if not any(shown.parts and not any(part.startswith(".") for part in shown.parts) for shown in inside):
            raise elsewhere  # hidden files neither, as Jupyter Server has it
        if not there:
            raise _gone(path)
        return path


def _gone(path: Path) -> NotTakenError:
    return NotTakenError(f"The file {path.name} was not there when this page was made.")


def _media_type(data: bytes, path: Path) -> str:
    for signature, media_type in _SIGNATURES.items():
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav"
    if path.suffix.lower() == ".svg" and b"<svg" in data[:4096]:
        return "image/svg+xml"  # only for `<img>`, where nothing in it runs
    try:
        kind = _PICTURES.get(sniff(data, path.name))
    except ImageError:
        kind = "video/mp4" if data[4:8] == b"ftyp" else None  # ISO 14496-12: an MP4 starts with this box
    if kind is None:
        raise NotTakenError(f"{path.name} is not in this page: it is no picture or video that browsers show.")
    return kind


def _short(address: str) -> str:
    return address if len(address) <= 80 else f"{address[:79]}…"
