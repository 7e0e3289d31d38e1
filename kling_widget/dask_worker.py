"""What runs on a Dask worker. With `dask_client.py` the only room that knows of Dask.

All rows of a process share one studio, so one background loop, one client and one heartbeat of leases, however many are
under way. A row occupies one of the worker's threads while its pictures are read and it is submitted; then it gives
that one up (``secede``) and waits in a thread of its own for minutes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distributed import get_worker, secede

from . import __version__, background
from .batch_makers import NothingThereError, found
from .dask_tasks import Errand, Handover, Outcome
from .errors import ClusterError, ImageError, KlingError, RateLimitError, SubmissionUnknownError
from .gate import gate_of
from .leases import machine_name, process_name
from .prepare import facts_of, keep
from .studios import studio_for

if TYPE_CHECKING:
    from distributed import Worker

    from .generation import Generation
    from .ledger_row import Row
    from .studio import Studio

HOLD = 5.0  # seconds a row that is being submitted keeps one of the worker's threads
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


# A row


def make(errand: Errand) -> Outcome:
    """Find the generation of a row, or submit it, and wait for its end. The task of a row."""
    place = None
    try:
        place = _place_of(errand.batch)
        generation = _asked_for(place, errand)
    except KlingError as error:
        if place is not None:
            place.tell(begun=errand.number)
        return Outcome(None, "invalid", error)
    place.tell(begun=errand.number, key=generation.key)
    accepted = threading.Event()

    def look(changed: Generation) -> None:
        place.tell_status(errand.number, changed.status)
        if changed.status != "submitting":
            accepted.set()

    stop_listening = generation.on_change(look)
    look(generation)
    # So rows go to the worker whose share of the budget of requests is free; but a vendor who does not answer must not
    # keep the rows of others from it.
    accepted.wait(HOLD)
    secede()
    try:
        with _unprofiled():
            generation.wait()
    except KlingError as error:
        return Outcome(generation.row, generation.status, _light(_as_first_told(generation.row, error)))
    finally:
        stop_listening()
    return Outcome(generation.row, generation.status)


@contextmanager
def _unprofiled() -> Iterator[None]:
    """Keep Dask's sampler from a thread that waits.

    It walks the stack of every thread that has a task a hundred times a second: with a hundred rows under way that
    takes half of the worker's processor time, and its page shows nothing but them.
    """
    worker, thread = get_worker(), threading.get_ident()
    with worker.active_threads_lock:
        key = worker.active_threads.pop(thread)
    try:
        yield
    finally:
        with worker.active_threads_lock:
            worker.active_threads[thread] = key


def _place_of(batch: str) -> Place:
    """Where this process works for a batch. A process that began a moment ago asks, and waits to be told."""
    ends, asked = time.monotonic() + PATIENCE, False
    worker = get_worker()
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


def _asked_for(place: Place, errand: Errand) -> Generation:
    """Its generation: new, or the one there is. The ledger takes a second submission of one name for the first."""
    studio = place.studio
    try:
        return _entered(place, errand)
    except (ImageError, NothingThereError):
        # Perhaps asked for on a worker that died, or that Dask lost sight of: then whoever holds the lease goes on.
        ran_before = studio.workspace.ledger.get(errand.key) if studio.has_ledger else None
        if ran_before is None:
            raise
        return studio.go_on(ran_before)


def _entered(place: Place, errand: Errand) -> Generation:
    studio = place.studio
    if errand.fields is not None:
        try:
            draft, there = found(studio, errand.fields, errand.take)
            if there is not None:
                return studio.go_on(there)
            prepared = keep(studio.workspace, draft, send_anyway=errand.send_anyway)
        except ImageError as error:
            error.hint = f"{error.hint} Read on the Dask worker {get_worker().address}.".strip()
            raise
        request = prepared.request
        pictures: Mapping[str, Any] = {name: facts_of(picture) for name, picture in prepared.pictures.items()}
    else:
        assert errand.request is not None
        request, pictures = errand.request, errand.pictures or {}
    with place.admitting:
        if place.halted:
            raise NothingThereError("The batch was stopped.")
        return studio.orders.place(
            request, pictures, errand.take, errand.budget, free=errand.fields is not None,
            client_request_id=errand.key, notebook=errand.notebook,
        )  # fmt: skip


def _as_first_told(row: Row, error: KlingError) -> KlingError:
    """Why it was refused, also where a worker was told that died: after a 429 the batch submits it once more."""
    if (row.status, row.error_name) != ("rejected", RateLimitError.__name__) or isinstance(error, RateLimitError):
        return error
    return RateLimitError(str(row.error_message))


def _light(error: KlingError) -> KlingError:
    """An error without what can't travel."""
    if isinstance(error, SubmissionUnknownError):
        error.generation = None
    return error
