"""Where a Dask worker's process works: told by each batch, once, and forgotten with it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from . import __version__, background
from .errors import ClusterError
from .gate import gate_of
from .leases import machine_name, process_name
from .studios import studio_for

if TYPE_CHECKING:
    from distributed import Worker

    from .dask_tasks import Handover
    from .studio import Studio

PATIENCE = 60.0  # seconds a row waits until its process has been told where it works
STATUS_DELAY = 0.3  # seconds in which changes of status are gathered; the sheet is drawn twice a second


class Place:
    """One batch, as a worker's process knows it.

    Parameters
    ----------
    studio
        Of this process.
    worker
        Its way to the batch.
    topic
        Under which the batch hears of it.
    """

    def __init__(self, studio: Studio, worker: Worker, topic: str) -> None:
        self.studio = studio
        self.halted = False
        self.admitting = threading.Lock()
        self._worker, self._topic = worker, topic
        self._statuses: dict[int, str] = {}
        self._lock = threading.Lock()

    def halt(self) -> None:
        """Let nothing more into the ledger; what is just being written is there when this returns."""
        with self.admitting:
            self.halted = True

    def tell(self, **news: Any) -> None:
        """Tell the batch something."""
        self._worker.log_event(self._topic, news)

    def tell_status(self, number: int, status: str) -> None:
        """Tell the batch how a row stands, with others that change in this moment."""
        with self._lock:
            first = not self._statuses
            self._statuses[number] = status
        if first:
            background.go(self._tell_statuses())

    async def _tell_statuses(self) -> None:
        await asyncio.sleep(STATUS_DELAY)
        with self._lock:
            statuses, self._statuses = self._statuses, {}
        self.tell(statuses=[[number, status] for number, status in statuses.items()])


_places: dict[str, Place] = {}
_refused: dict[str, str] = {}  # why this process can't work for a batch
_told = threading.Condition()


def topic_of(batch: str) -> str:
    """Under which events of a batch travel."""
    return f"kling_widget-{batch}"


# Called on every worker by the batch


async def introduce(handover: Handover, dask_worker: Worker) -> tuple[str, str | None]:
    """Take in where this process works; returns the process's name, and why it can't work there."""
    _leave_ctrl_c_to(handover.called_in)
    problem = await background.in_thread(_take_in, handover, dask_worker)
    return f"{machine_name()}/{process_name()}", problem


def _leave_ctrl_c_to(caller: str) -> None:
    """Hear none of it in a process that the batch's own has started, as a `LocalCluster` does.

    A terminal's Ctrl-C and a notebook's stop reach them all: the batch stops, and a worker would end, with what it has
    under way. To be called on the worker's loop.
    """
    if caller == process_name(os.getppid()) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _take_in(handover: Handover, worker: Worker) -> str | None:
    studio, problem = None, _unfit(handover)
    if problem is None:
        studio = studio_for(
            api_key=handover.secrets.api_key, base_url=handover.base_url, workspace=handover.workspace,
            database=handover.secrets.database, simulate=handover.simulate,
        )  # fmt: skip
        if not studio.workspace.sees_mark(handover.mark):
            problem = (
                f"does not see the workspace {handover.workspace} as it is here. Several machines need one that all of "
                'them reach: workspace="s3://bucket/clips", with database="postgresql+psycopg://user@host/name".'
            )
        elif not studio.workspace.ledger_is_a_file:
            _ = studio.workspace.ledger  # its database answers, or a sentence says why not
    with _told:
        if studio is None or problem is not None:
            _refused[handover.batch] = problem or ""
        else:
            place = _places.setdefault(handover.batch, Place(studio, worker, topic_of(handover.batch)))
            place.halted = place.halted or handover.halted
            share(studio.provider, handover.processes)
            gate_of(studio.provider).on_refusal = _tell_of_refusal
        _told.notify_all()
    return problem


def _unfit(handover: Handover) -> str | None:
    if handover.version != __version__:
        return f"has kling_widget {__version__}, and here it is {handover.version}. Install the same one there."
    if handover.machine not in (None, machine_name()):
        return (
            "is on another machine, and the ledger is a SQLite file, which is safe on one machine only. "
            'Give database="postgresql+psycopg://user@host/name".'
        )
    return None


def share(provider: str, processes: int) -> None:
    """So many processes share the budget of requests to a provider."""
    gate_of(provider).pacer.share(processes)


def slow_down(provider: str, retry_after: float | None, but: str) -> None:
    """Another process was answered 429."""
    if process_name() != but:
        gate_of(provider).hear(retry_after)


def _tell_of_refusal(retry_after: float | None) -> None:
    for place in list(_places.values()):
        place.tell(refused=retry_after, by=process_name())


async def halt(batch: str) -> None:
    """Submit nothing more for a batch; when this returns, nothing is."""
    if batch in _places:
        await background.in_thread(_places[batch].halt)


def forget(batch: str) -> None:
    """A batch is over."""
    _places.pop(batch, None)
    _refused.pop(batch, None)


# Asked by a row


def place_of(batch: str, worker: Worker) -> Place:
    """Where this process works for a batch. A process that began a moment ago asks, and waits to be told."""
    ends, asked = time.monotonic() + PATIENCE, False
    with _told:
        while batch not in _places:
            if batch in _refused:
                raise ClusterError(f"The Dask worker {worker.address} {_refused[batch]}")
            if not asked:
                worker.log_event(topic_of(batch), {"newcomer": worker.address})
                asked = True
            if not _told.wait(max(ends - time.monotonic(), 0.0)):
                raise ClusterError(
                    f"The Dask worker {worker.address} was not told where it works within {PATIENCE:g} s.",
                    hint="Nothing was submitted for this row. The same batch again makes what is left.",
                )
        return _places[batch]
