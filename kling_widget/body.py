"""``Body``: the JSON of a request on its way, in pieces, so that a picture of 10 MB is in memory once and no more."""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import msgspec

from .errors import InvalidRequestError
from .rules import is_reference

PIECE = 3 << 17  # bytes of a picture sent at once, 512 KB as Base64; a multiple of 3: no padding between
PICTURE_KEYS = frozenset({"image_url", "tail_image_url", "static_mask", "mask"})

_PNG = b"\x89PNG"


def refuse(reference: str) -> bytes:
    """Give no bytes for a reference: sending it would ask for something else.

    Raises
    ------
    InvalidRequestError
        Always.
    """
    raise InvalidRequestError(f"The picture {reference} was not put in before sending.")


class Body:
    """The bytes of a request's body; they can be read any number of times, in equal pieces or whole.

    Parameters
    ----------
    fields
        The JSON object that is sent; pictures in it are text (a URL or Base64) or references (``sha256:<hex>``).
    resolve
        Gives the bytes of the JPEG or PNG that a reference means. They become Base64 only while they are sent.

    Attributes
    ----------
    size
        Bytes in all: what ``Content-Length`` says.

    Raises
    ------
    InvalidRequestError
        `resolve` is not given, and there is a reference.
    """

    def __init__(self, fields: Mapping[str, Any], resolve: Callable[[str], bytes] = refuse) -> None:
        self._parts: list[bytearray | bytes | _Picture] = []
        self._resolve = resolve
        self._put(msgspec.to_builtins(fields))
        self.size = sum(len(part) for part in self._parts)

    def pieces(self) -> Iterator[bytes]:
        """The body from its first byte to its last."""
        for part in self._parts:
            yield from part.pieces() if isinstance(part, _Picture) else _cut(part)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece

    def _put(self, value: Any, key: str = "") -> None:
        if isinstance(value, dict):
            for number, (name, inner) in enumerate(value.items()):
                self._text((b"," if number else b"{") + msgspec.json.encode(name) + b":")
                self._put(inner, name)
            self._text(b"}" if value else b"{}")
        elif isinstance(value, list | tuple):
            for number, inner in enumerate(value):
                self._text(b"," if number else b"[")
                self._put(inner)
            self._text(b"]" if value else b"[]")
        elif key in PICTURE_KEYS and is_reference(value):
            picture = _Picture(self._resolve(value))
            self._text(b'"data:' + picture.media_type + b";base64,")
            self._parts.append(picture)
            self._text(b'"')
        else:
            self._text(msgspec.json.encode(value))

    def _text(self, text: bytes) -> None:
        """Add to the text before, for each piece is a packet of its own; text as long as a picture isn't copied."""
        if len(text) > PIECE:
            self._parts.append(text)
        elif self._parts and isinstance(self._parts[-1], bytearray):
            self._parts[-1] += text
        else:
            self._parts.append(bytearray(text))


class _Picture:
    """A picture that becomes Base64 piece by piece."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.media_type = b"image/png" if data.startswith(_PNG) else b"image/jpeg"

    def __len__(self) -> int:
        return 4 * -(-len(self._data) // 3)

    def pieces(self) -> Iterator[bytes]:
        view = memoryview(self._data)
        for start in range(0, len(view), PIECE):
            yield binascii.b2a_base64(view[start : start + PIECE], newline=False)


def _cut(text: bytes | bytearray) -> Iterator[bytes]:
    return (bytes(text[start : start + PIECE]) for start in range(0, len(text), PIECE))
