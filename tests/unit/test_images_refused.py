"""Every bad source of a picture is told in one clear sentence with a hint, and as one named exception."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kling_widget.errors import ImageError
from kling_widget.images import SourceImage
from kling_widget.posters import Small
from kling_widget.video import Video
from tests.unit.picture_samples import PHOTOS, Tensor

COFFEE = PHOTOS / "coffee.png"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (None, "No image was given"),
        ("", "No image was given"),
        ("   ", "No image was given"),
        (b"", "is empty"),
        (b"hello, world", "it holds text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing"),
        (b"%PDF-1.7 ...", "PDF"),
        (bytes(range(256)) * 40, "unknown kind"),
        (b"\0\0\0\x20ftypisom" + bytes(40), "is a video"),
        ("nowhere/cat.png", "There is no file nowhere/cat.png"),
        (str(PHOTOS), "is a folder"),
        (os.devnull, "is not a file"),
        ("x\0y.png", "cannot be read"),
        ("a" * 5000, "cannot be read"),
        ("http://", "names no host"),
        ("https:///cat.png", "names no host"),
        ("http://a b/cat.png", "has spaces"),
        ("http://[::1", "is not a web address"),
        ("http://example.org:99999/", "is not a web address"),
        ("htps://x", "begins with htps:"),
        ("javascript:alert(1)", "begins with javascript:"),
        ("file:///etc/passwd", "file: address"),
        ("data:text/html,<b>", "text/html, not an image"),
        ("data:image/png;base64,@@@", "damaged"),
        ("data:image/png;base64", "no data"),
        ("data:image/png,", "is empty"),
        (io.StringIO("text"), "open as text"),
        (5, "int cannot be read as an image"),
        ([[1, 2]], "list cannot be read as an image"),
        (np.zeros((3, 300, 300), np.uint8), "np.moveaxis"),
        (np.zeros((300, 300, 1), np.uint8), "squeeze"),
        (np.zeros((1, 300, 300, 3), np.uint8), "squeeze"),
        (np.zeros((300, 300, 2), np.uint8), "is not a picture"),
        (np.zeros(300, np.uint8), "is not a picture"),
        (np.zeros((0, 300, 3), np.uint8), "is empty"),
        (np.zeros((300, 300), np.uint16), "65535"),
        (np.zeros((300, 300), bool), "bool"),
        (np.zeros((300, 300), np.int64), "int64"),
        (np.full((300, 300), np.nan), "NaN"),
        (np.full((300, 300), np.inf), "NaN or infinity"),
        (np.full((300, 300, 3), 200.0), "Divide it by 255"),
        (np.full((300, 300, 3), -1.0), "Scale it to 0..1"),
        (Tensor(np.zeros((3, 300, 3), np.uint8)), "read in two ways"),
        (Tensor(np.zeros((1, 3, 300, 300), np.uint8)), "squeeze"),
        (Image.new("RGB", (0, 5)), "has no pixels"),
    ],
    ids=lambda value: repr(value)[:30] if isinstance(value, (str, bytes, int)) else type(value).__name__,
)
def test_a_bad_source_is_one_clear_sentence_and_a_hint(source, sentence):
    with pytest.raises(ImageError) as caught:
        SourceImage.load(source)
    assert sentence in str(caught.value)
    assert len(caught.value.message) < 250
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert not caught.value.may_have_cost


def test_a_text_file_named_png_and_a_file_opened_as_text_say_so(tmp_path):
    fake = tmp_path / "cat.png"
    fake.write_text("this is no cat")
    with pytest.raises(ImageError, match=r"^cat\.png is not a picture: it holds text"):
        SourceImage.load(fake)
    with fake.open() as file, pytest.raises(ImageError, match='"rb"'):
        SourceImage.load(file)


def test_a_file_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    secret = tmp_path / "secret.png"
    secret.write_bytes(COFFEE.read_bytes())

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root, under which tests may run, can read everything
    with pytest.raises(ImageError, match="may not be read"):
        SourceImage.load(secret)


def test_a_background_that_is_no_colour_is_refused():
    with pytest.raises(ImageError, match="'nocolour' is not a colour"):
        SourceImage.load(COFFEE, background="nocolour")


@pytest.mark.parametrize("source", [Image.new("RGBA", (400, 300)), np.zeros((300, 400, 4), np.uint8)])
def test_a_picture_of_which_nothing_would_be_seen_is_refused(source):
    with pytest.raises(ImageError, match="transparent everywhere: only white would be seen"):
        SourceImage.load(source)


@pytest.mark.parametrize(
    "decoded",
    [
        lambda picture: picture.pil(),
        lambda picture: picture.thumbnail(),
        lambda picture: picture.small_pictures(Small("WEBP", 80, 2_000)),
    ],
    ids=["pil", "thumbnail", "small_pictures"],
)
def test_pixels_that_are_damaged_are_an_image_error_when_they_are_looked_at(decoded):
    damaged = bytearray((PHOTOS / "rocket.jpg").read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 4] = b"\xff\xc0\0\2"  # a second header amid its pixels
    with pytest.raises(ImageError, match=r"rocket\.jpg cannot be read"):
        decoded(SourceImage.load(bytes(damaged), name="rocket.jpg"))


def test_a_video_whose_file_is_lost_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.mp4 cannot be read: it is not there any more"):
        SourceImage.load(Video(tmp_path / "gone.mp4"))


def test_a_closed_pillow_image_is_an_image_error():
    image = Image.open(COFFEE)
    image.close()
    with pytest.raises(ImageError, match="cannot be read"):
        SourceImage.load(image)
