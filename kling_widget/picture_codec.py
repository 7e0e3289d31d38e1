"""From a picture file's bytes, or a Pillow image, to the JPEG or PNG that is sent.

Only what must change is changed, and every change is told in a sentence.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import ImageError
from .picture_files import (
    broken,
    check_complete,
    check_pixels,
    human_size,
    may_be_turned,
    open_picture,
    pixels,
    sniff,
)
from .picture_pixels import orientation, plain, turned_by_hand

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 10_000_000  # aimlapi.md §2: "file at most 10 MB"; the decimal reading satisfies the binary one too
LOSSLESS_PIXELS = 3840 * 2160  # ours: up to a 4K frame PNG is quick and small enough; the model's output is 1080p
_JPEG_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_JPEG_STEPS = ((95, 0), (90, 0), (90, 2), (85, 2))  # ours: (quality, chroma subsampling); 0 is 4:4:4, 2 is 4:2:0
MAX_THUMBNAIL = 25_000  # bytes; ours: a preview travels as one small message and lives in saved notebooks
_LOSSLESS = {"PNG", "GIF", "BMP", "TIFF"}
_LABELS = {"WEBP": "WebP", "HEIF": "HEIC"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture as it is sent.

    Attributes
    ----------
    data, media_type
        JPEG or PNG bytes.
    width, height
        Pixels of what is sent.
    changes
        Sentences on what was changed; empty when the bytes are those given.
    flattened
        Whether the background colour shows in it.
    scaled_from
        Width and height before it was made smaller to fit; None where it was not.
    may_lie
        Whether it was turned as its tag says, though it may have been upright already.
    """

    data: bytes
    media_type: str
    width: int
    height: int
    changes: tuple[str, ...] = ()
    flattened: bool = False
    scaled_from: tuple[int, int] | None = None
    may_lie: bool = False


def encode_file(data: bytes, name: str, background: str) -> Encoded:
    """Make a picture file fit to be sent; untouched where nothing need change.

    Raises
    ------
    ImageError
        Not a picture, not complete, damaged, or more pixels than can safely be decoded.
    """
    kind = sniff(data, name)
    check_complete(data, kind, name)
    try:
        image = open_picture(data, kind, name)
        if len(data) <= MAX_BYTES and _may_stay(image, data, kind):
            return Encoded(data, f"image/{kind.lower()}", *image.size)
        changes = _told_by_container(image, data, kind)
        image, flattened = plain(image, background, changes)
    except broken() as error:
        raise ImageError(
            f"{name} cannot be read: the {kind} data in it is damaged or of a kind this reader does not know.",
            hint="Open it in a picture editor and save it again as JPEG or PNG.",
        ) from error
    payload, media_type, size = _encode(image, lossless=kind in _LOSSLESS)
    changes += _told_by_encoding(kind, len(data), image.size, payload, media_type, size)
    return Encoded(payload, media_type, *size, tuple(changes), flattened, image.size if size != image.size else None)


def encode_image(image: Image.Image, name: str, background: str) -> Encoded:
    """Make a Pillow image fit to be sent: PNG up to a 4K frame and 10 MB, else JPEG.

    Raises
    ------
    ImageError
        The image cannot be loaded, is empty, or has more pixels than can safely be handled.
    """
    check_pixels(image.size, name)
    changes: list[str] = []
    try:
        by_hand = turned_by_hand(image)
        upright, flattened = plain(image, background, changes, upright=by_hand is True)
    except broken() as error:
        raise ImageError(f"{name} cannot be read: {error}", hint="Give it as a JPEG or PNG file.") from error
    payload, media_type, size = _encode(upright, lossless=True)
    scaled_from = upright.size if size != upright.size else None
    if scaled_from:
        changes.append(f"Scaled from {pixels(*scaled_from)} to {pixels(*size)}, to stay under {human_size(MAX_BYTES)}")
    if media_type == "image/jpeg":
        changes.append(f"Encoded as JPEG, {human_size(len(payload))}, to stay small")
    return Encoded(payload, media_type, *size, tuple(changes), flattened, scaled_from, by_hand is None)


def _may_stay(image: Image.Image, data: bytes, kind: str) -> bool:
    if kind == "JPEG":
        return image.mode in ("RGB", "L") and orientation(image) == 1
    if kind != "PNG" or data[24] > 8:  # byte 24 of a PNG is its bit depth
        return False
    if may_be_turned(data) and orientation(image) != 1:
        return False
    if image.mode in ("RGBA", "LA"):  # an alpha channel that hides nothing needs no change
        return bool(image.getchannel("A").getextrema() == (255, 255))
    return image.mode in ("RGB", "L") and "transparency" not in image.info


def _told_by_container(image: Image.Image, data: bytes, kind: str) -> list[str]:
    changes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and kind not in ("JPEG", "PNG"):
        changes.append(f"Only the first of its {frames} {'pages' if kind == 'TIFF' else 'frames'} is used")
    if kind == "PNG" and data[24] > 8 and not image.mode.startswith("I"):
        changes.append("Reduced from 16 to 8 bits a channel")
    return changes


def _told_by_encoding(
    kind: str, given: int, before: tuple[int, int], payload: bytes, media_type: str, after: tuple[int, int]
) -> list[str]:
    target = "PNG" if media_type == "image/png" else "JPEG"
    words = []
    if before != after:
        words.append(f"scaled from {pixels(*before)} to {pixels(*after)}")
    if kind != target and given <= MAX_BYTES:
        words.append(f"converted from {_LABELS.get(kind, kind)} to {target}")
    elif target == "JPEG" or given > MAX_BYTES:
        words.append(f"re-encoded as {target}")
    if not words:
        return []
    sentence = " and ".join(words)
    reason = f", to stay under {human_size(MAX_BYTES)}" if given > MAX_BYTES or before != after else ""
    return [f"{sentence[0].upper()}{sentence[1:]}, {human_size(given)} → {human_size(len(payload))}{reason}"]


def _encode(image: Image.Image, *, lossless: bool) -> tuple[bytes, str, tuple[int, int]]:
    """At most `MAX_BYTES`: lossless if it may be, then less JPEG quality, then fewer pixels."""
    if lossless and image.width * image.height <= LOSSLESS_PIXELS:
        data = _saved(image, "PNG")
        if len(data) <= MAX_BYTES:
            return data, "image/png", image.size
    if max(image.size) > _JPEG_SIDE:
        image = _scaled(image, _JPEG_SIDE / max(image.size))
    for quality, subsampling in _JPEG_STEPS:
        data = _saved(image, "JPEG", quality=quality, subsampling=subsampling)
        if len(data) <= MAX_BYTES:
            return data, "image/jpeg", image.size
    factor, smaller = 1.0, image
    while len(data) > MAX_BYTES:  # bytes grow with the area, roughly; 3 % to spare
        factor *= min(0.95, 0.97 * math.sqrt(MAX_BYTES / len(data)))
        smaller = _scaled(image, factor)
        data = _saved(smaller, "JPEG", quality=90, subsampling=0)
    return data, "image/jpeg", smaller.size


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    from PIL.Image import Resampling

    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def small_picture(image: Image.Image, edge: int, limit: int, kind: str) -> bytes:
    """Scale down to `edge` pixels on the longer side, in at most `limit` bytes.

    `kind` is ``JPEG``, or another format of Pillow's with a quality setting: ``WEBP`` shows more in the same bytes.
    """
    small = image.convert("RGB")
    small.info = {}
    while True:
        small.thumbnail((edge, edge), reducing_gap=2.0)
        for quality in (82, 70, 55, 40):
            data = _saved(small, kind, quality=quality)
            if len(data) <= limit or edge <= 16:
                return data
        edge = max(small.size) * 3 // 4
