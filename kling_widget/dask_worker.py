"""What runs on a Dask worker. With `dask_client.py` the only room that knows of Dask.

All rows of a process share one studio, so one background loop, one client and one heartbeat of leases, however many are
under way. A row occupies one of the worker's threads while its pictures are read and it is submitted; then it gives
that one up (``secede``) and waits in a thread of its own for minutes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distributed import get_worker, secede

from .batch_makers import NothingThereError, found
from .dask_places import Place, place_of
from .dask_tasks import Errand, Outcome
from .errors import ImageError, KlingError, RateLimitError, SubmissionUnknownError
from .prepare import facts_of, keep

if TYPE_CHECKING:
    from .generation import Generation
    from .ledger_row import Row

HOLD = 5.0  # seconds a row that is being submitted keeps one of the worker's threads


def make(errand: Errand) -> Outcome:
    """Find the generation of a row, or submit it, and wait for its end. The task of a row."""
    place = None
    try:
        place = place_of(errand.batch, get_worker())
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
