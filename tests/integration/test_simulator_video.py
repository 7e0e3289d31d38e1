"""The simulator's videos are real, and made from the pixels that were sent."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import time
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageChops, ImageColor, ImageStat

from kling_widget import media
from kling_widget.simulator import SimulatorServer
from kling_widget.simulator.files import video_url
from kling_widget.simulator.render import Move, plan_move, render

from .simulator_fixtures import PATH, body, calling, data_uri, picture, small


def frames(video: bytes) -> list[Image.Image]:
    with av.open(io.BytesIO(video)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures, 0..255, without the lower quarter where the label is."""
    height = one.height * 3 // 4
    pair = [image.convert("RGB").resize(one.size).crop((0, 0, one.width, height)) for image in (one, other)]
    return sum(ImageStat.Stat(ImageChops.difference(*pair)).mean) / 3


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("duration", [5, 10])
async def test_a_video_is_h264_yuv420p_with_its_index_in_front_as_long_as_asked_and_without_sound(
    duration: int,
) -> None:
    async with calling() as caller:
        video = await caller.video(duration=duration)
    with av.open(io.BytesIO(video)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 24
        assert abs(float(stream.duration * stream.time_base) - duration) <= 1 / 24
        assert len(container.streams.audio) == 0
        assert sum(1 for _ in container.decode(video=0)) == duration * 24
    assert video[4:8] == b"ftyp"
    assert 0 < video.index(b"moov") < video.index(b"mdat")


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (500, 500), (1000, 400), (301, 457)])
async def test_a_video_has_the_pictures_aspect_ratio_and_even_sides(size: tuple[int, int]) -> None:
    async with calling(small(long_edge=320)) as caller:
        first = frames(await caller.video(image_url=data_uri(picture(size))))[0]
    assert max(first.size) == 320
    assert first.width % 2 == first.height % 2 == 0
    assert abs(first.width / first.height / (size[0] / size[1]) - 1) < 0.02


async def test_the_first_frame_is_the_picture_and_the_camera_moves_on_from_it() -> None:
    sent = picture()
    async with calling(small(long_edge=320)) as caller:
        seen = frames(await caller.video(image_url=data_uri(sent)))
    assert difference(seen[0], opened(sent)) < 5
    assert difference(seen[-1], seen[0]) > 5
    assert difference(seen[-1], opened(sent)) < 40  # still the same picture


async def test_the_last_frame_is_the_tail_picture() -> None:
    sent, tail = picture(colour="teal"), picture((400, 400), colour="firebrick")
    async with calling(small(long_edge=320)) as caller:
        seen = frames(await caller.video(image_url=data_uri(sent), tail_image_url=data_uri(tail)))
    cropped = opened(tail).crop((0, 87, 400, 313))
    assert difference(seen[0], opened(sent)) < 5
    assert difference(seen[-1], cropped) < 5
    steps = [difference(a, b) for a, b in itertools.pairwise(seen)]
    assert max(steps) < 6  # a dissolve, not a cut


async def test_the_video_says_simulated_in_a_corner() -> None:
    grey = io.BytesIO()
    Image.new("RGB", (640, 360), (128, 128, 128)).save(grey, "PNG")
    async with calling(small(long_edge=640)) as caller:
        last = frames(await caller.video(image_url=data_uri(grey.getvalue())))[-1].convert("L")
    marked = last.point(lambda value: 255 if value > 200 else 0).getbbox()  # the white letters
    assert marked is not None
    left, top, right, bottom = marked
    assert left > 500
    assert top > 320
    assert 40 < right - left < 120  # legible, and small
    assert 8 <= bottom - top <= 20


async def test_a_picture_given_by_address_is_drawn_by_its_address() -> None:
    async with calling() as caller:
        videos = [
            await caller.video(image_url=f"https://example.com/{name}.jpg", prompt="x") for name in ("a", "a", "b")
        ]
    assert videos[0] == videos[1] != videos[2]
    assert frames(videos[0])[0].size == (160, 90)


async def test_ten_at_once_are_made_from_their_own_pictures() -> None:
    colours = ["red", "green", "blue", "yellow", "cyan", "magenta", "orange", "purple", "brown", "pink"]
    async with calling() as caller:
        ids = await asyncio.gather(*(caller.accepted(image_url=data_uri(picture(colour=name))) for name in colours))
        urls = [(await caller.finished(generation_id))["video"]["url"] for generation_id in ids]
        answers = await asyncio.gather(*(caller.client.get(url) for url in urls))
    for name, answer in zip(colours, answers, strict=True):
        seen = frames(answer.content)[0].getpixel((8, 8))
        assert max(abs(a - b) for a, b in zip(seen, ImageColor.getrgb(name), strict=True)) < 16, name


async def test_equal_tasks_cost_one_render(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr("kling_widget.simulator.render.render", lambda *a, **k: made.append(a) or render(*a, **k))
    async with calling() as caller:
        ids = [await caller.accepted() for _ in range(20)]
        await caller.accepted(prompt="another")
        caller.clock.forward(1000)
        for generation_id in ids:
            url = (await caller.retrieve(generation_id)).json()["video"]["url"]
            assert (await caller.client.get(url)).status_code == 200
    assert len(made) <= 2


async def test_the_answer_tells_the_size_of_the_file_once_it_is_made() -> None:
    async with calling() as caller:
        generation_id = await caller.accepted()
        url = (await caller.finished(generation_id))["video"]["url"]
        length = len((await caller.client.get(url)).content)
        video = (await caller.retrieve(generation_id)).json()["video"]
        assert (video["file_size"], video["content_type"]) == (length, "video/mp4")
        assert video["file_name"].endswith(".mp4")


async def test_a_download_can_be_resumed_at_any_byte() -> None:
    async with calling() as caller:
        url = await caller.video_url()
        get = caller.client.get
        whole = await get(url)
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["content-type"] == "video/mp4"
        size, etag = len(whole.content), whole.headers["etag"]
        for sent, start, stop in (("0-99", 0, 100), ("100-", 100, size), ("-50", size - 50, size), ("9-9", 9, 10)):
            part = await get(url, headers={"Range": f"bytes={sent}"})
            assert part.status_code == 206
            assert part.content == whole.content[start:stop]
            assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
            assert part.headers["etag"] == etag
        beyond = await get(url, headers={"Range": f"bytes={size}-"})
        assert beyond.status_code == 416
        assert beyond.headers["content-range"].endswith(f"*/{size}")
        same = await get(url, headers={"Range": "bytes=5-", "If-Range": etag})
        assert (same.status_code, same.content) == (206, whole.content[5:])
        other = await get(url, headers={"Range": "bytes=5-", "If-Range": '"other"'})
        assert (other.status_code, other.content) == (200, whole.content)
        head = await caller.client.head(url)
        assert (head.headers["content-length"], head.content) == (str(size), b"")


async def test_a_download_needs_no_key_but_the_signature() -> None:
    async with calling() as caller:
        url = await caller.video_url()
        assert (await caller.client.get(url, headers={"Authorization": ""})).status_code == 200
        forged = url[:-1] + ("0" if url[-1] != "0" else "1")
        later = url.replace("expires=1", "expires=2")
        for bad in (forged, later, url.split("?")[0], url.replace(".mp4", "0.mp4")):
            answer = await caller.client.get(bad)
            assert answer.status_code == 403, bad
            assert "<Error><Code>SignatureDoesNotMatch</Code>" in answer.text


async def test_a_url_expires_and_the_task_gives_a_fresh_one() -> None:
    async with calling(small(url_lifetime=60)) as caller:
        generation_id = await caller.accepted()
        url = (await caller.finished(generation_id))["video"]["url"]
        assert (await caller.client.get(url)).status_code == 200
        caller.clock.forward(61)
        old = await caller.client.get(url)
        assert old.status_code == 403
        assert old.headers["content-type"] == "application/xml"
        assert "Request has expired" in old.text
        fresh = (await caller.retrieve(generation_id)).json()["video"]["url"]
        assert (await caller.client.get(fresh)).status_code == 200


async def test_a_video_is_not_there_before_the_task_is_completed() -> None:
    async with calling() as caller:
        generation_id = await caller.accepted()
        url = video_url(caller.simulator.settings, caller.server.url, generation_id, caller.clock())
        answer = await caller.client.get(url)
        assert answer.status_code == 404
        assert "NoSuchKey" in answer.text


def test_a_five_second_clip_at_the_usual_size_takes_less_than_two_seconds_of_cpu(tmp_path: Path) -> None:
    sent, tail = picture((1920, 1080)), picture((1920, 1080), "firebrick")
    start = time.process_time()
    render(sent, tail, tmp_path / "clip.mp4", seconds=5, move=plan_move("x", 0), long_edge=960, fps=24)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("prompt", ["\ud800 half a character", "", "x" * 10_000, "ünïcödé 🎬"])
async def test_any_prompt_makes_a_video(prompt: str) -> None:
    async with calling() as caller:
        answer = await caller.client.post(
            PATH, content=json.dumps(body(prompt=prompt))
        )  # \u escapes, unlike httpx's own
        url = (await caller.finished(answer.json()["id"]))["video"]["url"]
        assert (await caller.client.get(url)).content[4:8] == b"ftyp"


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16", "RGBA", "CMYK"])
async def test_any_mode_of_jpeg_and_png_makes_a_video(mode: str) -> None:
    target = io.BytesIO()
    image = Image.new(mode, (320, 200))
    image.save(target, "JPEG" if mode == "CMYK" else "PNG")
    async with calling() as caller:
        assert len(await caller.video(image_url=data_uri(target.getvalue()))) > 1000


async def test_the_simulator_can_be_used_without_its_own_clock() -> None:
    with SimulatorServer(small()) as server:
        assert abs(server.simulator.clock() - time.time()) < 5


@pytest.mark.parametrize(
    ("camera", "move"),
    [
        ({"type": "simple", "config": {"pan": 5}}, Move(0, -0.5)),
        ({"type": "simple", "config": {"tilt": -8, "horizontal": -8}}, Move(-1, 0)),
        ({"type": "simple", "config": {"zoom": 10}}, Move(0, 0, -1)),
        ({"type": "simple", "config": {"zoom": -5}}, Move(0, 0, 0.5)),
        ({"type": "down_back"}, Move(0, 1, -1)),
        ({"type": "left_turn_forward"}, Move(-1, 0)),
        ({"type": "simple"}, Move(0, 0)),  # then the prompt says it
        (None, Move(0, 0)),
    ],
)
def test_the_camera_goes_where_it_is_told(camera: Any, move: Move) -> None:
    assert plan_move("slow dolly in", 0, camera) == move


@pytest.mark.parametrize(
    ("camera", "side", "height"),
    [({"type": "simple", "config": {"zoom": -10}}, 1.14, 0), ({"type": "simple", "config": {"zoom": 10}}, 0.86, 0),
     ({"type": "down_back"}, 0.86, -1)],
)  # fmt: skip
def test_the_camera_comes_closer_or_goes_back_from_the_whole_picture(
    camera: Any, side: float, height: int, tmp_path: Path
) -> None:
    square = Image.new("RGB", (640, 400), "black")
    square.paste("white", (220, 100, 420, 300))
    target = io.BytesIO()
    square.save(target, "PNG")
    path = tmp_path / "clip.mp4"
    render(target.getvalue(), None, path, seconds=5, move=plan_move("x", 0, camera), long_edge=640, fps=8)
    boxes = []
    for when in ("first", "last"):
        unlabelled = media.frame_at(path, when).convert("L").crop((0, 20, 640, 370))
        left, top, right, bottom = unlabelled.point(lambda value: 255 * (value > 128)).getbbox() or (0, 0, 0, 0)
        boxes.append((right - left, bottom - top, (top + bottom) / 2 + 20))
    assert boxes[0] == pytest.approx((200, 200, 200), abs=3)
    assert boxes[1][:2] == pytest.approx((200 * side, 200 * side), abs=4)
    assert boxes[1][2] == pytest.approx(200 + height * 28, abs=8)  # of who looks down, the square goes up
