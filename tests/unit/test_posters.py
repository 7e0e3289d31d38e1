"""Small pictures of a clip have its colours, keep to their bytes, and need no Pillow."""

from __future__ import annotations

import io
import subprocess
import sys

import av
import numpy as np
import pytest
from PIL import Image

from kling_widget import posters
from kling_widget.posters import Small
from tests.unit.media_samples import make_clip

KINDS = ("JPEG", "WEBP")
HALVES = ((200, 60, 30), (20, 90, 210))  # RGB of the left and the right


def film(path, *, lines, width=None, tagged=None, pixels="yuv420p", space="ITU709"):
    width = width or lines * 16 // 9
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = width, lines, pixels
        if tagged is not None:
            stream.codec_context.colorspace = tagged
        picture = np.empty((lines, width, 3), np.uint8)
        picture[:, : width // 2], picture[:, width // 2 :] = HALVES
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        container.mux(stream.encode(frame.reformat(format=pixels, dst_colorspace=space)))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "clip",
    [
        {"lines": 720, "tagged": 1},  # BT.709
        {"lines": 720},
        {"lines": 360, "space": "ITU601"},
        {"lines": 720, "tagged": 1, "pixels": "yuv444p"},
    ],
    ids=["tagged", "untagged", "small", "4:4:4"],
)
def test_the_colours_are_those_a_player_shows(tmp_path, clip, kind):
    wanted = [Small("WEBP", 480, 25_000), Small(kind, 320, 25_000)]
    _, (_, data) = posters.first_look(film(tmp_path / "a.mp4", **clip), wanted)
    assert_shows(data, kind)


def assert_shows(data, kind):
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == (kind, (320, 180))
        for x, colour in zip((40, 280), HALVES, strict=True):
            assert np.abs(np.subtract(image.convert("RGB").getpixel((x, 90)), colour)).max() <= 8


@pytest.mark.parametrize("wanted", [KINDS, ("JPEG",), ("WEBP",)], ids=str)
def test_the_last_line_of_an_odd_height_has_its_colours(tmp_path, wanted):
    """Not what lay in memory before, which differs from one time to the next, and from picture to picture."""
    films = [film(tmp_path / f"{lines}.mp4", lines=lines, width=960, space="ITU601") for lines in (638, 702, 638)]
    for path in films:
        for data in posters.first_look(path, [Small(kind, 480, 25_000) for kind in wanted])[1]:
            with Image.open(io.BytesIO(data)) as image:
                assert image.height % 2 == 1
                last = np.asarray(image.convert("RGB"))[-1].astype(int)
            assert np.abs(last[20:220] - HALVES[0]).max() <= 16
            assert np.abs(last[260:460] - HALVES[1]).max() <= 16


def test_a_clip_of_the_whole_range_is_not_paler_than_it_is(tmp_path):
    clip = film(tmp_path / "a.mp4", lines=360, pixels="yuvj420p", space="ITU601")
    for data in posters.first_look(clip, [Small(kind, 320, 25_000) for kind in KINDS])[1]:
        with Image.open(io.BytesIO(data)) as image:
            assert np.abs(np.subtract(image.convert("RGB").getpixel((40, 90)), HALVES[0])).max() <= 8


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_to_its_bytes_even_of_noise(tmp_path, kind):
    clip = make_clip(tmp_path / "noise.mp4", frames=2, size=(1280, 720), noise=True)
    info, (data,) = posters.first_look(clip, [Small(kind, 480, 13_000)])
    assert (info.width, info.frames) == (1280, 2)
    assert len(data) <= 13_000
    with Image.open(io.BytesIO(data)) as image:
        assert 240 <= max(image.size) <= 480


def test_an_ffmpeg_without_the_encoder_is_no_reason_to_show_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(posters._ENCODERS, "WEBP", ("libnowhere", *posters._ENCODERS["WEBP"][1:]))
    _, (data,) = posters.first_look(film(tmp_path / "a.mp4", lines=720), [Small("WEBP", 320, 13_000)])
    assert_shows(data, "WEBP")


@pytest.mark.parametrize("size", [(16, 16), (2, 400), (64, 62), (1080, 1920)])
def test_every_shape_has_one_and_none_is_made_larger(tmp_path, size):
    clip = make_clip(tmp_path / "a.mp4", frames=1, size=size)
    for data in posters.first_look(clip, [Small(kind, 320, 25_000) for kind in KINDS])[1]:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert max(image.size) == min(320, max(size))


def test_a_clip_is_shown_without_pillow(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=1)
    code = "import sys, kling_widget; print(len(kling_widget.Video(sys.argv[1]).html()), 'PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, clip], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"
    assert int(done.stdout.split()[0]) > 1_000
