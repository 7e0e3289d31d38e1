"""What a video was made from, kept in the MP4 file itself: one more box at its end, which players skip."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from typing import IO

USER_TYPE = uuid.UUID("9d9a3c0e-6f0b-4a52-8c55-1a7b1f6f5c31")
"""The extended type of our box (ISO/IEC 14496-12, 4.2: type ``uuid``, then 16 bytes of one's own). Never change it."""

LARGEST = 1 << 20  # bytes of a box we read; ours have some 2 KB, and the file may be anybody's
_BLOCK = 1 << 20  # bytes read at a time
_HEAD = 8 + 16  # bytes before the content: size and type, extended type


def append(path: str | os.PathLike[str], content: bytes) -> bool:
    """Add our box with `content` to the end of an MP4 file; the bytes before stay as they are.

    Returns
    -------
    Whether it is in there now. Not where the last box reaches "to the end of the file", nor where it is not an MP4.

    Raises
    ------
    OSError
        The file can't be written.
    """
    with open(path, "r+b") as file:
        chain = list(boxes(file))
        size = file.seek(0, os.SEEK_END)
        if not chain or chain[-1][2] != size or _open_ended(file, chain[-1][1]):
            return False
        if any(_content(file, *box) == content for box in chain):
            return True
        file.seek(size)
        file.write((_HEAD + len(content)).to_bytes(4, "big") + b"uuid" + USER_TYPE.bytes + content)
    return True


def read(path: str | os.PathLike[str]) -> bytes | None:
    """What our box of an MP4 file holds, or None; of several the last, which is the one we wrote.

    Raises
    ------
    OSError
        The file can't be read.
    """
    with open(path, "rb") as file:
        found = [content for box in boxes(file) if (content := _content(file, *box)) is not None]
    return found[-1] if found else None


def digest(path: str | os.PathLike[str]) -> bytes:
    """SHA-256 of a file without our boxes: the same for a video that was fetched, and sealed, once more.

    Raises
    ------
    OSError
        The file can't be read.
    """
    found = hashlib.sha256()
    with open(path, "rb") as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        ours = [(start, end) for kind, start, end in boxes(file) if _content(file, kind, start, end) is not None]
        for start, end in (*ours, (size, size)):
            file.seek(at)
            while at < start and (block := file.read(min(_BLOCK, start - at))):
                found.update(block)
                at += len(block)
            at = end
    return found.digest()


def boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of every top-level box, as far as the chain holds (ISO/IEC 14496-12, 4.2)."""
    size, at = os.fstat(file.fileno()).st_size, 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - at
        if len(head) < 8 or length < 8 or at + length > size or (at == 0 and head[4:8] != b"ftyp"):
            return
        yield head[4:8], at, at + length
        at += length


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an MP4 to its end: one cut short breaks the chain of its boxes, or lacks one all videos have.

    Raises
    ------
    OSError
        The file can't be read.
    """
    with open(path, "rb") as file:
        chain = list(boxes(file))
        size = os.fstat(file.fileno()).st_size
    return bool(chain) and chain[-1][2] == size and {b"moov", b"mdat"} <= {kind for kind, _, _ in chain}


def _open_ended(file: IO[bytes], start: int) -> bool:
    file.seek(start)
    return file.read(4) == bytes(4)


def _content(file: IO[bytes], kind: bytes, start: int, end: int) -> bytes | None:
    if kind != b"uuid" or not _HEAD <= end - start <= LARGEST:
        return None
    file.seek(start)
    box = file.read(end - start)
    return box[_HEAD:] if box[8:_HEAD] == USER_TYPE.bytes else None
