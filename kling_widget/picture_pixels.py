"""Any decoded picture → upright, 8 bits a channel, sRGB or grey, without transparency."""

from __future__ import annotations

import io
import itertools
import math
from typing import TYPE_CHECKING

from .errors import ImageError
from .picture_files import broken

if TYPE_CHECKING:
    from PIL import Image, ImageCms

_SAMPLES = list(itertools.product((0, 85, 170, 255), repeat=3))  # colours that a profile is tried on
_ROUNDING = 3  # of 255; ours: what profiles of sRGB differ by from one another
ORIENTATION = 0x0112  # EXIF 2.32, tag 274
_SIZE = (0xA002, 0xA003)  # the same, PixelXDimension and PixelYDimension: as stored, before any turning


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 is upright."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except broken():
        return 1  # unreadable EXIF turns nothing
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turned_by_hand(image: Image.Image) -> bool | None:
    """Whether a Pillow image was turned since it was opened, though it still says that it is to be turned.

    Notebooks show a photo as it is stored, so whoever sees it lying turns it; and Pillow keeps the tag.

    Returns
    -------
    None where nobody can tell.
    """
    from PIL.ExifTags import IFD
    from PIL.ImageFile import ImageFile

    if isinstance(image, ImageFile) or (tag := orientation(image)) == 1:
        return False
    try:
        details = image.getexif().get_ifd(IFD.Exif)
    except broken():
        return None
    width, height = (details.get(name) for name in _SIZE)
    if tag < 5 or not isinstance(width, int) or not isinstance(height, int) or width == height:
        return None  # half a turn, or a mirror, leaves the sides as they were
    if _are_alike(image.width * height, image.height * width):
        return False
    return True if _are_alike(image.width * width, image.height * height) else None


def _are_alike(one: int, other: int) -> bool:
    return abs(one - other) <= 0.01 * max(one, other)  # made smaller, sides are rounded


def plain(
    image: Image.Image, background: str, changes: list[str], *, upright: bool = False
) -> tuple[Image.Image, bool]:
    """Bring to RGB or L.

    Parameters
    ----------
    image
        Of any mode; not changed, but loaded.
    background
        Colour behind transparent parts.
    changes
        Gets a sentence for each thing that was changed.
    upright
        Whether it stands already, whatever its orientation tag says.

    Returns
    -------
    The picture, and whether the background shows in it.

    Raises
    ------
    ImageError
        It is transparent everywhere.
    """
    turned = not upright and orientation(image) != 1
    image.load()
    if turned:
        image = _upright(image)
        changes.append("Turned upright, as its orientation tag says")
    if image.mode[0] in "IF":
        image = _to_8_bit(image, changes)
    if image.mode in ("P", "PA", "1") and not image.has_transparency_data:
        changes.append("Expanded from a palette to full colour" if image.mode != "1" else "Expanded from 1 bit to grey")
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colours = to_srgb(image, changes)
    if alpha is None or alpha.getextrema() == (255, 255):
        return colours, False
    if alpha.getextrema()[1] == 0:
        raise ImageError(
            f"The picture is transparent everywhere: only {background} would be seen.",
            hint='Choose another; of a Pillow image, convert("RGB") leaves the transparency out.',
        )
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
    move = moves.get(orientation(image))  # asked again: Pillow turns a TIFF while loading it
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


def to_srgb(image: Image.Image, changes: list[str]) -> Image.Image:
    """RGB in sRGB, or grey; the profile, once used, is left out."""
    from PIL import ImageCms

    profile = image.info.get("icc_profile")
    grey = image.mode in ("L", "LA", "La", "1")
    colours = image if image.mode in ("CMYK", "LAB") else image.convert("L" if grey else "RGB")
    try:
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")) if image.mode == "LAB" else None
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source is not None and not _is_srgb(source):
            if grey and _is_of_colours(source):
                colours = colours.convert("RGB")
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(colours, source, target, outputMode="RGB")
            if converted is not None:
                title = ImageCms.getProfileDescription(source).strip() if profile else "Lab"
                changes.append(f"Colours converted from {title[:60]} to sRGB")
                converted.info = {}
                return converted
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        changes.append("Its colour profile could not be used and was left out")
    if image.mode == "CMYK":
        changes.append("Colours converted from CMYK to sRGB")
        colours = colours.convert("RGB")
    colours.info = {}  # Pillow writes what it finds there (profile, EXIF, comments) into the file
    return colours


def _is_of_colours(profile: ImageCms.ImageCmsProfile) -> bool:
    return profile.profile.xcolor_space.strip() == "RGB"


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """By what it does: "sRGB Transfer with Display P3 Gamut" is the name of one that isn't."""
    from PIL import Image, ImageChops, ImageCms

    if not _is_of_colours(profile):
        return False
    samples = Image.new("RGB", (len(_SAMPLES), 1))
    samples.putdata(_SAMPLES)
    shown = samples.copy()
    ImageCms.profileToProfile(shown, profile, ImageCms.createProfile("sRGB"), inPlace=True)
    return max(ImageChops.difference(samples, shown).tobytes()) <= _ROUNDING


def _flatten(colours: Image.Image, alpha: Image.Image, background: str) -> Image.Image:
    from PIL import Image, ImageColor

    colour = ImageColor.getrgb(background)[:3]
    canvas = Image.new("RGB", colours.size, colour)
    canvas.paste(colours.convert("RGB"), mask=alpha)
    return canvas
