"""``Batch``: the handle of many generations; await, wait, iterate, stop.

Not ``batch.py``: a module of that name would take the place of the function ``batch`` in the package.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from . import background, contact_sheet, marimo_cell
from .batch_course import BatchCourse
from .batch_results import Looks, Results
from .errors import StoppedWatchingError
from .notebook_files import in_marimo_cell, runs_now, when_cell_ends
from .progress import TICK, LiveOutput, about
from .row_results import Result
from .row_tiles import NAMES

if TYPE_CHECKING:
    from .batch_makers import Maker
    from .batch_plan import Plan
    from .batch_rows import Rows
    from .studio import Studio

STILL = (
    "<small>marimo keeps this up to date below a cell that waits for it: "
    "<code>await batch</code>, or <code>batch.wait()</code>.</small>"
)

COLUMNS = 6  # tiles that fit side by side in a laptop's window

_LEAVING = (KeyboardInterrupt, asyncio.CancelledError)  # how Ctrl-C comes to code that waits, and to code that awaits

_running: set[Batch] = set()  # goes on though nobody holds it; loops hold their tasks weakly only


class Batch(BatchCourse):
    """Many generations. Await it, wait for it, or iterate over its results as they come; it goes on by itself.

    Made by :func:`kling_widget.batch` and :func:`kling_widget.sweep`.

    Attributes
    ----------
    plan
        What was to be made and paid when it began.
    finished
        The results so far, in the order in which they came.
    begun, made, failed
        How many rows were read, have a video, and have failed so far.
    over
        Whether nothing more will come.
    closed_by
        The error for which nothing more is submitted: the budget, or the account.
    shown_in_cell
        Number of the cell whose output shows it already.
    """

    def __init__(self, studio: Studio, rows: Rows, plan: Plan, maker: Maker, *, concurrency: int) -> None:
        super().__init__(studio, rows, maker, concurrency=concurrency)
        self.plan = plan
        self.over = False
        self.shown_in_cell: int | None = None
        self._stopped = False
        self._heeds_its_cell = False  # whether it hears how the cell ends that loops over it
        self._progress = False
        self._end = asyncio.Event()
        self._ended: Future[Results]

    def start(self, *, progress: bool) -> None:
        """Begin, and show how far it is."""
        surface = contact_sheet.surface(self) if progress else None
        self._progress = progress
        _running.add(self)
        self._ended = background.start(self._run(surface))

    # What it is

    def under_way(self) -> dict[int, tuple[dict[str, Any], str]]:
        """By row: its fields and its status."""
        entries = list(self._under_way.values())
        return {each.number: (each.row.fields, each.generation.status) for each in entries if each.generation}

    @property
    def left(self) -> int | None:
        """How many rows were not submitted, or not yet; None where the rows have no known end."""
        return None if self._rows.length is None else self._rows.length - self.begun + self._left

    @property
    def share(self) -> float | None:
        """How far it is, from 0 to 1; None where the rows have no known end."""
        return len(self.finished) / self._rows.length if self._rows.length else None

    def line(self) -> str:
        """How far it is, in words: ``12 of 50 made · 8 under way · 1 failed · about 6 min left``."""
        ended = self.over or self._stopped or self.closed_by is not None
        parts = [
            f"{self.made:,} made" if self._rows.length is None else f"{self.made:,} of {self._rows.length:,} made",
            f"{len(self._under_way)} under way" if self._under_way else "",
            f"{self.failed:,} failed" if self.failed else "",
            f"{self.left:,} left" if ended and self.left else "",
            "" if ended else self._still(),
            "" if self.over else self._maker.note(),
            "simulated" if self.simulated else "",
        ]
        return " · ".join(part for part in parts if part)

    def _still(self) -> str:
        """How long it still takes, from what the clips of this batch took."""
        if self._rows.length is None or not self._took:
            return ""
        rows = self._rows.length - len(self.finished)
        seconds = rows * self._took / self.made / min(self._turnstile.window.size, max(rows, 1))
        return f"about {seconds / 3600:.1f} h left" if seconds > 5400 else about(seconds)

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that tell a row from the others: in a grid those that vary."""
        return tuple(self._rows.axes or NAMES)

    @property
    def columns(self) -> int:
        """Tiles in a line of the contact sheet: in a grid the values of the field that varies fastest, if they fit."""
        last = len(list((self._rows.axes or {"": ()}).values())[-1])
        return last if 1 < last <= COLUMNS else 0

    def __repr__(self) -> str:
        return f"<Batch: {self.line()}>"

    def _ipython_display_(self) -> None:
        """Nothing as the last line of the cell that shows it already; else how it stands now."""
        if not runs_now(self.shown_in_cell):
            LiveOutput(contact_sheet.Sheet(self).bundle())

    def _mime_(self) -> tuple[str, str]:  # marimo's, for the last line of a cell
        html = contact_sheet.Sheet(self).html()
        return "text/html", html if self.over else html + STILL

    # Waiting

    @property
    def results(self) -> Results:
        """The results so far, in the order of the rows."""
        return Results(list(self.finished), Looks(self.names, self.columns, self.shown_in_cell))

    def wait(self, timeout: float | None = None) -> Results:
        """Wait in plain code for the whole batch.

        Ctrl-C stops the waiting and submits nothing more; what is under way goes on.

        Parameters
        ----------
        timeout
            Seconds; None waits for good.

        Raises
        ------
        StoppedWatchingError
            Time is up; the batch goes on.
        Exception
            What the iterable of the rows raised. What a single row failed with is in its result.
        """
        with self._told_when_left():
            try:
                if self._progress and in_marimo_cell():
                    return marimo_cell.watch(self._ended, timeout, contact_sheet.Sheet(self).html)
                return background.wait(self._ended, timeout)
            except TimeoutError:
                if self._ended.done():
                    raise  # the rows' own
                raise StoppedWatchingError(f"Not over after {timeout:g} s.", hint="The batch goes on.") from None

    def __await__(self) -> Generator[Any, None, Results]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Results:
        with self._told_when_left():
            if self._progress and in_marimo_cell():
                return await marimo_cell.watch_async(self._ended, contact_sheet.Sheet(self).html)
            return await background.bridge(self._ended)

    def __iter__(self) -> Iterator[Result]:
        """Results as they come.

        Leaving the loop stops nothing: see :meth:`stop`. Ctrl-C does: while it waits, and in IPython in its body.
        """
        place = 0
        while (news := self._news_after(place)) is not None:
            with self._told_when_left():
                background.wait(news)
            for result in self.finished[place : (place := len(self.finished))]:
                self._heed_cell()
                yield result
        self._ended.result()  # what the rows raised

    async def __aiter__(self) -> AsyncIterator[Result]:
        place = 0
        while (news := self._news_after(place)) is not None:
            with self._told_when_left():
                await background.bridge(news)
            for result in self.finished[place : (place := len(self.finished))]:
                self._heed_cell()
                yield result
        await background.bridge(self._ended)

    def _news_after(self, place: int) -> Future[None] | None:
        """Done when there are more results than so many, or none will come; None when that is so already."""
        over, news = self.over, self._news  # in this order: what comes between is not missed
        if len(self.finished) > place:
            return _NOW
        return None if over else news

    def stop(self) -> None:
        """Submit nothing more. What is under way goes on, and the batch ends with it."""
        self._stopped = True
        background.call(self._turnstile.close)
        background.call(self._maker.halt)

    @contextlib.contextmanager
    def _told_when_left(self) -> Iterator[None]:
        """Who presses Ctrl-C, or cancels what awaits it, wants no more to be paid for; and learns what goes on."""
        try:
            yield
        except _LEAVING:
            self._stop_and_tell()
            raise

    def _stop_and_tell(self) -> None:
        self.stop()
        going = f" {len(self._under_way)} under way go on." if self._under_way else ""
        rest = "" if self.left == 0 else " The same batch again makes what is left."
        print(f"Stopped: nothing more is submitted.{going}{rest}", file=sys.stderr)

    def _heed_cell(self) -> None:
        """Ctrl-C in the body of a loop passes an iterator by: it is heard of when the cell is over."""
        if not self._heeds_its_cell:
            self._heeds_its_cell = when_cell_ends(partial(_cell_over, weakref.ref(self)))

    # On the background loop

    async def _run(self, surface: contact_sheet.Surface | None) -> Results:
        showing = background.go(self._keep_showing(surface)) if surface is not None else _NOW
        try:
            await self._go()
        finally:
            self.over = True
            self._end.set()
            self._tell()
            await background.ended(showing)  # before who waits: the cell's output is up to date then
            _running.discard(self)
        return self.results

    async def _keep_showing(self, surface: contact_sheet.Surface) -> None:
        while not self.over:
            await surface.update()
            await background.happens(self._end, TICK)
        await surface.update()


def _cell_over(known: weakref.ref[Batch], error: BaseException | None) -> None:
    """The cell is over that looped over a batch; what ended it may have come out of the loop's body."""
    batch = known()
    if batch is not None:
        batch._heeds_its_cell = False
        if isinstance(error, _LEAVING) and not batch.over and not batch._stopped:
            batch._stop_and_tell()


_NOW: Future[None] = Future()
_NOW.set_result(None)
