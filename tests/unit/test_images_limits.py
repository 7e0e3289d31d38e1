"""What is too large, too small, a bomb or damaged: made to fit, warned of, or refused in a sentence."""

from __future__ import annotations

import contextlib
import math
import struct
import threading
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from kling_widget.errors import ImageError
from kling_widget.images import SourceImage
from kling_widget.picture_files import MAX_PIXELS
from tests.unit.picture_samples import COFFEE, LIMIT, PHOTOS, noisy_photo, saved


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_a_20_mb_photo_goes_under_the_limit_and_the_change_is_told():
    data = saved(noisy_photo(4000, 3000), "JPEG", quality=97, subsampling=0)
    assert len(data) > 18_000_000
    image = SourceImage.load(data)
    assert image.size <= LIMIT
    assert image.source_size == len(data)
    assert image.media_type == "image/jpeg"
    assert image.size > 0.6 * LIMIT  # no more quality is given away than must be
    assert image.changes[-1].endswith(f"{image.size / 1e6:.1f} MB, to stay under 10 MB")
    assert f"{len(data) / 1e6:.1f} MB → " in image.changes[-1]
    assert "e-encoded as JPEG" in image.changes[-1]
    assert math.isclose(image.width / image.height, 4 / 3, rel_tol=0.01)


def test_a_large_png_and_a_large_array_become_jpegs_under_the_limit():
    photo = noisy_photo(3000, 2000)
    from_file, from_array = SourceImage.load(saved(photo, "PNG", compress_level=1)), SourceImage.load(np.asarray(photo))
    for image in (from_file, from_array):
        assert image.media_type == "image/jpeg"
        assert image.size <= LIMIT
        assert "JPEG" in image.changes[-1]


def test_a_picture_longer_than_jpeg_can_hold_is_scaled():
    image = SourceImage.load(Image.new("L", (90_000, 300)))
    assert image.width <= 65_500
    assert "Scaled from 90,000 × 300 px" in image.changes[0]


@pytest.mark.parametrize(
    ("size", "warning"),
    [
        ((212, 180), "212 × 180 px is below the 300 px the model needs"),
        ((299, 700), "299 × 700 px is below the 300 px the model needs"),
        ((751, 300), "751 × 300 px is wider than 2.5:1"),
        ((300, 751), "300 × 751 px is taller than 1:2.5"),
    ],
)
def test_what_the_model_may_refuse_is_said_before(size, warning):
    assert SourceImage.load(Image.new("RGB", size)).warnings[0].startswith(warning)


@pytest.mark.parametrize("size", [(300, 300), (750, 300), (300, 750)])
def test_at_the_limits_nothing_is_said(size):
    assert SourceImage.load(Image.new("RGB", size)).warnings == ()


def test_a_picture_bomb_is_refused_by_its_header_whatever_pillow_is_set_to(monkeypatch):
    for setting in (None, Image.MAX_IMAGE_PIXELS, 10**12):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", setting)
        tracemalloc.start()
        with pytest.raises(ImageError, match=r"40,000 × 40,000 px .* 179 is the most"):
            SourceImage.load(png_header(40_000, 40_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000
    assert MAX_PIXELS == 2 * 89_478_485  # Image.MAX_IMAGE_PIXELS as Pillow ships it


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "JPEG", "WEBP", "HEIF", "AVIF"])
def test_a_bomb_of_another_format_is_refused_by_its_header_too(kind, monkeypatch):
    side = (16_000).to_bytes(2, "little")
    if kind in ("GIF", "BMP", "TIFF", "JPEG"):
        data = bytearray(saved(Image.new("RGB", (300, 300)), kind))
        if kind == "GIF":
            data[6:10] = side * 2
        elif kind == "BMP":
            data[18:26] = (side + b"\0\0") * 2
        elif kind == "JPEG":
            at = data.index(b"\xff\xc0") + 5
            data[at : at + 4] = side[::-1] * 2
        else:
            stream = saved(Image.new("RGB", (300, 300)), kind)
            for tag in (256, 257):  # ImageWidth, ImageLength
                at = stream.index(struct.pack("<HHI", tag, 4, 1)) + 8
                data[at : at + 4] = side + b"\0\0"
    else:
        data = bytearray(saved(Image.new("RGB", (300, 300)), kind))
        monkeypatch.setattr("kling_widget.picture_files.MAX_PIXELS", 300 * 300 - 1)
    with pytest.raises(ImageError, match="too large to open safely"):
        SourceImage.load(data)


def test_a_lower_pillow_limit_of_the_notebook_changes_nothing(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert SourceImage.load(PHOTOS / "coffee.png").width == 600


def test_loading_leaves_pillow_as_it_was():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, Image.OPEN.get("HEIF"))
    threads = [
        threading.Thread(target=SourceImage.load, args=(saved(COFFEE, kind),))
        for kind in ("HEIF", "WEBP", "GIF", "TIFF")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, Image.OPEN.get("HEIF")) == before


@pytest.mark.parametrize("forgiving", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.9999])
def test_a_picture_that_breaks_off_is_refused(kind, share, forgiving, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", forgiving)
    exif = Image.Exif()
    exif[0x010E] = "a thumbnail's end marker: \xff\xd9"
    data = saved(COFFEE, kind, exif=exif)
    with pytest.raises(ImageError, match="is not complete"):
        SourceImage.load(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", ["WEBP", "HEIF", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000"])
def test_other_formats_that_break_off_are_refused(kind):
    data = saved(COFFEE, kind)
    with pytest.raises(ImageError, match=r"^picture (cannot be read|is not)"):
        SourceImage.load(data[: len(data) // 2])


def test_a_damaged_byte_in_a_png_is_noticed():
    data = bytearray((PHOTOS / "coffee.png").read_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(ImageError, match="damaged"):
        SourceImage.load(data)


def test_what_phones_append_to_a_jpeg_does_no_harm():
    data = saved(COFFEE, "JPEG") + b"\0\0\0\x18ftypmp42" + bytes(1000)  # a "motion photo"
    assert SourceImage.load(data).data == data


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000"]),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    head=st.booleans(),
)
def test_damage_of_any_kind_is_an_image_error_or_a_picture(kind, places, head):
    data = bytearray(SMALL[kind])
    for place, value in places:
        data[int(place * ((64 if head else len(data)) - 1))] = value
    with contextlib.suppress(ImageError):  # and nothing else
        assert SourceImage.load(data).data


SMALL = {
    kind: saved(COFFEE.resize((60, 40)), kind)
    for kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000")
}


def test_an_untouched_jpeg_costs_no_decoding_and_little_memory(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(noisy_photo(4000, 3000), "JPEG", quality=90))
    size = path.stat().st_size
    assert 6_000_000 < size <= LIMIT
    SourceImage.load(PHOTOS / "rocket.jpg")  # what is imported once is no part of it
    tracemalloc.start()
    started = time.perf_counter()
    image = SourceImage.load(path)
    loaded = time.perf_counter() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    started = time.perf_counter()
    image.pil()
    decoded = time.perf_counter() - started
    assert image.changes == ()
    assert peak < 2.1 * size
    assert loaded < decoded
