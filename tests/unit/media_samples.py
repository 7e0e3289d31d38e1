"""Clips made on the spot, whose every frame says which one it is."""

from __future__ import annotations

import multiprocessing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def grey_of(index: int) -> int:
    """The grey that frame `index` is filled with."""
    return 40 + index * 2 % 200


def make_clip(
    path: Path,
    *,
    frames: int = 50,
    fps: int = 25,
    size: tuple[int, int] = (320, 180),
    gop: int = 250,
    noise: bool = False,
    **context: object,
) -> Path:
    """An H.264 MP4; frame n is filled with `grey_of(n)`, or with noise."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "ultrafast", "bf": "2"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, fps)
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for index in range(frames):
            pixels = np.full((size[1], size[0], 3), grey_of(index), np.uint8)
            if noise:
                pixels = random.integers(0, 256, pixels.shape, dtype=np.uint8)
            _add(container, stream, pixels)
        container.mux(stream.encode())
    return path


def make_coded(path: Path, codec: str, movflags: str) -> Path:
    """The same by another encoder: 30 frames of 320 x 192 in MP4. In a process of its own.

    As root, libsvtav1 gives the thread that opens it the real-time priority 99, for good, and whatever that starts
    inherits it (`svt_create_thread` in SVT-AV1's svt_threads.c): browsers, kernels and databases of later tests then
    kept all others from the processors.
    """
    child = multiprocessing.get_context("spawn").Process(target=_encode, args=(path, codec, movflags))
    child.start()
    child.join()
    assert child.exitcode == 0
    return path


def _encode(path: Path, codec: str, movflags: str) -> None:
    with av.open(str(path), "w", options={"movflags": movflags}) as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        for index in range(30):
            _add(container, stream, np.full((192, 320, 3), grey_of(index), np.uint8))
        container.mux(stream.encode())


def _add(container: Any, stream: Any, pixels: np.ndarray) -> None:
    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
