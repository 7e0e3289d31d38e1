"""``image_url`` → the bytes of a JPEG or PNG. Addresses are never fetched: a placeholder is drawn for them."""

from __future__ import annotations

import base64
import binascii
import colorsys
import hashlib
import io
from urllib.parse import unquote_to_bytes, urlsplit

MAX_PICTURE_BYTES = 10 * 2**20  # "file at most 10 MB", aimlapi.md §2; read generously, as MiB
MAX_PICTURE_PIXELS = 100_000_000  # our choice: beyond it decoding costs more memory than a demo may
PLACEHOLDER_SIZE = (1280, 720)  # 16:9, the vendor's usual format


class PictureError(ValueError):
    """A picture the vendor refuses; the text is the validation message."""


def read_picture(value: str) -> bytes:
    """The picture behind an ``image_url``.

    Parameters
    ----------
    value
        An http(s) address, a data URI, or bare Base64.

    Returns
    -------
    bytes
        A decodable JPEG or PNG of at most 10 MiB.

    Raises
    ------
    PictureError
        The value is none of the three, or the picture is too large, of another format or damaged.
    """
    if value[:8].lower().startswith(("http://", "https://")):
        return placeholder(value)
    data = _from_data_uri(value) if value[:5].lower() == "data:" else _from_base64(value)
    check_picture(data)
    return data


def check_picture(data: bytes) -> None:
    """Raise PictureError unless `data` is a JPEG or PNG that can be decoded, within the limits."""
    from PIL import Image

    if len(data) > MAX_PICTURE_BYTES:
        raise PictureError(f"File size must not exceed 10 MB, received {len(data) / 2**20:.1f} MB")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.format not in ("JPEG", "MPO", "PNG"):  # MPO: a JPEG with further pictures behind it
                raise PictureError(f"Unsupported image format. Expected JPEG | PNG, received {picture.format}")
            if picture.width * picture.height > MAX_PICTURE_PIXELS:
                raise PictureError(f"Image is too large: {picture.width} x {picture.height} px")
            picture.load()
    except Image.DecompressionBombError as error:
        raise PictureError("Image is too large") from error
    except PictureError:
        raise
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
    ) as error:  # what Pillow raises for files that are damaged or no pictures
        raise PictureError("Image could not be decoded") from error


def placeholder(url: str) -> bytes:
    """A PNG that stands for the picture at `url`: the same address always gives the same colours."""
    from PIL import Image, ImageDraw, ImageFilter, ImageOps

    parts = urlsplit(url)
    if not parts.hostname or any(char.isspace() for char in url):
        raise PictureError("Invalid url")
    digest = hashlib.sha256(url.encode()).digest()
    hue = digest[0] / 256
    sky, ground = (_rgb(hue, 0.45, 0.95), _rgb((hue + 0.08) % 1, 0.55, 0.45))
    gradient = Image.linear_gradient("L").resize(PLACEHOLDER_SIZE)
    picture = ImageOps.colorize(gradient, black=sky, white=ground)
    width, height = PLACEHOLDER_SIZE
    hills = Image.new("L", PLACEHOLDER_SIZE)
    draw = ImageDraw.Draw(hills)
    for index in range(4):
        x, radius = digest[1 + index] / 255 * width, height * (0.35 + digest[5 + index] / 255 * 0.3)
        top = height * (0.55 + 0.1 * index)
        draw.ellipse((x - 1.6 * radius, top, x + 1.6 * radius, top + 2 * radius), fill=90 + 30 * index)
    sun, size = digest[9] / 255 * 0.6 * width + 0.2 * width, height * 0.09
    picture.paste(_rgb(hue, 0.6, 0.25), mask=hills.filter(ImageFilter.GaussianBlur(2)))
    ImageDraw.Draw(picture).ellipse(
        (sun - size, 0.2 * height - size, sun + size, 0.2 * height + size), fill=_rgb(hue, 0.12, 1.0)
    )
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _from_data_uri(value: str) -> bytes:
    head, comma, payload = value[5:].partition(",")
    if not comma:
        raise PictureError("Invalid data URI")
    if head.lower().endswith(";base64"):
        return _from_base64(payload)
    return unquote_to_bytes(payload)


def _from_base64(value: str) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureError("Invalid url: expected an http(s) address, a data URI or Base64") from error
    if not data:
        raise PictureError("Invalid url: the image is empty")
    return data
