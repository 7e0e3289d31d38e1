"""Small pictures of a clip's first frame, made by FFmpeg alone: a clip is shown without waiting for Pillow.

Scaled and encoded as the video has them, in YUV, they also take a quarter of the time that full-size RGB does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from . import media

EDGE = 480  # pixels; ours: sharp enough at the size a clip is shown in a notebook
LIMIT = 25_000  # bytes; as of a picture's preview (`picture_codec.MAX_THUMBNAIL`)
_SMALLEST = 16  # pixels, from which on no picture is made smaller

_ONCE = ("yuv420p", "MPEG")  # pixel format and range of what all small pictures are made from
# By kind: FFmpeg's encoder, its pixel format and range, and its options from the best quality to the worst we show.
_ENCODERS: dict[str, tuple[str, str, str, tuple[dict[str, str], ...]]] = {
    "WEBP": (
        "libwebp", *_ONCE,
        # compression_level 1: a quarter of the time of 4 for a sixth more bytes, measured on a frame full of grain
        tuple({"quality": str(quality), "compression_level": "1"} for quality in (82, 70, 55, 40)),
    ),
    "JPEG": ("mjpeg", "yuvj420p", "JPEG", tuple({"qmin": str(scale), "qmax": str(scale)} for scale in (4, 7, 11, 16))),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Small:
    """A small picture that is wanted.

    Attributes
    ----------
    kind
        ``JPEG``, or ``WEBP``, which shows more in the same bytes.
    edge
        Pixels of the longer side, at most.
    limit
        Bytes, at most.
    """

    kind: Literal["JPEG", "WEBP"]
    edge: int
    limit: int


POSTER = Small("JPEG", EDGE, LIMIT)


def first_look(path: str | os.PathLike[str], wanted: Sequence[Small]) -> tuple[media.MediaInfo, list[bytes]]:
    """What a clip is, and its first frame as small pictures, for the price of opening it once.

    Raises
    ------
    DownloadError
        The file is missing, not an MP4, or damaged.
    """
    with media.opened_at_first_frame(path) as (info, frame):
        # The full size is gone through once only, whatever is made of it.
        once = _scaled(frame, max(small.edge for small in wanted), *_ONCE)
        return info, [_encoded(once, small) for small in wanted]


def _encoded(frame: Any, small: Small) -> bytes:
    import av

    name, pixels, limits, qualities = _ENCODERS[small.kind]
    if name not in av.codecs_available:  # another FFmpeg than that of PyAV's wheels
        from .picture_codec import small_picture

        return small_picture(media.picture(frame), small.edge, small.limit, small.kind)
    edge = small.edge
    while True:
        # FFmpeg 8.0 (in PyAV 17) copies odd heights without the last line of colour: it was green, or anything else.
        is_so = (pixels, limits) == _ONCE and max(frame.width, frame.height) <= edge
        scaled = frame if is_so else _scaled(frame, edge, pixels, limits)
        for options in qualities:
            data = _encode(scaled, name, options)
            if len(data) <= small.limit or edge <= _SMALLEST:
                return data
        edge = max(scaled.width, scaled.height) * 3 // 4


def _scaled(frame: Any, edge: int, pixels: str, limits: str) -> Any:
    width, height = _fitted(frame.width, frame.height, edge)
    scaled = media.converted(
        frame, width=width, height=height, format=pixels, **media.untagged(frame), dst_colorspace="ITU601",
        dst_color_range=limits, interpolation="AREA",
    )  # fmt: skip
    scaled.pts = 0
    return scaled


def _encode(frame: Any, name: str, options: dict[str, str]) -> bytes:
    import av

    encoder: Any = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base = Fraction(1, 25)  # of one picture, so any
    encoder.options = options
    encoder.thread_count = 1  # starting threads takes longer than one small picture
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _fitted(width: int, height: int, edge: int) -> tuple[int, int]:
    factor = min(1.0, edge / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))
