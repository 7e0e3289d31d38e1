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

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 10_000_000  # aimlapi.md §2: "file at most 10 MB"; the decimal reading satisfies the binary one too
LOSSLESS_PIXELS = 3840 * 2160  # ours: up to a 4K frame PNG is quick and small enough; the model's output is 1080p
_JPEG_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_JPEG_STEPS = ((95, 0), (90, 0), (85, 2))  # ours: (quality, chroma subsampling); 0 is 4:4:4, 2 is 4:2:0
_ORIENTATION = 0x0112  # EXIF 2.32, tag 274
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
    """

    data: bytes
    media_type: str
    width: int
    height: int
    changes: tuple[str, ...] = ()
    flattened: bool = False


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
        image, flattened = _plain(image, background, changes)
    except broken() as error:
        raise ImageError(
            f"{name} cannot be read: the {kind} data in it is damaged or of a kind this reader does not know.",
            hint="Open it in a picture editor and save it again as JPEG or PNG.",
        ) from error
    payload, media_type, size = _encode(image, lossless=kind in _LOSSLESS)
    changes += _told_by_encoding(kind, len(data), image.size, payload, media_type, size)
    return Encoded(payload, media_type, *size, tuple(changes), flattened)


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
        plain, flattened = _plain(image, background, changes)
    except broken() as error:
        raise ImageError(f"{name} cannot be read: {error}", hint="Give it as a JPEG or PNG file.") from error
    payload, media_type, size = _encode(plain, lossless=True)
    if size != plain.size:
        changes.append(f"Scaled from {pixels(*plain.size)} to {pixels(*size)}, to stay under {human_size(MAX_BYTES)}")
    if media_type == "image/jpeg":
        changes.append(f"Encoded as JPEG, {human_size(len(payload))}, to stay small")
    return Encoded(payload, media_type, *size, tuple(changes), flattened)


def _may_stay(image: Image.Image, data: bytes, kind: str) -> bool:
    if kind == "JPEG":
        return image.mode in ("RGB", "L") and _orientation(image) == 1
    if kind != "PNG" or data[24] > 8:  # byte 24 of a PNG is its bit depth
        return False
    if may_be_turned(data) and _orientation(image) != 1:
        return False
    if image.mode in ("RGBA", "LA"):  # an alpha channel that hides nothing needs no change
        return bool(image.getchannel("A").getextrema() == (255, 255))
    return image.mode in ("RGB", "L") and "transparency" not in image.info


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except broken():
        return 1  # unreadable EXIF turns nothing
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


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


def _plain(image: Image.Image, background: str, changes: list[str]) -> tuple[Image.Image, bool]:
    """Upright, 8 bits a channel, sRGB or grey, without transparency; and whether the background shows."""
    turned = _orientation(image) != 1
    image.load()
    image = _upright(image)
    if turned:
        changes.append("Turned upright, as its orientation tag says")
    if image.mode[0] in "IF":
        image = _to_8_bit(image, changes)
    if image.mode in ("P", "PA", "1") and not image.has_transparency_data:
        changes.append("Expanded from a palette to full colour" if image.mode != "1" else "Expanded from 1 bit to grey")
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colours = _to_srgb(image, changes)
    if alpha is None or alpha.getextrema() == (255, 255):
        return colours, False
    changes.append(f"Transparent parts filled with {background}")
    return _flatten(colours, alpha, background), True


def _upright(image: Image.Image) -> Image.Image:
    from PIL.Image import Transpose

    moves = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    move = moves.get(_orientation(image))  # asked again: Pillow turns a TIFF while loading it
    if move is None:
        return image
    turned = image.transpose(move)
    turned.info = dict(image.info)
    return turned


def _to_8_bit(image: Image.Image, changes: list[str]) -> Image.Image:
    numbers = image.convert("F")
    low, high = numbers.getextrema()
    if not (isinstance(low, (int, float)) and isinstance(high, (int, float)) and math.isfinite(low + high)):
        raise ValueError("it contains values that are not numbers")
    if image.mode.startswith("I;16"):
        changes.append("Reduced from 16 to 8 bits a channel")
        low, high = 0, 65535
    else:
        low, high = next(((0, top) for top in (1, 255, 65535) if low >= 0 and high <= top), (low, high))
        changes.append(f"Reduced from 32 to 8 bits a channel: {low:g} is black and {high:g} is white")
    scale = 255 / ((high - low) or 1)
    return numbers.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def _to_srgb(image: Image.Image, changes: list[str]) -> Image.Image:
    """RGB in sRGB, or grey; the profile, once used, is left out."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    grey = image.mode in ("L", "LA", "La", "1")
    plain = image if image.mode in ("CMYK", "LAB") else image.convert("L" if grey else "RGB")
    try:
        source: Any = ImageCms.createProfile("LAB") if image.mode == "LAB" else None
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source is not None:
            title = ImageCms.getProfileDescription(source).strip() if profile else "Lab"
            if "srgb" not in title.lower():
                target = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(plain, source, target, outputMode="RGB")
                if converted is not None:
                    changes.append(f"Colours converted from {title[:60]} to sRGB")
                    converted.info = {}
                    return converted
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        changes.append("Its colour profile could not be used and was left out")
    if image.mode == "CMYK":
        changes.append("Colours converted from CMYK to sRGB")
        plain = plain.convert("RGB")
    plain.info = {}  # Pillow writes what it finds there (profile, EXIF, comments) into the file
    return plain


def _flatten(colours: Image.Image, alpha: Image.Image, background: str) -> Image.Image:
    from PIL import Image, ImageColor

    colour = ImageColor.getrgb(background)[:3]
    canvas = Image.new("RGB", colours.size, colour)
    canvas.paste(colours.convert("RGB"), mask=alpha)
    return canvas


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
