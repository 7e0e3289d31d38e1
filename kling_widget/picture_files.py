"""What kind of picture file is this, is it whole, and may it be decoded? Answered from its bytes, before any decoding.

Formats are recognised by their first bytes and opened with the one Pillow plugin for them: `Image.open` would bring in
plugins that start other programs (EPS), and bends to global settings that a notebook may have changed.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

from .errors import ImageError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)  # Pillow's DecompressionBombError threshold: 2 × its MAX_IMAGE_PIXELS
_PNG = b"\x89PNG\r\n\x1a\n"
_SIGNATURES = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (_PNG,),
    "GIF": (b"GIF87a", b"GIF89a"),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}  # ISO/IEC 23008-12, annex B
_AVIF_BRANDS = {b"avif", b"avis"}  # AV1 Image File Format 1.1, §5
_KNOWN = "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP and JPEG 2000 can be read."


def broken() -> tuple[type[Exception], ...]:
    """What Pillow, its plugins and libheif raise for damaged data."""
    from PIL.Image import DecompressionBombError

    return (
        *(OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError, AttributeError, RuntimeError),
        *(OverflowError, MemoryError, struct.error, zlib.error, DecompressionBombError),
    )


def pixels(width: int, height: int) -> str:
    """``1920 × 1080 px``; thousands are set apart from 10,000 on."""
    return " × ".join(f"{side:,}" if side >= 10_000 else str(side) for side in (width, height)) + " px"


def human_size(size: int) -> str:
    """``212 B``, ``212 KB``, ``7.2 MB`` (decimal units)."""
    if size < 1000:
        return f"{size} B"
    if size < 999_500:
        return f"{size / 1000:.0f} KB"
    return f"{size / 1_000_000:.1f}".removesuffix(".0") + " MB"


def sniff(data: bytes, name: str) -> str:
    """The format by the file's first bytes: a name's ending may lie.

    Raises
    ------
    ImageError
        Empty, or not a picture this package reads; the sentence says what it is instead where that is plain.
    """
    if not data:
        raise ImageError(f"{name} is empty: it has no bytes.", hint="Choose another picture.")
    for kind, signatures in _SIGNATURES.items():
        if data.startswith(signatures):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = data[8 : max(12, min(int.from_bytes(data[:4], "big"), 256))]
        found = {brands[start : start + 4] for start in range(0, len(brands), 4)}
        if found & _AVIF_BRANDS:
            return "AVIF"
        if found & _HEIF_BRANDS:
            return "HEIF"
        raise ImageError(f"{name} is a video, not a picture.", hint="Use one frame of it, or a Video's last_frame.")
    raise ImageError(f"{name} is not a picture: it holds {_what_else(data)}.", hint=_KNOWN)


def _what_else(data: bytes) -> str:
    head = data[:4096]
    if head.startswith(b"%PDF"):
        return "a PDF document"
    try:
        text = head.decode("utf-8", errors="strict" if len(data) <= 4096 else "ignore")
    except UnicodeDecodeError:
        return "data of an unknown kind"
    if "\0" in text or (len(data) > 4096 and len(text) < len(head) * 0.9):
        return "data of an unknown kind"
    markup = text.lstrip("\ufeff \t\r\n").lower()
    drawing = markup.startswith(("<svg", "<?xml", "<!--", "<!doctype svg")) and "<svg" in markup
    return "an SVG drawing (export it as PNG)" if drawing else "text"


def check_complete(data: bytes, kind: str, name: str) -> None:
    """Find a truncated JPEG or PNG without decoding it; other formats show it when decoded.

    Raises
    ------
    ImageError
        The file ends before the picture does, or its bytes were damaged on the way.
    """
    whole = _jpeg_ends(data) if kind == "JPEG" else _png_ends(data) if kind == "PNG" else True
    if not whole:
        raise ImageError(
            f"{name} is not complete: the {kind} data in it breaks off or is damaged.",
            hint="Copy or download it again.",
        )


def _jpeg_ends(data: bytes) -> bool:
    """Whether the end marker follows the first scan (the EXIF thumbnail before it has one of its own)."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xDA:  # start of scan: within it, FF is always followed by 00 or a restart marker
            return data.find(b"\xff\xd9", position) > 0
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _png_chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """(type, start of its data, length) of every chunk, up to the end or to where the file breaks off."""
    chunks, position = [], len(_PNG)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind, start = data[position + 4 : position + 8], position + 8
        if start + length + 4 > len(data):
            break
        chunks.append((kind, start, length))
        if kind == b"IEND":
            break
        position = start + length + 4
    return chunks


def _png_ends(data: bytes) -> bool:
    """Whether every needed chunk is there with its checksum (no pixel is decoded, nothing copied)."""
    view, chunks = memoryview(data), _png_chunks(data)
    for kind, start, length in chunks:
        checksum = int.from_bytes(data[start + length : start + length + 4], "big")
        if kind[:1].isupper() and zlib.crc32(view[start - 4 : start + length]) != checksum:
            return False
    return bool(chunks) and chunks[0][0] == b"IHDR" and chunks[0][2] == 13 and chunks[-1][0] == b"IEND"


def may_be_turned(data: bytes) -> bool:
    """Whether a PNG has a chunk that can say "turn me" (asking Pillow would decode the whole picture)."""
    tags = (b"Raw profile type exif", b"XML:com.adobe.xmp")
    return any(
        kind == b"eXIf" or (kind in (b"tEXt", b"zTXt", b"iTXt") and data.startswith(tags, start))
        for kind, start, _ in _png_chunks(data)
    )


def check_pixels(size: tuple[int, int], name: str) -> None:
    """Refuse a picture that would fill the memory.

    Raises
    ------
    ImageError
        No pixels, or more than `MAX_PIXELS`.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels ({pixels(width, height)}).", hint="Choose another picture.")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is too large to open safely: {pixels(width, height)} are {width * height / 1e6:,.0f} megapixels, "
            f"and {MAX_PIXELS / 1e6:.0f} is the most.",
            hint="Scale it down first; the video is 1920 px long at most.",
        )


def open_picture(data: bytes, kind: str, name: str) -> Image.Image:
    """Open without decoding pixels, and without asking Pillow's global settings.

    Raises
    ------
    ImageError
        More pixels than `MAX_PIXELS`.
    """
    stream = io.BytesIO(data)  # shares the bytes until written to
    if kind == "HEIF":
        import pillow_heif  # called directly: registering it would change Pillow for the whole notebook

        heif = pillow_heif.open_heif(stream, convert_hdr_to_8bit=True)
        check_pixels(heif.size, name)
        decoded: Image.Image = heif.to_pillow()
        return decoded
    opened: Image.Image = _plugin(kind)(stream)
    check_pixels(opened.size, name)
    return opened


def _plugin(kind: str) -> Any:
    from importlib import import_module

    modules = {"WEBP": "WebP", "JPEG": "Jpeg", "PNG": "Png", "GIF": "Gif", "BMP": "Bmp", "TIFF": "Tiff"}
    modules |= {"AVIF": "Avif", "JPEG 2000": "Jpeg2K"}  # Avif: Pillow 11.3 and later
    stem = modules[kind]
    return getattr(import_module(f"PIL.{stem}ImagePlugin"), f"{stem}ImageFile")
