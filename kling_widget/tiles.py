"""Tiles of clips as HTML: what a contact sheet in a cell's output is made of.

Tiny posters only: a sheet stays below 250 KB. Where nothing replaces the sheet any more a poster opens into a player,
which covers it; the caption above closes it again. Tags and styles are those JupyterLab keeps in notebooks that are not
trusted; texts from people and the vendor are escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

from . import notebook_files
from .colours import BEHIND, FAILED, LINE, QUIET
from .errors import DownloadError
from .posters import Small

if TYPE_CHECKING:
    from .video import Video

SHOWN = 36  # tiles; ours: six rows of six, on a laptop's screen
EDGE = 160  # pixels of a poster's longer side
HEIGHT = 90  # pixels of a poster's place
POSTER_BYTES = 1_500  # ours: SHOWN of them twice, as Base64, are 144 KB
NAME = 100  # characters of a caption; the page cuts it to the width of the tile
_FRAME = f"display:inline-block;vertical-align:top;margin:0 6px 6px 0;padding-top:3px;border:1px solid {LINE}"
_PLACE = f"display:block;width:{EDGE}px;height:{HEIGHT}px;background:{BEHIND}"
_OVER_IT = f"display:block;margin-top:-{HEIGHT}px;max-width:100%"  # a player, and within a narrow panel
_LINE = (
    f"width:{EDGE - 8}px;padding:0 4px;font-size:11px;line-height:15px;color:{QUIET};"
    "white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
)


@dataclass(frozen=True)
class Tile:
    """One row on the sheet.

    Attributes
    ----------
    number
        Its place, from 0.
    label
        Its place in words, for who points at it; not escaped.
    caption
        What tells it from the others, a line each; not escaped.
    text
        Its status in words.
    failed
        Whether that is no good news.
    poster
        A data URI.
    source
        The video's address relative to the notebook, quoted; None where the page can't load it.
    """

    number: int
    label: str
    caption: Sequence[str]
    text: str
    failed: bool = False
    poster: str | None = None
    source: str | None = None


def page(
    line: str, share: float | None, tiles: Sequence[Tile], *, notes: Sequence[str] = (), columns: int = 0, over: bool
) -> str:
    """The sheet as HTML.

    Parameters
    ----------
    line
        How far the batch is, in words.
    share
        The same as a number from 0 to 1; None where nobody knows.
    tiles
        In the order in which they are shown.
    notes
        Sentences below it.
    columns
        Tiles in a line; 0: as many as there is room for.
    over
        Whether nothing will change any more, so that posters may be opened.
    """
    value = "" if share is None else f' value="{share:.2f}"'
    bar = "" if over else f'<progress max="1"{value} aria-label="Progress of the batch"></progress> '
    below = "".join(f'<div style="color:{FAILED}"><small>{escape(note)}</small></div>' for note in notes)
    grid = "".join(
        _tile(tile, over) + ("<br>" if columns and tile.number % columns == columns - 1 else "") for tile in tiles
    )
    return f'<div><div style="margin:4px 0">{bar}<small>{escape(line)}</small></div><div>{grid}</div>{below}</div>'


def _tile(tile: Tile, over: bool) -> str:
    name = escape(" · ".join(tile.caption)[:NAME])
    lines = "".join(f'<div style="{_LINE}">{escape(part[:NAME])}</div>' for part in tile.caption)
    if tile.poster is None:
        colour = FAILED if tile.failed else QUIET
        style = f"{_PLACE};color:{colour};text-align:center;line-height:{HEIGHT}px"
        content = f'{lines}<div style="{style}">{escape(tile.text)}</div>'
    else:
        # Without words of its own: the caption beside it, which is the summary's name, would be read out twice.
        content = f'{lines}<img src="{tile.poster}" alt="" style="{_PLACE};object-fit:contain">'
        if over and tile.source is not None:
            # Nothing is loaded before somebody plays it: a sheet must not fetch 36 videos.
            player = (
                f'<video controls loop muted playsinline preload="none" width="{2 * EDGE}" poster="{tile.poster}" '
                f'aria-label="{name}" src="{tile.source}" style="{_OVER_IT}"></video>'
            )
            content = f'<details><summary style="display:block;cursor:pointer">{content}</summary>{player}</details>'
    return f'<div title="{escape(tile.label)}: {name}" style="{_FRAME}">{content}</div>'


def with_poster(tile: Tile, video: Video) -> Tile:
    """The tile with the video's first frame, and its address; without, where the file is gone. Blocks."""
    try:
        (poster,) = video.small_pictures(Small("WEBP", EDGE, POSTER_BYTES))
    except DownloadError:  # somebody took the file away
        return tile
    data = base64.b64encode(poster).decode("ascii")
    source = notebook_files.notebook_relative(video.place) if video.place.exists() else None
    return replace(tile, poster=f"data:image/webp;base64,{data}", source=source and escape(source))
