"""Every form in which a person holds a picture is understood, and every bad one is told in one clear sentence."""

from __future__ import annotations

import base64
import hashlib
import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kling_widget.errors import ImageError
from kling_widget.images import SourceImage
from kling_widget.video import Video
from tests.unit.media_samples import grey_of, make_clip
from tests.unit.picture_samples import PHOTOS, Tensor

COFFEE, ROCKET = PHOTOS / "coffee.png", PHOTOS / "rocket.jpg"


def pixels_of(image: SourceImage) -> np.ndarray:
    return np.asarray(image.pil().convert("RGB"))


def coffee() -> np.ndarray:
    return np.asarray(Image.open(COFFEE).convert("RGB"))


@pytest.mark.parametrize("photo", [COFFEE, ROCKET], ids=["png", "jpeg"])
@pytest.mark.parametrize(
    "form",
    [str, Path, lambda p: p.read_bytes(), lambda p: bytearray(p.read_bytes()), lambda p: memoryview(p.read_bytes())],
    ids=["str", "Path", "bytes", "bytearray", "memoryview"],
)
def test_a_file_that_needs_no_change_is_sent_byte_for_byte(photo, form):
    image = SourceImage.load(form(photo))
    assert image.data == photo.read_bytes()
    assert image.sha256 == hashlib.sha256(photo.read_bytes()).hexdigest()
    assert (image.changes, image.warnings, image.source_size) == ((), (), photo.stat().st_size)
    assert image.media_type == {".png": "image/png", ".jpg": "image/jpeg"}[photo.suffix]
    assert image.suffix == photo.suffix


def test_exif_and_place_of_an_untouched_file_stay_untouched():
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    stream = io.BytesIO()
    Image.open(ROCKET).save(stream, "JPEG", exif=exif)
    assert SourceImage.load(stream.getvalue()).data == stream.getvalue()


def test_a_file_object_is_read_from_its_beginning_and_keeps_its_name():
    with COFFEE.open("rb") as file:
        file.seek(100)
        image = SourceImage.load(file)
    assert (image.name, image.data) == ("coffee.png", COFFEE.read_bytes())
    stream = io.BytesIO()
    Image.open(COFFEE).save(stream, "PNG")  # leaves the position at the end
    assert SourceImage.load(stream).width == 600


def test_a_path_with_a_tilde_or_relative_to_the_folder_is_found(monkeypatch):
    monkeypatch.chdir(PHOTOS)
    monkeypatch.setenv("HOME", str(PHOTOS))
    assert SourceImage.load("coffee.png").data == SourceImage.load("~/coffee.png").data


def test_a_url_passes_through_unfetched():
    url = "https://user:secret@example.org/a/my%20cat.png?sig=1"
    image = SourceImage.load(f"  {url}\n")
    assert (image.url, image.image_url, image.data, image.media_type) == (url, url, None, None)
    assert (image.width, image.height, image.size, image.suffix) == (None, None, None, "")
    assert image.name == "my cat.png at example.org"
    assert image.sha256 == hashlib.sha256(url.encode()).hexdigest()
    for act in (image.pil, image.thumbnail):
        with pytest.raises(ImageError, match="was not fetched"):
            act()


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("picture", [COFFEE, ROCKET])
def test_base64_by_itself_is_the_picture_in_it_as_the_vendor_takes_it(encode, picture):
    assert SourceImage.load(encode(picture.read_bytes()).decode()) == SourceImage.load(picture.read_bytes())


def test_a_path_that_could_be_base64_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path("holidays", *["beach"] * 12)
    path.parent.mkdir(parents=True)
    shutil.copy(COFFEE, path)
    assert SourceImage.load(str(path)).data == COFFEE.read_bytes()
    with pytest.raises(ImageError, match="There is no file"):
        SourceImage.load(f"{path}s")


def test_a_data_uri_is_the_picture_in_it():
    text = base64.b64encode(COFFEE.read_bytes()).decode()
    for uri in (f"data:image/png;base64,{text}", f"DATA:;base64,{text.rstrip('=')}", f"data:image/png;base64,\n{text}"):
        assert SourceImage.load(uri).data == COFFEE.read_bytes()
    image = SourceImage.load(COFFEE)
    assert image.image_url == f"data:image/png;base64,{text}"
    assert SourceImage.load(image.image_url).sha256 == image.sha256


def test_a_pillow_image_is_known_by_its_pixels_not_by_its_encoding(monkeypatch):
    image = Image.open(COFFEE)
    first, copy = SourceImage.load(image), SourceImage.load(image.copy())
    assert np.array_equal(pixels_of(first), np.asarray(image))
    assert first.media_type == "image/png"
    assert first.sha256 == copy.sha256 != SourceImage.load(COFFEE).sha256
    with monkeypatch.context() as patch:
        patch.setattr("kling_widget.picture_codec.LOSSLESS_PIXELS", 0)  # as another version might encode it
        otherwise = SourceImage.load(image)
    assert otherwise.media_type == "image/jpeg"
    assert otherwise.sha256 == first.sha256
    changed = image.copy()
    changed.putpixel((0, 0), (1, 2, 3))
    assert SourceImage.load(changed).sha256 != first.sha256
    assert image.mode == "RGB"
    assert image.size == (600, 400)


def test_pixels_that_mean_other_colours_are_another_picture():
    image = Image.new("P", (300, 300))
    image.putpalette([255, 0, 0] + [0] * 765)
    other = image.copy()
    other.putpalette([0, 255, 0] + [0] * 765)
    assert SourceImage.load(image).sha256 != SourceImage.load(other).sha256


@pytest.mark.parametrize("channels", [None, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64, np.float16])
def test_arrays_of_bytes_and_of_0_to_1_are_the_same_picture(channels, kind):
    array = np.random.default_rng(1).integers(0, 256, (320, 310, *([channels] if channels else [])), dtype=np.uint8)
    if channels == 4:
        array[..., 3] = 255
    expected = array[..., :3] if channels else np.stack([array] * 3, axis=-1)
    given = array if kind is np.uint8 else (array / 255).astype(kind)
    image = SourceImage.load(given)
    assert np.array_equal(pixels_of(image), expected)
    assert image.changes == ()
    assert image.sha256 == SourceImage.load(array).sha256


def test_an_array_need_not_be_contiguous():
    assert np.array_equal(pixels_of(SourceImage.load(coffee()[::-1, ::-1])), coffee()[::-1, ::-1])


@pytest.mark.parametrize("channels_first", [True, False])
def test_a_tensor_on_a_device_is_read_channels_first_or_last(channels_first):
    array = coffee().transpose(2, 0, 1) if channels_first else coffee()
    assert np.array_equal(pixels_of(SourceImage.load(Tensor(array))), coffee())


def test_whatever_offers_an_array_is_read():
    class Holder:
        __array_interface__ = coffee().__array_interface__
        keep = coffee()

    array = coffee()
    Holder.__array_interface__, Holder.keep = array.__array_interface__, array
    assert np.array_equal(pixels_of(SourceImage.load(Holder())), coffee())


def test_a_figure_is_what_it_shows():
    figure_module = pytest.importorskip("matplotlib.figure")
    figure = figure_module.Figure(figsize=(4, 3), dpi=100, facecolor="red")
    image = SourceImage.load(figure)
    assert (image.width, image.height, image.name) == (400, 300, "figure")
    assert image.pil().getpixel((5, 5)) == (255, 0, 0)
    assert image.sha256 == SourceImage.load(figure).sha256


def test_an_ipython_image_is_its_data_file_or_address():
    from IPython.display import Image as Shown

    assert SourceImage.load(Shown(filename=str(COFFEE))).data == COFFEE.read_bytes()
    assert SourceImage.load(Shown(data=COFFEE.read_bytes())).data == COFFEE.read_bytes()
    assert SourceImage.load(Shown(url="https://example.org/cat.png")).url == "https://example.org/cat.png"


def test_a_video_is_its_last_frame_and_known_by_its_file(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=30, size=(640, 360))
    image = SourceImage.load(Video(clip))
    assert abs(image.pil().getpixel((9, 9))[0] - grey_of(29)) <= 2
    assert image.name == "last frame of clip.mp4"
    assert image.size < 100_000
    other = make_clip(tmp_path / "other.mp4", frames=30, size=(640, 360))
    assert SourceImage.load(Video(other)).sha256 == image.sha256  # the same bytes under another name


def test_a_source_image_is_itself_and_can_be_renamed():
    image = SourceImage.load(COFFEE)
    assert SourceImage.load(image) is image
    assert SourceImage.load(image, name="cup.png").name == "cup.png"
    assert pickle.loads(pickle.dumps(image)) == image
    assert len(repr(image)) < 400
    assert hash(image)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("C:\\fakepath\\cat.png", "cat.png"),
        ("/a/b/cat.png", "cat.png"),
        ("a\nb\x00c.png", "abc.png"),
        ("\n", "picture"),
    ],
)
def test_a_name_is_one_short_printable_line(given, shown):
    assert SourceImage.load(COFFEE, name=given).name == shown
    assert len(SourceImage.load(COFFEE, name="x" * 5000).name) <= 80


def test_a_thumbnail_is_small_whatever_the_picture():
    noise = Image.effect_noise((2000, 1500), 120).convert("RGB")
    for source in (COFFEE, ROCKET, noise):
        thumbnail = SourceImage.load(source).thumbnail()
        shown = Image.open(io.BytesIO(thumbnail))
        assert len(thumbnail) <= 25_000
        assert shown.format == "JPEG"
        assert 160 <= max(shown.size) <= 320
