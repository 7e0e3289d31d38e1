"""Rows of a batch made by Dask workers: the batch itself, its window, budget and sheet stay where it was called."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import background
from .batch_makers import Here, NothingThereError, found
from .batch_rows import PICTURES
from .dask_client import WHAT_GOES_ON, WorkersDiedError
from .dask_cluster import HANDED_IN, Cluster
from .dask_tasks import Errand, Outcome
from .errors import KlingError, SubmissionUnknownError
from .notebook_files import notebook_name
from .prepare import facts_of, keep
from .request import new_client_request_id

if TYPE_CHECKING:
    from distributed import Client

    from .batch_makers import Making
    from .batch_rows import BatchRow
    from .ledger_row import Row
    from .studio import Studio

_ADDRESS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:")  # two letters at least: C:\cat.png is a path


@dataclass(frozen=True)
class Saved:
    """A video that a worker saved: its file, which may be fetched yet, and its address."""

    place: Path
    address: str


class OnWorkers:
    """Dask workers make the rows.

    Parameters
    ----------
    client
        A Dask client.
    studio
        Ledger and provider.
    budget, send_anyway
        As of :meth:`kling_widget.Studio.submit`.
    """

    def __init__(self, client: Client, studio: Studio, *, budget: float | None, send_anyway: bool) -> None:
        self.studio = studio
        self.cluster = Cluster(client, studio, on_begun=self._begun, on_status=self._stands)
        self._here = Here(studio, budget=budget, send_anyway=send_anyway)
        self._budget = None if studio.simulated else studio.account.limit(budget)
        self._send_anyway = send_anyway
        self._notebook = notebook_name()
        self._going: dict[int, Elsewhere] = {}

    async def check(self) -> None:
        """See whether the cluster can be used, before anybody is asked; raises `ClusterError`."""
        await self.cluster.check()

    async def open(self) -> None:
        """Begin to listen to the workers."""
        await self.cluster.open()

    async def begin(self, number: int, row: BatchRow, *, only_there: bool) -> Making:
        """Hand a row to a worker, as soon as one has a thread free for it."""
        if self.cluster.broken is not None:
            raise self.cluster.broken
        if only_there:
            return await self._here.begin(number, row, only_there=True)
        if not await self.cluster.room.enter():
            raise _stopped()
        try:
            errand = await background.in_thread(self._errand, number, row)
        except BaseException:
            self.cluster.room.leave()
            raise
        going = self._going[number] = Elsewhere(self, errand)
        if self._budget is not None:  # which is spent in the order of the rows
            await going.is_begun.wait()
            if not going.is_asked_for:
                await going  # raises why it can't be made
        return going

    def _errand(self, number: int, row: BatchRow) -> Errand:
        """Blocks where a picture is no file, and is to be kept first."""
        take = row.fields.get("take", 1)
        facts = {
            "batch": self.cluster.batch, "number": number, "key": new_client_request_id(), "take": take,
            "budget": self._budget, "send_anyway": self._send_anyway, "notebook": self._notebook,
        }  # fmt: skip
        if row.fields.get("dynamic_masks") is None and all(
            _is_elsewhere_too(row.fields[name]) for name in PICTURES if row.fields.get(name) is not None
        ):
            fields = {name: _absolute(value) if name in PICTURES else value for name, value in row.fields.items()}
            return Errand(**facts, fields=fields)
        draft, there = found(self.studio, row.fields, take)
        if there is not None:
            return Errand(**facts, request=draft.request)
        prepared = keep(self.studio.workspace, draft, send_anyway=self._send_anyway)
        pictures = {name: facts_of(picture) for name, picture in prepared.pictures.items()}
        return Errand(**facts, request=prepared.request, pictures=pictures)

    async def again(self, making: Making) -> Making:
        """Hand a row in once more after the vendor refused it: another submission, with a name of its own."""
        assert isinstance(making, Elsewhere)
        if not await self.cluster.room.enter():
            raise _stopped()
        going = self._going[making.errand.number] = Elsewhere(self, making.errand.once_more(new_client_request_id()))
        return going

    def halt(self) -> None:
        """Let no worker submit anything new. Rows that wait for a worker, where there is none, wait no longer."""
        self.cluster.halt()
        for going in [] if self.cluster.workers else list(self._going.values()):
            going.abandon()

    async def close(self) -> None:
        """The batch is over."""
        await self.cluster.close()

    def note(self) -> str:
        """What the rows wait for, where somebody is missing."""
        if self.cluster.is_connecting:
            return "waiting for Dask's scheduler"
        return "" if self.cluster.workers else "waiting for a Dask worker"

    def over(self, number: int) -> None:
        """A row is over."""
        self._going.pop(number, None)

    def _begun(self, number: int, key: str | None) -> None:
        if number in self._going:
            self._going[number].begun(key)

    def _stands(self, number: int, status: str) -> None:
        if number in self._going:
            self._going[number].status = status


class Elsewhere:
    """A row that a worker makes. On the background loop.

    Attributes
    ----------
    status
        As of :class:`~kling_widget.Generation`, as it was last heard of.
    row
        The ledger's, once it is over; None where nothing was asked for.
    video
        The saved video, once it is over.
    is_begun
        Set once the row is in the ledger, or can't be.
    is_asked_for
        Whether it is in the ledger.
    """

    def __init__(self, maker: OnWorkers, errand: Errand) -> None:
        self.errand = errand
        self.status = "submitting"
        self.row: Row | None = None
        self.video: Saved | None = None
        self.is_begun, self.is_asked_for = asyncio.Event(), False
        self._maker = maker
        self._key = errand.key
        self._task = asyncio.get_running_loop().create_task(self._make())

    @property
    def simulated(self) -> bool:
        """Whether a simulator makes it."""
        row = self.row
        return self._maker.studio.simulated or (row is not None and row.simulated)

    def __await__(self) -> Generator[Any, None, None]:
        return self._task.__await__()

    def begun(self, key: str | None) -> None:
        """It is in the ledger under this client request id, or can't be."""
        if key is not None:
            self._key, self.is_asked_for = key, True
        if not self.is_begun.is_set():
            self.is_begun.set()
            self._maker.cluster.room.leave()

    def abandon(self) -> None:
        """Wait no longer for a worker."""
        if not self.is_begun.is_set():
            self._task.cancel()

    async def _make(self) -> None:
        try:
            outcome = await self._handed_in()
        except asyncio.CancelledError:
            raise _stopped() from None
        except KlingError:
            self.row = await background.in_thread(self._in_ledger)
            self.status = "stopped" if self.row is not None and self.row.unfinished else self.status
            raise
        finally:
            self.begun(None)
            self._maker.over(self.errand.number)
        self.row, self.status = outcome.row, outcome.status
        error = outcome.error
        if isinstance(error, SubmissionUnknownError) and outcome.row is not None:
            error.generation = self._maker.studio.generation_of(outcome.row)
        if error is not None:
            raise error
        if outcome.row is not None:
            self.video = self._saved(outcome.row)

    def _saved(self, row: Row) -> Saved:
        workspace = self._maker.studio.workspace
        place = workspace.video_target(row)
        stored = workspace.stored(place)
        return Saved(place, str(place) if stored is None else stored.address)

    async def _handed_in(self) -> Outcome:
        last = ""
        for attempt in range(HANDED_IN):
            try:
                return await self._maker.cluster.make(self.errand, attempt)
            except WorkersDiedError as error:  # again: the ledger knows what they did, so it costs nothing twice
                last = str(error)
        raise KlingError(
            f"Given up: handed in {HANDED_IN} times; each time all its workers died, or the line to them broke. "
            f"The last time: {last}",
            hint=WHAT_GOES_ON,
            may_have_cost=True,
        )

    def _in_ledger(self) -> Row | None:
        studio = self._maker.studio
        return studio.workspace.ledger.get(self._key) if studio.has_ledger else None


def _stopped() -> NothingThereError:
    return NothingThereError("The batch was stopped.")


def _is_elsewhere_too(picture: Any) -> bool:
    """Whether a picture is a file or an address, which a worker can read as well."""
    if isinstance(picture, str):
        return picture.lstrip()[:5].lower() != "data:"
    return isinstance(picture, os.PathLike) and not hasattr(type(picture), "last_frame")


def _absolute(picture: Any) -> Any:
    """A path from here, for a process with another folder."""
    if isinstance(picture, str) and (not picture.strip() or _ADDRESS.match(picture)):
        return picture
    return os.path.abspath(os.path.expanduser(os.fsdecode(picture)))
