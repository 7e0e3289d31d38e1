"""Two pictures → a real MP4: H.264, yuv420p, faststart, no sound.

The camera moves slowly from the first frame; with a last frame the clip dissolves into it on the way. All work is
done on the three YUV planes: no colour conversion per frame, and Pillow and FFmpeg both release the GIL in the costly
steps.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kling_widget.media import converted

if TYPE_CHECKING:
    from PIL.Image import Image

RENDER_VERSION = 2  # part of every cache key: count up when frames change
ZOOM = 0.14  # how much closer the camera comes, or goes back; small enough to look calm, large enough to be seen
DISSOLVE = (0.2, 0.8)  # share of the clip in which the first picture gives way to the last
LABEL = "simulated"
# BT.601 limited range, FFmpeg's numbers (libavutil/pixfmt.h): what decoders suppose when a file says nothing.
COLORSPACE_SMPTE170M, PRIMARIES_SMPTE170M, TRANSFER_SMPTE170M, RANGE_LIMITED = 5, 6, 6, 1
# superfast: 1.3 s for 5 s at 960 px, a third of ultrafast's size. One thread: the bytes are the same on every machine.
ENCODER = {"preset": "superfast", "crf": "23", "flags": "+bitexact"}

Planes = Sequence["Image"]


@dataclass(frozen=True)
class Move:
    """Where the camera looks at the end, as a share of the room that zooming leaves (-1..1 each way).

    `closer` is how far it comes closer, as a share of `ZOOM`; below 0 it goes back.
    """

    x: float
    y: float
    closer: float = 1.0


NAMED_MOVES = {
    "forward_up": Move(0, -1),
    "down_back": Move(0, 1, -1),
    "right_turn_forward": Move(1, 0),
    "left_turn_forward": Move(-1, 0),
}
SIDEWAYS, UPWARDS = ("horizontal", "tilt"), ("vertical", "pan")  # to the right, and up (`camera.WAYS`)


def plan_move(prompt: str, seed: int, camera: Mapping[str, Any] | None = None) -> Move:
    """The camera's move: as asked for by ``camera_control``, else by the prompt, else drawn from that and the seed.

    This camera does not roll. Told to do something else than to zoom, it comes closer for the room to do it in.
    """
    if camera is not None and camera.get("type") in NAMED_MOVES:
        return NAMED_MOVES[camera["type"]]
    if config := (camera or {}).get("config"):
        right, up = (sum(config.get(name) or 0 for name in pair) / 10 for pair in (SIDEWAYS, UPWARDS))
        zoom = config.get("zoom")
        closer = -zoom / 10 if zoom else 1.0  # out is above 0
        return Move(max(-1.0, min(1.0, right)), max(-1.0, min(1.0, -up)), closer)
    words = prompt.lower()
    for phrase, move in {
        "pan left": Move(-1, 0),
        "pan right": Move(1, 0),
        "tilt up": Move(0, -1),
        "tilt down": Move(0, 1),
        "dolly in": Move(0, 0),
        "zoom in": Move(0, 0),
    }.items():
        if phrase in words:
            return move
    digest = hashlib.sha256(f"{seed}:{prompt}".encode("utf-8", "surrogatepass")).digest()
    return Move((digest[0] / 255 - 0.5) * 1.4, (digest[1] / 255 - 0.5) * 0.8)


def output_size(width: int, height: int, long_edge: int) -> tuple[int, int]:
    """Even width and height (pixels) of the video: the picture's aspect ratio, its long edge as asked.

    Half of the other edge is rounded, so the ratio is off by at most one pixel; neither edge is below 16 px,
    the smallest block of H.264.
    """
    scale = long_edge / max(width, height)
    return max(16, round(width * scale / 2) * 2), max(16, round(height * scale / 2) * 2)


def smooth(value: float) -> float:
    """Ease in and out: 0..1 → 0..1 with no speed at both ends; beyond them it stays."""
    value = min(1.0, max(0.0, value))
    return value * value * (3 - 2 * value)


def render(first: bytes, tail: bytes | None, path: Path, *, seconds: int, move: Move, long_edge: int, fps: int) -> None:
    """Write the clip.

    Parameters
    ----------
    first, tail
        JPEG or PNG bytes of the first and, if any, the last frame. A last frame of another aspect ratio is cropped.
    path
        The file to write, a real one: faststart moves the index to the front afterwards.
    seconds
        Duration; the clip has ``seconds * fps`` frames.
    move
        The camera's move.
    long_edge
        Long edge in pixels.
    fps
        Frames per second.
    """
    import av
    from PIL import Image

    with Image.open(io.BytesIO(first)) as picture:
        size = output_size(picture.width, picture.height, long_edge)
        start = _planes(picture, size, move)
    end: Planes | None = None
    if tail is not None:
        with Image.open(io.BytesIO(tail)) as picture:
            end = _planes(picture, size, move)
    label = _label(size)
    count = seconds * fps
    # The container's own bitexact flag keeps the muxer's version and time out of the file.
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("libx264", rate=fps, options=ENCODER)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        codec = stream.codec_context
        codec.thread_count = 1
        codec.colorspace, codec.color_range = COLORSPACE_SMPTE170M, RANGE_LIMITED
        codec.color_primaries, codec.color_trc = PRIMARIES_SMPTE170M, TRANSFER_SMPTE170M
        for index in range(count):
            planes = _shot(start, end, index / (count - 1), move, size)
            _burn(planes, label)
            frame = av.VideoFrame(*size, "yuv420p")
            frame.pts = index
            for target, plane in zip(frame.planes, planes, strict=True):
                target.update(_rows(plane, target.line_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _planes(picture: Image, size: tuple[int, int], move: Move) -> list[Image]:
    """The picture as Y, U and V planes, cropped to the format of `size` and a little larger than it.

    For a camera that goes back they have a border, see `_beyond`.
    """
    import av
    from PIL import Image, ImageOps

    large = _large(size)
    if picture.format == "JPEG":
        picture.draft("RGB", large)  # decodes a large photograph at half, quarter or eighth size: much faster
    fitted = ImageOps.fit(picture.convert("RGB"), large, Image.Resampling.LANCZOS)
    frame = av.VideoFrame.from_image(fitted)  # type: ignore[no-untyped-call]
    frame = converted(frame, format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG")
    planes = []
    for plane in frame.planes:
        padded = Image.frombytes("L", (plane.line_size, plane.height), bytes(plane))
        planes.append(padded.crop((0, 0, plane.width, plane.height)))
    return planes if move.closer >= 0 else [_beyond(plane) for plane in planes]


def _large(size: tuple[int, int]) -> tuple[int, int]:
    """Even pixels of the picture, so that the closest shot still has one of its own for each of the video's."""
    return round(size[0] * (1 + ZOOM) / 2) * 2, round(size[1] * (1 + ZOOM) / 2) * 2


def _beyond(plane: Image) -> Image:
    """The plane and what is beyond its edges, where its mirror image has to do."""
    from PIL import Image, ImageOps

    border = _border(plane.width), _border(plane.height)
    wide = Image.new("L", (plane.width + 2 * border[0], plane.height + 2 * border[1]))
    for right in (-1, 0, 1):
        for down in (-1, 0, 1):
            tile = ImageOps.mirror(plane) if right else plane
            tile = ImageOps.flip(tile) if down else tile
            wide.paste(tile, (border[0] + right * plane.width, border[1] + down * plane.height))
    return wide


def _border(length: int) -> int:
    """Pixels beyond each edge, so that a look that goes back all the way, to one side, stays within."""
    return math.ceil(length * ZOOM / (1 - ZOOM))


def _shot(start: Planes, end: Planes | None, at: float, move: Move, size: tuple[int, int]) -> list[Image]:
    """The planes of one frame, `at` 0..1 of the clip."""
    from PIL import Image

    mix = 0.0 if end is None else smooth((at - DISSOLVE[0]) / (DISSOLVE[1] - DISSOLVE[0]))
    share = smooth(at)
    near = None if mix == 1.0 else list(_camera(start, share, move, size))
    if end is None or mix == 0.0:
        return near or []
    # The last picture is approached from the other side of the same move, and stands still and whole at the end.
    far = list(_camera(end, 1 - share, replace(move, x=-move.x, y=-move.y), size))
    return far if near is None else [Image.blend(a, b, mix) for a, b in zip(near, far, strict=True)]


def _camera(planes: Planes, share: float, move: Move, size: tuple[int, int]) -> Iterator[Image]:
    """What the camera sees of the picture: exactly all of it at `share` 0, the end of its move at 1."""
    from PIL import Image

    shown = 1 / (1 + ZOOM * share * move.closer)
    towards = 1 if move.closer >= 0 else -1  # who goes back to one side sees what is beyond that edge
    for index, plane in enumerate(planes):
        part = 2 if index else 1  # of the pixels: colour has half of them each way
        target, whole = ((width // part, height // part) for width, height in (size, _large(size)))
        width, height = whole[0] * shown, whole[1] * shown
        left = (plane.width - whole[0]) / 2 + (whole[0] - width) / 2 * (1 + towards * move.x)
        top = (plane.height - whole[1]) / 2 + (whole[1] - height) / 2 * (1 + towards * move.y)
        yield plane.resize(target, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))


@dataclass(frozen=True)
class _Label:
    """The burnt-in word: where it lies, what is painted (luma), and how much of it covers the picture."""

    position: tuple[int, int]
    luma: Image
    cover: Image
    chroma_cover: Image


def _label(size: tuple[int, int]) -> _Label:
    """A small word on a dark pill, in the lower right corner."""
    from PIL import Image, ImageDraw, ImageFont

    short = min(size)
    font = ImageFont.load_default(max(11, round(short * 0.034)))
    left, top, right, bottom = font.getbbox(LABEL)
    pad = max(3, round((bottom - top) * 0.5))
    width, height = (round(right - left + 3 * pad) + 1) // 2 * 2, (round(bottom - top + 2 * pad) + 1) // 2 * 2
    text = Image.new("L", (width, height))
    origin = ((width - (right - left)) / 2 - left, (height - (bottom - top)) / 2 - top)
    ImageDraw.Draw(text).text(origin, LABEL, fill=255, font=font)
    pill = Image.new("L", (width, height))
    ImageDraw.Draw(pill).rounded_rectangle((0, 0, width - 1, height - 1), radius=height / 2, fill=110)
    cover = Image.composite(Image.new("L", text.size, 235), pill, text)
    luma = Image.composite(Image.new("L", text.size, 235), Image.new("L", text.size, 16), text)  # white on black
    margin = max(2, round(short * 0.022)) // 2 * 2
    position = (max(0, size[0] - width - margin) // 2 * 2, max(0, size[1] - height - margin) // 2 * 2)
    return _Label(position, luma, cover, cover.resize((width // 2, height // 2)))


def _burn(planes: list[Image], label: _Label) -> None:
    x, y = label.position
    planes[0].paste(label.luma, (x, y), label.cover)
    for plane in planes[1:]:
        plane.paste(
            128,
            (x // 2, y // 2, x // 2 + label.chroma_cover.width, y // 2 + label.chroma_cover.height),
            label.chroma_cover,
        )  # 128: no colour


def _rows(plane: Image, line_size: int) -> bytes:
    """The plane's bytes with each row padded to FFmpeg's line size."""
    from PIL import Image

    if plane.width != line_size:
        padded = Image.new("L", (line_size, plane.height))
        padded.paste(plane)
        plane = padded
    return plane.tobytes()
