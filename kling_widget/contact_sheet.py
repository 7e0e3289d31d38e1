"""A batch as a contact sheet in a cell's output, or as a line in a terminal.

The sheet is one output that is replaced while the batch runs. It holds the latest `SHOWN` rows and tiny posters only,
so it stays below 250 KB however long the batch is. When the batch is over, and nothing replaces the sheet any more, a
poster opens into a player, which covers it; the caption above closes it again. Tags and styles are those JupyterLab
keeps in notebooks that are not trusted; texts from people and the vendor are escaped.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Protocol

from . import background, notebook_files
from .errors import DownloadError
from .posters import Small
from .progress import BAR, WORDS, LiveOutput

if TYPE_CHECKING:
    from .batch_results import Result
    from .batches import Batch

SHOWN = 36  # tiles; ours: six rows of six, on a laptop's screen
TOLD = 5  # failures told one by one; the others are counted
EDGE = 160  # pixels of a poster's longer side
HEIGHT = 90  # pixels of a poster's place
POSTER_BYTES = 1_500  # ours: SHOWN of them twice, as Base64, are 144 KB
STATUS = {**WORDS, "left": "Not submitted", "invalid": "Cannot be sent"}
NAME = 100  # characters of a caption; the page cuts it to the width of the tile
_FAILED = "var(--jp-error-color1, #b3261e)"
_QUIET = "var(--jp-ui-font-color2, #757575)"
_FRAME = (
    "display:inline-block;vertical-align:top;margin:0 6px 6px 0;padding-top:3px;"
    "border:1px solid var(--jp-border-color2, #cccccc)"
)
_PLACE = f"display:block;width:{EDGE}px;height:{HEIGHT}px;background:var(--jp-layout-color2, #eeeeee)"
_OVER_IT = f"display:block;margin-top:-{HEIGHT}px;max-width:100%"  # a player, and within a narrow panel
_LINE = (
    f"width:{EDGE - 8}px;padding:0 4px;font-size:11px;line-height:15px;color:{_QUIET};"
    "white-space:nowrap;overflow:hidden;text-overflow:ellipsis"
)


@dataclass(frozen=True)
class Tile:
    """One row on the sheet.

    Attributes
    ----------
    number
        The row, from 0.
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
    below = "".join(f'<div style="color:{_FAILED}"><small>{escape(note)}</small></div>' for note in notes)
    grid = "".join(
        _tile(tile, over) + ("<br>" if columns and tile.number % columns == columns - 1 else "") for tile in tiles
    )
    return f'<div><div style="margin:4px 0">{bar}<small>{escape(line)}</small></div><div>{grid}</div>{below}</div>'


def _tile(tile: Tile, over: bool) -> str:
    name = escape(" · ".join(tile.caption)[:NAME])
    lines = "".join(f'<div style="{_LINE}">{escape(part[:NAME])}</div>' for part in tile.caption)
    if tile.poster is None:
        colour = _FAILED if tile.failed else _QUIET
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
    return f'<div title="row {tile.number}: {name}" style="{_FRAME}">{content}</div>'


class Sheet:
    """What is shown of a batch: the latest rows, with posters.

    Parameters
    ----------
    batch
        Looked at whenever the sheet is brought up to date.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._tiles: dict[int, Tile] = {}
        self._seen = 0  # results taken in
        self._failed: list[Result] = []  # the first of them

    def bundle(self) -> dict[str, str]:
        """The sheet by media type. Blocks while posters are made."""
        self._take_in()
        batch, over = self._batch, self._batch.over
        shown = [self._tiles[number] for number in sorted(self._tiles)]
        notes = [f"row {result.row}: {result.error}" for result in sorted(self._failed, key=lambda result: result.row)]
        if batch.failed > TOLD:
            notes.append(f"and {batch.failed - TOLD} more that failed")
        if batch.closed_by is not None:
            notes.insert(0, f"Nothing more is submitted. {batch.closed_by}")
        line = batch.line()
        if batch.begun > SHOWN:
            line += f" · the latest {SHOWN} are shown"
        html = page(line, batch.share, shown, notes=notes, columns=batch.columns, over=over)
        return {"text/html": html, "text/plain": batch.line()}

    def _take_in(self) -> None:
        for number, (fields, status) in self._batch.under_way().items():
            self._tiles[number] = Tile(number, self._batch.caption(fields), STATUS.get(status, status))
        results = self._batch.finished[self._seen :]
        self._seen += len(results)
        for result in results:
            self._tiles[result.row] = Tile(
                result.row,
                self._batch.caption(result.fields),
                STATUS.get(result.status, result.status),
                failed=result.failed,
            )
        self._failed = [*self._failed, *(result for result in results if result.failed)][:TOLD]
        for number in sorted(self._tiles)[:-SHOWN]:
            del self._tiles[number]
        for result in results:
            if result.row in self._tiles:
                self._tiles[result.row] = _with_poster(self._tiles[result.row], result)


def _with_poster(tile: Tile, result: Result) -> Tile:
    if (video := result.video) is None:
        return tile
    try:
        (poster,) = video.small_pictures(Small("WEBP", EDGE, POSTER_BYTES))
    except DownloadError:  # somebody took the file away
        return tile
    data = base64.b64encode(poster).decode("ascii")
    source = notebook_files.notebook_relative(video.place) if video.place.exists() else None
    return replace(tile, poster=f"data:image/webp;base64,{data}", source=source and escape(source))


class Surface(Protocol):
    """Where a batch is shown."""

    async def update(self) -> None:
        """Show how far it is."""


def surface(batch: Batch) -> Surface | None:
    """The running cell's output in a notebook, a line in a terminal, None elsewhere."""
    if notebook_files.kernel_shell() is not None:
        return CellSheet(batch)
    return TerminalLine(batch) if sys.stderr.isatty() else None


class CellSheet:
    """The sheet as an output of the running cell."""

    def __init__(self, batch: Batch) -> None:
        self._sheet = Sheet(batch)
        self._output = LiveOutput(self._sheet.bundle())
        batch.shown_in_cell = notebook_files.running_cell()

    async def update(self) -> None:
        """Show how far it is."""
        self._output.show(await background.in_thread(self._sheet.bundle))


class TerminalLine:
    """One line that is written again and again."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    async def update(self) -> None:
        """Show how far it is."""
        full, end = round(BAR * (self._batch.share or 0.0)), "\n" if self._batch.over else ""
        text = f"\r[{'█' * full}{'·' * (BAR - full)}] {self._batch.line()}"
        print(f"{text}\x1b[K", end=end, file=sys.stderr, flush=True)
