"""A batch as a contact sheet in a cell's output, or as a line in a terminal.

The sheet is one output that is replaced while the batch runs. It holds the latest rows only, so it stays as small as
`tiles.py` says however long the batch is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from . import background, notebook_files
from .progress import BAR, LiveOutput
from .row_tiles import TOLD, failures, poster_tile, result_tile, row_tile
from .tiles import SHOWN, Tile, page

if TYPE_CHECKING:
    from .batches import Batch
    from .row_results import Result


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
        return {"text/html": self.html(), "text/plain": self._batch.line()}

    def html(self) -> str:
        """The sheet as a piece of a page. Blocks while posters are made."""
        self._take_in()
        batch, over = self._batch, self._batch.over
        shown = [self._tiles[number] for number in sorted(self._tiles)]
        notes = failures(self._failed, batch.failed)
        if batch.closed_by is not None:
            notes.insert(0, f"Nothing more is submitted. {batch.closed_by}")
        line = batch.line()
        if batch.begun > SHOWN:
            line += f" · the latest {SHOWN} are shown"
        return page(line, batch.share, shown, notes=notes, columns=batch.columns, over=over)

    def _take_in(self) -> None:
        for number, (fields, status) in self._batch.under_way().items():
            self._tiles[number] = row_tile(number, fields, status, self._batch.names)
        results = self._batch.finished[self._seen :]
        self._seen += len(results)
        for result in results:
            self._tiles[result.row] = result_tile(result, self._batch.names)
        self._failed = [*self._failed, *(result for result in results if result.failed)][:TOLD]
        for number in sorted(self._tiles)[:-SHOWN]:
            del self._tiles[number]
        for result in results:
            if result.row in self._tiles:
                self._tiles[result.row] = poster_tile(self._tiles[result.row], result)


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
