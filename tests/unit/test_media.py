"""Saved clips are read frame by frame, and what cannot be read is told in a sentence."""

from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

from kling_widget import media, posters
from kling_widget.errors import DownloadError
from kling_widget.posters import POSTER
from tests.unit.media_samples import grey_of, make_clip, make_coded


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")  # 50 frames, 25 a second


def frame_shown(picture: Image.Image) -> int:
    grey = picture.getpixel((10, 10))[0]
    return min(range(100), key=lambda index: abs(grey_of(index) - grey))


def test_a_clip_is_what_its_header_says(clip):
    info = media.probe(clip)
    assert (info.width, info.height, info.frames, info.codec, info.pix_fmt) == (320, 180, 50, "h264", "yuv420p")
    assert info.duration == pytest.approx(2.0, abs=0.01)
    assert info.fps == pytest.approx(25)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "libsvtav1"])
@pytest.mark.parametrize("movflags", ["faststart", "frag_keyframe+empty_moov"])
def test_opened_for_its_first_frame_a_clip_is_what_it_is_when_it_is_looked_at_thoroughly(tmp_path, codec, movflags):
    path = make_coded(tmp_path / "clip.mp4", codec, movflags)
    with media.opened_at_first_frame(path) as (info, frame):
        assert info == media.probe(path)
        assert (frame.width, frame.height, frame.format.name) == (info.width, info.height, info.pix_fmt)


@pytest.mark.parametrize(
    ("when", "index"),
    [("first", 0), ("last", 49), (0, 0), (0.04, 1), (0.05, 1), (1.0, 25), (1.99, 49), (2.0, 49), (3600, 49)],
)
@pytest.mark.parametrize("gop", [250, 7])
def test_the_frame_asked_for_is_the_frame_given(tmp_path, when, index, gop):
    picture = media.frame_at(make_clip(tmp_path / "clip.mp4", gop=gop), when)
    assert abs(picture.getpixel((10, 10))[0] - grey_of(index)) <= 1
    assert (picture.mode, picture.size) == ("RGB", (320, 180))


@pytest.mark.parametrize("when", [-0.1, float("nan"), float("inf"), "middle"])
def test_a_moment_that_is_none_is_refused(clip, when):
    with pytest.raises(ValueError, match="when must be"):
        media.frame_at(clip, when)


def test_one_frame_is_enough(tmp_path):
    clip = make_clip(tmp_path / "one.mp4", frames=1)
    assert frame_shown(media.frame_at(clip, "first")) == frame_shown(media.frame_at(clip, "last")) == 0


@pytest.mark.parametrize("tagged", [True, False], ids=["tagged", "untagged"])
def test_the_colours_of_an_hd_clip_are_those_a_player_shows(tmp_path, tagged):
    path = tmp_path / "hd.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        if tagged:
            stream.codec_context.colorspace = 1  # BT.709
        red = np.full((720, 1280, 3), (200, 60, 30), np.uint8)
        frame = av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="yuv420p", dst_colorspace="ITU709")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert np.abs(np.subtract(media.frame_at(path, "last").getpixel((9, 9)), (200, 60, 30))).max() <= 3


@pytest.mark.parametrize(
    "read", [media.probe, lambda path: posters.first_look(path, [POSTER]), lambda path: media.frame_at(path, "last")]
)
@pytest.mark.parametrize(
    "damage", ["missing", "folder", "text", "empty", "half", "sound only", "playlist", "other format"]
)
def test_what_cannot_be_read_is_a_download_error_that_says_what_to_do(tmp_path, clip, read, damage):
    path = tmp_path / "bad.mp4"
    if damage == "folder":
        path.mkdir()
    elif damage == "sound only":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44100, layout="mono")
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 44100
            container.mux(stream.encode(silence))
            container.mux(stream.encode())
    elif damage == "other format":  # FFmpeg guesses by content if allowed to, and some formats name files to open
        with av.open(str(path), "w", format="matroska") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            container.mux(stream.encode(av.VideoFrame(320, 180, "yuv420p")))
            container.mux(stream.encode())
    elif damage != "missing":
        half = clip.read_bytes().replace(b"moov", b"m00v")
        playlist = b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n"
        path.write_bytes({"text": b"no video", "empty": b"", "half": half, "playlist": playlist}[damage])
    with pytest.raises(DownloadError, match=r"^The video bad\.mp4 cannot be read: .*\..*resume\(generation_id\)"):
        read(path)
