"""A batch as a contact sheet in a cell's output, or as a line in a terminal.

The sheet is one output that is replaced while the batch runs. It holds the latest `SHOWN` rows and tiny posters only,
so it stays below 200 KB however long the batch is. While the batch runs its posters are pictures; when it is over they
become players, which nothing replaces any more. Tags and styles are those JupyterLab keeps in notebooks that are not
trusted; texts from people and the vendor are escaped.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Protocol

from . import background, media, notebook_files
from .errors import DownloadError
from .picture_codec import small_picture
from .progress import BAR, WORDS, LiveOutput

if TYPE_CHECKING:
    from .batch_results import Result
    from .batches import Batch

SHOWN = 36  # tiles; ours: six rows of six, on a laptop's screen
TOLD = 5  # failures told one by one; the others are counted
EDGE = 160  # pixels of a poster's longer side
POSTER_BYTES = 1_500  # ours: SHOWN of them twice, as Base64, are 144 KB
CAPTION = 60  # characters
STATUS = {**WORDS, "left": "Not submitted", "invalid": "Cannot be sent"}
_FAILED = "var(--jp-error-color1, #b3261e)"
_QUIET = "var(--jp-ui-font-color2, #757575)"
_BORDER = "1px solid var(--jp-border-color2, #cccccc)"


@dataclass(frozen=True)
class Tile:
    """One row on the sheet.

    Attributes
    ----------
    number
        The row, from 0.
    caption
        What tells it from the others; not escaped.
    text
        Its status in words.
    problem
        Why there is no video; not escaped.
    poster
        A data URI.
    source
        The video's address relative to the notebook, quoted; None where the page can't load it.
    """

    number: int
    caption: str
    text: str
    problem: str = ""
    poster: str | None = None
    source: str | None = None


def page(line: str, share: float | None, tiles: Sequence[Tile], *, notes: Sequence[str] = (), over: bool) -> str:
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
    over
        Whether nothing will change any more, so that posters may be players.
    """
    value = "" if share is None else f' value="{share:.2f}"'
    bar = "" if over else f'<progress max="1"{value} aria-label="Progress of the batch"></progress> '
    below = "".join(f'<div style="color:{_FAILED}"><small>{escape(note)}</small></div>' for note in notes)
    grid = "".join(_tile(tile, over) for tile in tiles)
    return f'<div><div style="margin:4px 0">{bar}<small>{escape(line)}</small></div><div>{grid}</div>{below}</div>'


def _tile(tile: Tile, over: bool) -> str:
    caption = escape(_short(tile.caption))
    state, colour = (tile.problem, _FAILED) if tile.problem else (tile.text, _QUIET)
    look = f"display:block;width:{EDGE}px;height:90px;object-fit:contain;background:var(--jp-layout-color2, #eeeeee)"
    if tile.poster is None:
        words = escape(_short(state))
        picture = f'<div style="{look};overflow:hidden;color:{colour}"><small>{words}</small></div>'
    else:
        picture = f'<img src="{tile.poster}" alt="{caption}" style="{look}">'
        if over and tile.source is not None:
            # Nothing is loaded before somebody plays it: a sheet must not fetch 36 videos.
            picture = (
                f'<video controls loop muted playsinline preload="none" width="{EDGE}" height="90" style="{look}" '
                f'poster="{tile.poster}" aria-label="{caption}" src="{tile.source}">{picture}</video>'
            )
    return (
        f'<div title="row {tile.number}" style="display:inline-block;vertical-align:top;width:{EDGE}px;'
        f'margin:0 6px 6px 0;border:{_BORDER}">{picture}<div style="height:32px;padding:2px 4px;overflow:hidden;'
        f'color:{_QUIET};font-size:11px;line-height:1.25">{caption}</div></div>'
    )


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= CAPTION else f"{flat[: CAPTION - 1].rstrip()}…"


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
        notes = [f"row {result.row}: {result.error}" for result in self._failed]
        if batch.failed > TOLD:
            notes.append(f"and {batch.failed - TOLD} more that failed")
        if batch.closed_by is not None:
            notes.insert(0, f"Nothing more is submitted. {batch.closed_by}")
        line = batch.line()
        if len(shown) < batch.begun:
            line += f" · the latest {len(shown)} of {batch.begun} are shown"
        return {"text/html": page(line, batch.share, shown, notes=notes, over=over), "text/plain": batch.line()}

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
                problem=str(result.error) if result.failed else "",
            )
        self._failed = [*self._failed, *(result for result in results if result.failed)][:TOLD]
        for number in sorted(self._tiles)[:-SHOWN]:
            del self._tiles[number]
        for result in results:
            if result.row in self._tiles:
                self._tiles[result.row] = _with_poster(self._tiles[result.row], result)


def _with_poster(tile: Tile, result: Result) -> Tile:
    if result.path is None:
        return tile
    try:
        frame = media.frame_at(result.path, "first")
    except DownloadError as error:
        return replace(tile, problem=str(error))
    data = base64.b64encode(small_picture(frame, EDGE, POSTER_BYTES, "WEBP")).decode("ascii")
    source = notebook_files.notebook_relative(result.path)
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
