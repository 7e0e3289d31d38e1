"""``BatchCourse``: what a batch goes through on the background loop: read a row, find or submit it, follow it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from . import background, retry
from .backpressure import Turnstile, Window
from .batch_makers import NothingThereError
from .batch_rows import BatchRow, Rows, described
from .errors import (
    AuthenticationError,
    BudgetExceededError,
    ClusterError,
    InsufficientCreditsError,
    KlingError,
    MissingKeyError,
    RateLimitError,
)
from .row_results import Result, result_of

if TYPE_CHECKING:
    from .batch_makers import Maker, Making
    from .studio import Studio

TRIES_ALONE = 5  # refusals (429) of one row with nothing else under way; then the vendor takes nothing now

# What keeps every other row from being made, too.
_CLOSING = (BudgetExceededError, AuthenticationError, InsufficientCreditsError, MissingKeyError, ClusterError)


@dataclass
class _Entry:
    """A row that was read: what is told of it, and its generation once there is one."""

    number: int
    row: BatchRow = field(default_factory=lambda: BatchRow({}, {}))
    generation: Making | None = None


class BatchCourse:
    """Rows on their way to results; at no time more than the window lets in.

    Parameters
    ----------
    studio
        Ledger and provider.
    rows
        What to make.
    maker
        Where they are made.
    concurrency
        How many are under way at once, at most.
    """

    def __init__(self, studio: Studio, rows: Rows, maker: Maker, *, concurrency: int) -> None:
        self.finished: list[Result] = []
        self.begun = self.made = self.failed = 0
        self.simulated = studio.simulated
        self.closed_by: KlingError | None = None
        self._studio = studio
        self._rows = rows
        self._maker = maker
        self._turnstile = Turnstile(Window(concurrency))
        self._left = 0  # rows that were read and not submitted
        self._took = 0.0  # seconds, of all clips made by this batch
        self._under_way: dict[int, _Entry] = {}
        self._following: set[asyncio.Task[None]] = set()
        self._news: Future[None] = Future()

    async def _go(self) -> None:
        """All the way; what the rows themselves raise comes out when everything under way is over."""
        try:
            await self._open()
            await self._read_and_submit()
        finally:
            while self._following:
                await asyncio.wait(self._following)
            await self._maker.close()

    async def _open(self) -> None:
        try:
            await self._maker.open()
        except KlingError as error:
            self.closed_by = error  # for the sheet
            raise

    async def _read_and_submit(self) -> None:
        """One row after the other, each read when there is room for it: in the order in which the budget is spent."""
        rows = self._read()
        while await self._turnstile.enter():
            entry = None
            try:
                entry = await self._begun(rows)
            finally:
                if entry is None or entry.generation is None:
                    self._turnstile.leave()
            if entry is None:
                return
            if entry.generation is not None:
                self._under_way[entry.number] = entry
                following = asyncio.create_task(self._follow(entry))
                self._following.add(following)
                following.add_done_callback(partial(self._followed, entry))

    def _read(self) -> Iterator[tuple[int, Any]]:
        """The raw rows with their numbers; also what they do to begin is done where they are read."""
        yield from enumerate(self._rows.read())

    async def _begun(self, rows: Iterator[tuple[int, Any]]) -> _Entry | None:
        """The next row, asked for unless it fails; None when there is none. Nothing here holds its pictures after."""
        # In a thread of its own: a source that waits for its next row would keep one of the pool's, for good.
        found = await self._turnstile.unless_closed(background.aside(partial(next, rows, None)))
        if found is None or not self._turnstile.is_open:
            return None
        entry = _Entry(found[0])
        self.begun += 1
        (error,) = await asyncio.gather(self._begin(entry, found[1]), return_exceptions=True)
        if error is not None:
            self._finish(entry, error)
        return entry

    async def _begin(self, entry: _Entry, raw: Any) -> None:
        row = await background.in_thread(self._rows.row, raw)
        entry.row = BatchRow(described(row.fields), row.kept)
        entry.generation = await self._maker.begin(entry.number, row, only_there=self.closed_by is not None)

    async def _follow(self, entry: _Entry) -> None:
        """Wait for a generation. One that was refused with 429 is asked for again when there is room."""
        refusals = 0
        while entry.generation is not None:
            try:
                await entry.generation
            except RateLimitError as error:
                if entry.generation.row is None or entry.generation.row.status != "rejected":
                    raise
                refusals += 1
                if self._turnstile.inside == 1 and refusals > TRIES_ALONE:
                    self._close(error)
                pause = retry.backoff(refusals, random.random(), error.retry_after)
                if self.closed_by is not None or not await self._turnstile.enter_again(pause):
                    raise
            else:
                return
            entry.generation = await self._maker.again(entry.generation)

    def _close(self, error: KlingError) -> None:
        """Submit nothing more, for this reason; what is there is still found."""
        self.closed_by = self.closed_by or error
        if self._rows.length is None:
            self._turnstile.close()  # of rows without an end, none would ever be made again

    def _followed(self, entry: _Entry, task: asyncio.Task[None]) -> None:
        self._following.discard(task)
        self._under_way.pop(entry.number)
        if task.cancelled():  # with everything else on the loop: nobody hears of a result
            return
        error = task.exception()
        if entry.generation is not None and entry.generation.row is None:
            entry.generation = None  # elsewhere it turned out that nothing could be asked for
        self._finish(entry, error)
        self._turnstile.leave(succeeded=error is None)

    def _finish(self, entry: _Entry, error: BaseException | None) -> None:
        if isinstance(error, _CLOSING):
            self._close(error)
        if isinstance(error, NothingThereError):
            error = self.closed_by
        left = entry.generation is None and (error is None or error is self.closed_by or isinstance(error, _CLOSING))
        result = result_of(entry.number, entry.row, entry.generation, error, self._studio, left=left)
        self.made += result.place is not None
        self.failed += result.failed
        self.simulated = self.simulated or result.simulated
        self._left += left
        self._took += result.seconds or 0.0
        self.finished.append(result)
        self._tell()

    def _tell(self) -> None:
        """Wake who waits for the next result."""
        news, self._news = self._news, Future()
        news.set_result(None)
