"""Every picture file becomes what the API takes, upright and in its colours, and each change is told."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from kling_widget.images import SourceImage
from tests.unit.picture_samples import COFFEE, PHOTOS, saved


def difference(image: SourceImage, expected: Image.Image) -> float:
    """Mean absolute difference of all channels, 0 to 255."""
    shown, wanted = (np.asarray(each.convert("RGB"), np.int16) for each in (image.pil(), expected))
    assert shown.shape == wanted.shape
    return float(np.abs(shown - wanted).mean())


@pytest.mark.parametrize(
    ("kind", "options", "becomes", "told"),
    [
        ("WEBP", {"quality": 95}, "image/jpeg", "Converted from WebP to JPEG"),
        ("HEIF", {"quality": 95}, "image/jpeg", "Converted from HEIC to JPEG"),
        ("AVIF", {"quality": 95}, "image/jpeg", "Converted from AVIF to JPEG"),
        ("TIFF", {}, "image/png", "Converted from TIFF to PNG"),
        ("TIFF", {"compression": "tiff_lzw"}, "image/png", "Converted from TIFF to PNG"),
        ("BMP", {}, "image/png", "Converted from BMP to PNG"),
        ("GIF", {}, "image/png", "Converted from GIF to PNG"),
        ("JPEG2000", {}, "image/jpeg", "Converted from JPEG 2000 to JPEG"),
    ],
)
def test_a_format_the_api_does_not_take_is_converted_and_told(kind, options, becomes, told):
    data = saved(COFFEE, kind, **options)
    image = SourceImage.load(data)
    assert image.media_type == becomes
    assert told in image.changes[-1]
    assert image.pil().format == becomes.split("/")[1].upper()
    assert difference(image, COFFEE) < (9 if kind == "GIF" else 3)
    assert image.source_size == len(data)
    assert image.warnings == ()


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_a_picture_is_turned_upright_as_its_orientation_says(kind, orientation):
    stored_from = {  # what undoes the turn, EXIF 2.32
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = COFFEE.resize((330, 300))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(upright.transpose(stored_from[orientation]), kind, exif=exif.tobytes())
    image = SourceImage.load(data)
    assert (image.width, image.height) == (330, 300)
    assert "Turned upright" in image.changes[0]
    assert difference(image, upright) < 8
    assert image.pil().getexif().get(0x0112, 1) == 1  # or it would be turned twice


def phones_photo(orientation, size, stored=None):
    """As a phone stores it, `size` pixels; `stored` says so in the EXIF, as phones do."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if stored:
        exif.get_ifd(0x8769).update(zip((0xA002, 0xA003), stored, strict=True))
    return Image.open(io.BytesIO(saved(COFFEE.resize(size), "JPEG", exif=exif.tobytes())))


@pytest.mark.parametrize(
    ("orientation", "stored", "change", "is_sent", "may_lie"),
    [
        (6, (600, 400), lambda photo: photo, (400, 600), False),
        (6, None, lambda photo: photo, (400, 600), False),
        (6, (600, 400), lambda photo: photo.rotate(270, expand=True), (400, 600), False),
        (6, (600, 400), lambda photo: photo.rotate(270, expand=True).resize((334, 501)), (334, 501), False),
        (6, (600, 400), lambda photo: photo.convert("RGB"), (400, 600), False),
        (6, (600, 400), lambda photo: photo.resize((450, 300)), (300, 450), False),
        (6, (600, 400), ImageOps.exif_transpose, (400, 600), False),
        (6, (600, 400), lambda photo: photo.crop((0, 0, 400, 400)), (400, 400), True),
        (6, None, lambda photo: photo.rotate(270, expand=True), (600, 400), True),
        (3, (600, 400), lambda photo: photo.rotate(180), (600, 400), True),
        (1, (600, 400), lambda photo: photo.rotate(180), (600, 400), False),
    ],
)
def test_a_photo_that_somebody_has_turned_is_not_turned_again(orientation, stored, change, is_sent, may_lie):
    image = SourceImage.load(change(phones_photo(orientation, (600, 400), stored)))
    assert (image.width, image.height, image.may_lie) == (*is_sent, may_lie)


def test_a_heic_of_a_turned_phone_is_upright_and_turned_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = SourceImage.load(saved(COFFEE, "HEIF", exif=exif.tobytes()))
    assert (image.width, image.height) == (400, 600)
    assert difference(image, COFFEE.transpose(Image.Transpose.ROTATE_270)) < 4


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "pillow", "numpy"])
@pytest.mark.parametrize(("background", "colour"), [("white", (255, 255, 255)), ("#00f", (0, 0, 255))])
def test_transparency_is_filled_with_the_stated_colour(kind, background, colour):
    image = COFFEE.convert("RGBA")
    image.paste((9, 9, 9, 0), (0, 0, 300, 400))
    source = {"pillow": lambda: image, "numpy": lambda: np.asarray(image)}.get(
        kind, lambda: saved(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    )()
    sent = SourceImage.load(source, background=background)
    assert f"Transparent parts filled with {background}" in sent.changes
    assert sent.pil().mode == "RGB"
    assert np.abs(np.subtract(sent.pil().getpixel((100, 100)), colour)).max() <= 3
    assert np.abs(np.subtract(sent.pil().getpixel((500, 100)), COFFEE.getpixel((500, 100)))).max() <= 12


def test_half_transparent_grey_and_palette_pictures_are_filled_too():
    grey = Image.new("LA", (300, 300), (0, 128))
    assert SourceImage.load(saved(grey, "PNG")).pil().convert("RGB").getpixel((5, 5)) == (127, 127, 127)
    palette = Image.new("P", (300, 300), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0] + [0] * 762)
    palette.paste(1, (0, 0, 100, 300))
    image = SourceImage.load(saved(palette, "PNG", transparency=0))
    assert image.pil().getpixel((5, 5)) == (0, 255, 0)
    assert image.pil().getpixel((200, 5)) == (255, 255, 255)


def test_another_background_is_another_request_only_where_it_shows():
    clear = saved(ImageOps.expand(Image.new("RGBA", (200, 200), "teal"), 50, (0, 0, 0, 0)), "PNG")
    assert SourceImage.load(clear, background="red").sha256 != SourceImage.load(clear).sha256
    full = saved(COFFEE.convert("RGBA"), "PNG")
    assert SourceImage.load(full, background="red").sha256 == SourceImage.load(full).sha256


def test_an_alpha_channel_that_hides_nothing_needs_no_change():
    data = saved(COFFEE.convert("RGBA"), "PNG")
    assert SourceImage.load(data).data == data


def test_sixteen_bits_keep_their_brightness():
    ramp = np.linspace(0, 65535, 300 * 400).reshape(300, 400).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        image = SourceImage.load(saved(Image.fromarray(ramp), kind))
        assert "Reduced from 16 to 8 bits a channel" in image.changes
        assert np.abs(np.asarray(image.pil(), np.int32) - ramp / 257).max() <= 1


def test_sixteen_bit_colour_is_reduced():
    row = b"\0" + struct.pack(">3H", 65535, 32768, 0) * 300
    header = struct.pack(">IIBBBBB", 300, 300, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(row * 300)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    image = SourceImage.load(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    assert "Reduced from 16 to 8 bits a channel" in image.changes
    assert image.pil().getpixel((3, 3)) == (255, 128, 0)
    assert image.data[24] == 8


@pytest.mark.parametrize(("top", "named"), [(1.0, "1 is white"), (255.0, "255 is white"), (3000.0, "65535 is white")])
def test_float_pictures_say_what_is_black_and_white(top, named):
    values = np.linspace(0, top, 300 * 300, dtype=np.float32).reshape(300, 300)
    image = SourceImage.load(saved(Image.fromarray(values), "TIFF"))
    assert named in image.changes[0]
    assert "0 is black" in image.changes[0]


def test_a_palette_becomes_full_colour():
    data = saved(COFFEE.convert("P"), "PNG")
    image = SourceImage.load(data)
    assert image.pil().mode == "RGB"
    assert image.changes == ("Expanded from a palette to full colour",)
    assert difference(image, COFFEE.convert("P").convert("RGB")) == 0


def test_print_colours_become_screen_colours():
    image = SourceImage.load(saved(COFFEE.convert("CMYK"), "JPEG", quality=95))
    assert image.pil().mode == "RGB"
    assert "Colours converted from CMYK to sRGB" in image.changes
    assert difference(image, COFFEE) < 5


def test_a_colour_profile_is_kept_with_untouched_bytes_and_used_when_re_encoding():
    rocket = PHOTOS / "rocket.jpg"  # Adobe RGB (1998)
    assert SourceImage.load(rocket).data == rocket.read_bytes()
    original = Image.open(rocket)
    source = ImageCms.ImageCmsProfile(io.BytesIO(original.info["icc_profile"]))
    wanted = ImageCms.profileToProfile(original, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    image = SourceImage.load(saved(original, "TIFF", icc_profile=original.info["icc_profile"]))
    assert "Colours converted from Adobe RGB (1998) to sRGB" in image.changes
    assert difference(image, wanted) < 1
    assert "icc_profile" not in image.pil().info


ADOBE = Image.open(PHOTOS / "rocket.jpg").info["icc_profile"]
CALLED_SRGB = ADOBE.replace(b"Adobe RGB (1998)", b"sRGB Transfer, P")  # as Android's of Display P3 are
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CALLED_C2 = SRGB.replace("sRGB built-in".encode("utf-16-be"), "c2, built-in.".encode("utf-16-be"))


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (SRGB, ()),
        (CALLED_C2, ()),
        (CALLED_SRGB, ("Colours converted from sRGB Transfer, P to sRGB",)),
    ],
    ids=["sRGB", "sRGB of another name", "something else of that name"],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_colour_profile_is_what_it_does_not_what_it_is_called(profile, said, mode):
    assert len({SRGB, CALLED_C2, ADOBE, CALLED_SRGB}) == 4  # each was renamed
    original = COFFEE.convert(mode)
    image = SourceImage.load(saved(original, "TIFF", icc_profile=profile))
    assert image.changes[:-1] == said  # the last is that it is a PNG now
    wanted = original.convert("RGB")
    if said:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(ADOBE)), ImageCms.createProfile("sRGB")
        wanted = ImageCms.profileToProfile(wanted, source, target)
    assert difference(image, wanted) < 1


def test_a_broken_colour_profile_is_left_out():
    image = SourceImage.load(saved(COFFEE, "TIFF", icc_profile=b"no profile at all"))
    assert "Its colour profile could not be used and was left out" in image.changes
    assert "icc_profile" not in image.pil().info
    assert difference(image, COFFEE) == 0


def test_of_an_animation_the_first_frame_is_used():
    frames = [Image.new("RGB", (300, 300), colour) for colour in ("red", "lime", "blue")]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        image = SourceImage.load(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
        assert image.changes[0].startswith("Only the first of its 3 ")
        assert np.abs(np.subtract(image.pil().convert("RGB").getpixel((9, 9)), (255, 0, 0))).max() <= 3


def test_the_name_s_ending_may_lie(tmp_path):
    (tmp_path / "cat.png").write_bytes(saved(COFFEE, "JPEG"))
    assert SourceImage.load(tmp_path / "cat.png").media_type == "image/jpeg"
