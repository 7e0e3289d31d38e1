"""Small files that ask for a great deal of memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

GIGABYTE = 1 << 30


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def packed() -> bytes:
    """A gigabyte of zeros, in a megabyte."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(GIGABYTE >> 20)) + packer.flush()


def png(side: int = 300, *extra: bytes, pixels: bytes | None = None, depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, depth, 2, 0, 0, 0)
    if pixels is None:
        pixels = zlib.compress((b"\0" + b"\x20\x80\xc0" * side) * side if side < 1000 else b"\0")
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif(frames: int, side: int = 320) -> bytes:
    start = b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c\0\0\0\0\1\0\1\0\0" + b"\x02\x02\x44\x01\0"  # one pixel
    return start + frame * frames + b";"


def webp(width: int, height: int) -> bytes:
    from PIL import Image

    stream, more = io.BytesIO(), [Image.new("RGB", (16, 16), "red")]
    Image.new("RGB", (16, 16)).save(stream, "WEBP", lossless=True, save_all=True, append_images=more)
    data = bytearray(stream.getvalue())
    at = data.index(b"VP8X") + 12  # the canvas, less one, in 24 bits each
    data[at : at + 6] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def tiff(side: int) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (300, 300)).save(stream, "TIFF")
    data = bytearray(stream.getvalue())
    for tag in (256, 257):  # ImageWidth, ImageLength
        at = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
        data[at : at + 4] = struct.pack("<I", side)
    return bytes(data)


BOMBS: dict[str, Callable[[], bytes]] = {
    "harmless": png,
    "PNG of 10,000 megapixels": lambda: png(100_000),
    "GIF of 4,295 megapixels": lambda: gif(1, 65_535),
    "TIFF of 2^62 pixels": lambda: tiff(1 << 31),
    "WebP of 268 megapixels": lambda: webp(16_383, 16_383),
    "WebP wider than WebP can be": lambda: webp(1 << 24, 256),
    "PNG whose colour profile unpacks to a gigabyte": lambda: png(300, chunk(b"iCCP", b"x\0\0" + packed())),
    "PNG whose text unpacks to a gigabyte": lambda: png(300, chunk(b"zTXt", b"Raw profile type exif\0\0" + packed())),
    "PNG whose UTF-8 text unpacks to a gigabyte": lambda: png(
        300, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed())
    ),
    "PNG whose pixels unpack to a gigabyte": lambda: png(300, pixels=packed(), depth=16),
    "GIF of 100,000 frames": lambda: gif(100_000),
}
