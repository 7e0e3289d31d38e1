"""Reading saved clips with PyAV: what they are, and single frames of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import DownloadError

if TYPE_CHECKING:
    from PIL import Image

LARGEST_VIDEO = 1 << 30  # bytes; a 10 s clip at 1080p is some 20 MB, so a gigabyte is somebody's mistake
_TAIL = 1.0  # seconds before the end from which the last frame is sought; a seek lands on a key frame before it
_HD_LINES = 720  # from here on players take untagged video as BT.709, below as BT.601 (ITU-R BT.709, BT.601)
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED (libavutil/pixfmt.h)
# FFmpeg decodes a frame as it opens a file, to learn what the header of an MP4 doesn't say. Whoever decodes one next
# learns it then: opening a clip in 1080p takes 2 ms instead of 14. Options of avformat_find_stream_info.
_HEADER_ONLY = {"skip_frame": "all", "probesize": "32"}


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a clip is.

    Attributes
    ----------
    width, height
        Pixels.
    duration
        Seconds.
    fps
        Frames per second, on average.
    frames
        Number of frames.
    codec, pix_fmt
        FFmpeg's names: ``h264``, ``yuv420p``.
    """

    width: int
    height: int
    duration: float
    fps: float
    frames: int
    codec: str
    pix_fmt: str


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Read a clip's header.

    Raises
    ------
    DownloadError
        The file is missing, not an MP4, or has no picture in it.
    """
    with _opened(path, {}) as (container, stream):
        return _info(container, stream)


@contextmanager
def opened_at_first_frame(path: str | os.PathLike[str]) -> Iterator[tuple[MediaInfo, Any]]:
    """What a clip is and its first frame as PyAV has it, as long as the block runs. Raises as `probe` does."""
    with _opened(path) as (container, stream):
        frame = next(container.decode(stream), None)
        if frame is None:
            raise _unreadable(path, "it has no frames")
        yield _info(container, stream, frame.format.name), frame


def frame_at(path: str | os.PathLike[str], when: float | Literal["first", "last"]) -> Image.Image:
    """One frame as an RGB picture.

    Parameters
    ----------
    when
        Seconds from the start (the frame shown then; past the end, the last one), ``"first"`` or ``"last"``.

    Raises
    ------
    DownloadError
        The file is missing, not an MP4, or damaged.
    ValueError
        `when` is negative, not a number, or another word.
    """
    if isinstance(when, str):
        if when not in ("first", "last"):
            raise ValueError(f'when must be seconds, "first" or "last", not {when!r}')
    elif not 0 <= when < float("inf"):
        raise ValueError(f"when must be 0 s or later, not {when!r}")
    with _opened(path) as (container, stream):
        if when == "first":
            frame = next(container.decode(stream), None)
        else:
            end = _seconds(container, stream)
            stop = None if when == "last" else float(when)
            frame = _decode_to(container, stream, max(0.0, min(end, end if stop is None else stop) - _TAIL), stop)
            if frame is None:  # some files cannot be sought in: from the start, then
                frame = _decode_to(container, stream, 0.0, stop)
        if frame is None:
            raise _unreadable(path, "it has no frames")
        return picture(frame)


@contextmanager
def _opened(path: str | os.PathLike[str], options: Mapping[str, str] = _HEADER_ONLY) -> Iterator[tuple[Any, Any]]:
    import av

    try:
        # An open file and a named format: FFmpeg takes neither a path nor a playlist for an address to fetch.
        with open(path, "rb") as file, av.open(file, format="mp4", options=dict(options)) as container:
            if not container.streams.video:
                raise _unreadable(path, "it has no picture in it")
            yield container, container.streams.video[0]
    except FileNotFoundError as error:
        raise _unreadable(path, "it is not there any more") from error
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, (getattr(error, "strerror", "") or "it is damaged").lower()) from error


def _unreadable(path: str | os.PathLike[str], reason: str) -> DownloadError:
    name = Path(os.fspath(path)).name
    return DownloadError(
        f"The video {name} cannot be read: {reason}.",
        hint="The vendor keeps it for a while: kling_widget.resume(generation_id) fetches it again, free of charge.",
    )


def _info(container: Any, stream: Any, pix_fmt: str | None = None) -> MediaInfo:
    """What the header says; the pixel format of H.264 is in none, and known to some FFmpegs once a frame is decoded."""
    fps = float(stream.average_rate or stream.base_rate or 0)
    duration = _seconds(container, stream)
    return MediaInfo(
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        duration=duration,
        fps=fps,
        frames=stream.frames or round(duration * fps),
        codec=stream.codec_context.name,
        pix_fmt=pix_fmt or stream.codec_context.pix_fmt or "",
    )


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1_000_000  # AV_TIME_BASE: microseconds


def _decode_to(container: Any, stream: Any, start: float, stop: float | None) -> Any:
    """The frame shown at `stop` seconds, or the last one; decoded from the key frame before `start`."""
    container.seek(int(start * 1_000_000), backward=True)
    shown = None
    for frame in container.decode(stream):
        if stop is not None and shown is not None and frame.time is not None and frame.time > stop + 1e-6:
            break
        shown = frame
    return shown


def picture(frame: Any) -> Image.Image:
    """A frame in RGB."""
    rgb: Image.Image = converted(frame, format="rgb24", **untagged(frame)).to_image()
    return rgb


def converted(frame: Any, **how: Any) -> Any:
    """A frame in another size, pixel format or colour space; arguments as of PyAV's ``VideoFrame.reformat``.

    That one (since PyAV 19, PyAV-Org/PyAV#2379) leaves FFmpeg's scaler, which has threads of its own, to the calling
    thread for good. In a process that is forked later Python takes apart what its other threads had, and FFmpeg waits
    there for ever for threads that were not forked: `!ls` in a notebook never ended. One thread is as fast for a single
    frame as one for each processor, and is there also where the machine gives no more (PyAV-Org/PyAV#2281).
    """
    from av.video.reformatter import VideoReformatter

    return VideoReformatter().reformat(frame, threads=1, **how)


def untagged(frame: Any) -> dict[str, str]:
    """What is to be said to FFmpeg of the colours of a frame that does not tell."""
    hd = frame.colorspace == _UNSPECIFIED and frame.height >= _HD_LINES
    return {"src_colorspace": "ITU709"} if hd else {}
