"""A `Video` as a piece of an HTML page.

Only tags and attributes that JupyterLab's sanitizer lets through for notebooks that are not trusted
(`packages/apputils/src/sanitizer.ts`), or that are not missed where it drops them: `playsinline`, `aria-label`, colours
by variable. Everything that came from people or the vendor is escaped.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Mapping
from html import escape, unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import camera
from .colours import QUIET
from .errors import DownloadError
from .notebook_files import in_marimo_cell, notebook_relative
from .picture_files import human_size
from .posters import EDGE, Small

if TYPE_CHECKING:
    from .video import Video

_SHOWN = (640, 480)  # pixels; ours: a clip takes no more of the page than this, upright ones included
# Ours: together, as Base64, some 25 KB in the notebook for each clip.
_POSTER, _FALLBACK = Small("WEBP", EDGE, 13_000), Small("JPEG", 320, 6_000)
_PROMPT_SHOWN = 400  # characters of a prompt in a caption; the whole of it is in `metadata`
_CAPTION = f"margin-top:4px;font-size:90%;overflow-wrap:anywhere;color:{QUIET}"

_CACHE_HERE = " With <code>KLING_WIDGET_CACHE</code> set to a folder below the notebook's it plays here."


def figure(video: Video, host: str) -> str:
    """The clip with its caption: a player, or its poster and a sentence, never a blank."""
    source, note = _source(video, host)
    pictures = video.data_uris
    alt = escape(prompt(video)[:120] or "A frame of the video")
    shown = f'<img src="{pictures[1]}" alt="{alt}" width="{_FALLBACK.edge}">' if pictures else ""
    if source:
        poster = f' poster="{pictures[0]}"' if pictures else ""
        shown = (
            f'<video controls loop muted playsinline preload="metadata" width="{_width(video)}"{poster}'
            f' style="max-width:100%;height:auto" aria-label="{alt}" src="{source}">{shown}</video>'
        )
    facts = escape(settings(video))
    address = escape(video.address) if is_stored(video) else ""  # a folder's video is where the notebook is
    kept = f"<small><code>{address}</code></small>" if address and address not in note else ""
    lines = [escape(prompt(video)), f"<small>{facts}</small>" if facts else "", note, kept]
    caption = "<br>".join(line for line in lines if line)
    return f'<figure style="margin:8px 0 0">{shown}<figcaption style="{_CAPTION}">{caption}</figcaption></figure>'


def prompt(video: Video) -> str:
    """The prompt in one line, cut where it is very long; not escaped."""
    text = " ".join(str(video.metadata.get("prompt") or "").split())
    return text if len(text) <= _PROMPT_SHOWN else f"{text[:_PROMPT_SHOWN].rstrip()}…"


def variant(given: Mapping[str, Any]) -> list[str]:
    """``CFG 0.5``, ``zoom 5`` and ``take 2``, as far as they say something: what clips of one prompt differ in."""
    scale, take = given.get("cfg_scale"), given.get("take")
    parts = [
        f"CFG {scale:g}" if isinstance(scale, (int, float)) else "",
        camera.words(given.get("camera_control")),
        f"take {take}" if isinstance(take, int) and take > 1 else "",
    ]
    return [part for part in parts if part]


def settings(video: Video) -> str:
    """``5 s · CFG 0.5 · take 2 · 1920 × 1080 · $0.66 · simulated``, as far as it is known; not escaped."""
    given = video.metadata
    size, seconds = "", given.get("duration")
    with contextlib.suppress(DownloadError):  # then what was asked for is all that is known
        size, seconds = f"{video.width} × {video.height}", seconds or round(video.duration, 1)
    charged = ""
    if isinstance(usd := given.get("usd"), (int, float)):
        from .money import charge  # only now, for it takes as long as all the rest of a caption

        charged = charge(usd, str(given.get("provider")))
    parts = [
        f"{seconds:g} s" if isinstance(seconds, (int, float)) else "",
        *variant(given),
        size,
        charged,
        "simulated" if given.get("simulated") else "",
    ]
    return " · ".join(part for part in parts if part)


def shown_address(video: Video) -> str:
    """Where it is kept, for people: a path relative to the working folder where it lies below it."""
    return video.address if is_stored(video) else shown_path(video.place)


def is_stored(video: Video) -> bool:
    """Whether it is kept in a store, and its file is a copy."""
    return video.address != str(video.place)


def shown_path(path: Path) -> str:
    """Relative to the working folder where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def data_uris(video: Video) -> tuple[str, str] | None:
    """Poster (WebP: sharper in as few bytes) and what readers see that know no video tag (JPEG)."""
    try:
        poster, fallback = video.small_pictures(_POSTER, _FALLBACK)
    except DownloadError:
        return None
    return f"data:image/webp;base64,{_base64(poster)}", f"data:image/jpeg;base64,{_base64(fallback)}"


def _source(video: Video, host: str) -> tuple[str, str]:
    """What goes into ``src``, and a line to say where there is nothing to play."""
    where = f"<code>{escape(shown_address(video))}</code>"
    try:
        size = video.size
        relative = notebook_relative(video.place) if host == "jupyter" and not video.embedded else None
        if relative is not None:
            _ = video.path  # fetched, where a store has it: the page asks the notebook server for the file
            return escape(relative), ""
        if host == "marimo" and (address := _marimo_s_address(video)):
            return escape(address), ""
        if size > video.embed_limit:
            return "", (
                f"Too large to be embedded in this page: {human_size(size)}, and the limit is "
                f"{human_size(video.embed_limit)}. It is saved as {where}. <code>embed(limit={size})</code> on the "
                "Video puts it in all the same, <code>save(path)</code> copies the file."
                + (_CACHE_HERE if host == "jupyter" and is_stored(video) else "")
            )
        data = _base64(video.bytes())
        return f"data:video/mp4;base64,{data}", f"<small>{_weight(len(data))}</small>" if video.embedded else ""
    except DownloadError as error:
        return "", escape(error.message) if is_stored(video) else f"The file {where} is not there any more."


def _weight(size: int) -> str:
    return f"embedded: adds {human_size(size)} to the notebook"


def _marimo_s_address(video: Video) -> str | None:
    """Where marimo serves the bytes that its own player is given; a page of more than 8 MB it does not show.

    None outside a cell.
    """
    if not in_marimo_cell():
        return None
    import marimo

    found = re.search(r"""src=["']([^"']+)""", marimo.video(video.bytes()).text)
    return unescape(found.group(1)) if found else None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _width(video: Video) -> int:
    try:
        return max(1, round(min(_SHOWN[0], _SHOWN[1] * video.width / video.height)))
    except (DownloadError, ZeroDivisionError):
        return _SHOWN[0]
