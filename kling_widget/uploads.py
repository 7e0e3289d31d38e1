"""Pictures that arrive from the browser in pieces."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

LARGEST_UPLOAD = 200_000_000  # bytes; a scan as TIFF can be large, a mistaken video file is larger
LARGEST_CHUNK = 4 * 1024 * 1024  # bytes; one comm message over 10 MB closes the websocket


@dataclass
class Upload:
    """One file on its way from the browser.

    Parameters
    ----------
    slot
        ``first_frame`` or ``last_frame``.
    name
        File name as the browser gives it.
    size
        Bytes of the whole file.
    """

    slot: str
    name: str
    size: int
    _chunks: dict[int, bytes | memoryview] = field(init=False, default_factory=dict, repr=False)
    _taken: bool = field(init=False, default=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.size <= LARGEST_UPLOAD:
            most = LARGEST_UPLOAD // 1_000_000
            raise ValueError(f"a picture of {self.size / 1e6:,.0f} MB is not taken, {most} MB is the most")

    def add(self, offset: int, chunk: bytes | memoryview, sha256: str | None) -> bool:
        """Put a chunk in its place; the same chunk again changes nothing. False: damaged, send it again."""
        length = len(chunk)
        if not 0 < length <= LARGEST_CHUNK or offset < 0 or offset + length > self.size:
            return False
        if sha256 is not None and hashlib.sha256(chunk).hexdigest() != sha256:
            return False
        if self._taken:
            return True
        self._chunks[offset] = chunk  # as the message brought it: copied once, when all are there
        return True

    @property
    def received(self) -> int:
        """Bytes that are in."""
        return self.size if self._taken else sum(map(len, self._chunks.values()))

    @property
    def complete(self) -> bool:
        """Whether the chunks cover the whole file, and nobody has taken it yet."""
        end = 0
        for offset in sorted(self._chunks):
            if offset > end:
                return False
            end = max(end, offset + len(self._chunks[offset]))
        return end == self.size

    def take(self) -> bytes:
        """The whole file, once; the bytes are let go."""
        end, pieces = 0, list[bytes | memoryview]()
        for offset, chunk in sorted(self._chunks.items()):
            pieces.append(memoryview(chunk)[max(0, end - offset) :])
            end = max(end, offset + len(chunk))
        self._chunks, self._taken = {}, True
        return b"".join(pieces)


class Uploads:
    """The uploads of one widget: a new one for a slot replaces the one before."""

    def __init__(self) -> None:
        self._by_name: dict[str, Upload] = {}
        self._begun: set[str] = set()

    def get(self, name: str, slot: str, file_name: str, size: int, offset: int) -> Upload | None:
        """The upload of that name, begun by its first chunk.

        None where the chunk belongs to no upload that is here: it was replaced, or what came before the chunk was lost.
        A late chunk must begin none, which could never be whole and would replace the one that is on its way.

        Raises
        ------
        ValueError
            The file is empty or too large.
        """
        if offset == 0 and name not in self._begun:
            upload = Upload(slot, file_name, size)
            self._by_name = {key: other for key, other in self._by_name.items() if other.slot != slot}
            self._by_name[name] = upload
            self._begun.add(name)
        return self._by_name.get(name)

    def clear(self) -> None:
        """Drop all of them."""
        self._by_name.clear()
