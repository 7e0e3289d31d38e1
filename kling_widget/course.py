"""``Course``: what a generation goes through on the background loop, from submission to saved video.

submitting → queued → generating → completed → saved · rejected · unknown · error. The row is written before the POST
leaves, the id is committed before the first poll, and a submission that may have arrived is looked up, never repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import background, pending, polling, retry
from .bookkeeping import Bookkeeping
from .errors import (
    DownloadError,
    GenerationFailedError,
    InvalidRequestError,
    KlingError,
    RateLimitError,
    ServerError,
    StoppedWatchingError,
    SubmissionUnknownError,
)
from .kept_pictures import wire_body
from .ledger import FREE_TAKE, LeaseLostError
from .ledger_transactions import NOTHING_SENT
from .money import usd_of
from .saving import save, show

if TYPE_CHECKING:
    from .body import Body
    from .ledger import Row
    from .studio import Studio
    from .task import Task
    from .video import Video

QUEUED_WORDS = {"queued", "waiting", "submitted", "pending"}  # vendor's pages; any other word means it is being made
LOST_AFTER = 5  # times in a row the vendor says 404 before we believe that it does not know the id


class Course(Bookkeeping):
    """One generation's way through its states; every step is in the ledger before the next begins.

    Parameters
    ----------
    studio
        Client and workspace.
    row
        The ledger's row.
    on_change
        Called on the background loop after every change.
    is_shown
        Whether somebody shows it, and will show its video the moment it is there.
    """

    def __init__(
        self, studio: Studio, row: Row, *, on_change: Callable[[], object], is_shown: Callable[[], bool]
    ) -> None:
        super().__init__(studio, row, on_change=on_change)
        self._is_shown = is_shown
        self.note = ""
        self._posting = False
        self._just_accepted = False
        self._stop_wanted = False

    def may_be_cut_off(self) -> bool:
        """Whether it can be cancelled now. A POST under way never is: its answer holds the id that was paid for."""
        self._stop_wanted = self._posting
        return not self._posting

    async def run(self) -> Video:
        """Go all the way, from wherever the ledger says it stands.

        Raises
        ------
        KlingError
            Why there is no video.
        """
        fresh = self.row.client_request_id in self._studio.orders.unsent  # we wrote it a moment ago
        if not fresh:
            await self._reread()
        self.expected = await background.in_thread(self._studio.expectation, self.row)
        self._on_change()
        leases = self._studio.leases
        while True:
            self._raise_if_refused()
            if self.row.saved is not None and await background.in_thread(self._bring):
                return await show(self._studio, self.row, rendered=self._is_shown())
            claimed = self.row if fresh and leases.keep(self.row) else await leases.claim(self.row)
            fresh = False
            if claimed is not None:
                try:
                    return await self._go(claimed)
                except LeaseLostError:
                    pass  # this process slept too long, and another one goes on: its news come through the ledger
                finally:
                    await leases.release(self.row.client_request_id)
            await asyncio.sleep(leases.pause(self._pace))
            await self._reread()

    def _bring(self) -> bool:
        return self._studio.workspace.bring(self._studio.video_target(self.row))

    async def _go(self, claimed: Row) -> Video:
        """Go on as the one process that does, with the row as it is now that nobody else changes it."""
        await self._take_in(claimed)
        self._raise_if_refused()
        if self.row.status == "submitting" and self.row.client_request_id in self._studio.orders.unsent:
            await self._submit()
        else:
            await background.in_thread(self._studio.renew)  # the key may be why it stopped
        with self._paid_for():
            if self.row.status in ("submitting", "unknown"):
                await self._look_up()  # its answer was lost, or the kernel that submitted it died before it heard it
            if self.row.status != "completed":
                await self._poll()
            video = await save(self._studio, self.row, self._update, self._say, rendered=self._is_shown())
        if self.row.usd is None:
            background.go(self._studio.account.settle_later(self.row))
        return video

    def _raise_if_refused(self) -> None:
        if self.row.status in FREE_TAKE:
            said = self.row.error_message or "It was not made."
            raise GenerationFailedError(f"Not made: {said}", generation_id=self.row.generation_id, hint="Not charged.")

    @contextlib.contextmanager
    def _paid_for(self) -> Iterator[None]:
        """Whatever goes wrong with what was accepted, or may have been: the error says so, and how to look again."""
        try:
            yield
        except (GenerationFailedError, StoppedWatchingError, SubmissionUnknownError):  # say themselves what it costs
            raise
        except KlingError as error:
            note_cost(error, error.generation_id or self.row.generation_id, known=self.row.accepted is not None)
            raise

    async def _submit(self) -> None:
        try:
            task = await self._post()
        except SubmissionUnknownError as unknown:
            try:
                await self._settle(status="unknown")
            except KlingError:
                raise unknown from None  # the ledger says "submitting": that is looked up as well
        except KlingError as error:
            with contextlib.suppress(KlingError):  # the first error is the one to tell
                await self._settle(status="rejected", error_name=type(error).__name__, error_message=str(error))
            raise
        else:
            self.note, self._just_accepted = "", True
            await self._accepted(task.id, time.time(), task)
        finally:
            self._posting, self.note = False, ""
        if self._stop_wanted:
            raise asyncio.CancelledError

    async def _post(self) -> Task:
        """Send it, as one of a few at a time: each holds its pictures in memory."""
        async with self._studio.submissions:
            body = await background.in_thread(self._prepared)
            await self._update(lease_until=self._studio.leases.until())  # the last step: the lease is on the disk
            reference = self.row.client_request_id
            self._posting = True
            self._studio.orders.unsent.discard(reference)
            return await self._studio.client.create(body, client_request_id=reference, on_wait=self._waits)

    def _prepared(self) -> Body:
        """What is to be sent; what is needed to find it again is on the disk when this returns."""
        body = wire_body(self._studio.workspace, self.row)
        try:
            pending.write(self._folder, self.row)
        except OSError as error:
            raise KlingError(
                f"The workspace {self._folder} cannot be written: {(error.strerror or str(error)).lower()}.",
                hint="Nothing was submitted. Make room, or choose another folder with workspace=….",
            ) from error
        return body

    def _waits(self, _seconds: float) -> None:
        self._say("The server cannot be reached or is busy; trying again.")

    def _say(self, note: str) -> None:
        if note != self.note:
            self.note = note
            self._on_change()

    async def _accepted(self, generation_id: str | None, at: float, task: Task | None) -> None:
        def note() -> dict[str, Any]:
            with contextlib.suppress(OSError):  # the ledger's copy, which follows, is enough
                pending.note_id(self._folder, self.row.client_request_id, str(generation_id))
            return {}

        news = _news(task) if task else {}
        try:
            await self._settle(note, status="queued", generation_id=generation_id, accepted=at, **news)
        except KlingError as error:
            note_cost(error, generation_id, known=True)
            raise

    async def _look_up(self) -> None:
        """Settle an unknown submission through the vendor's log, which appears minutes late at times."""
        noted = await background.in_thread(pending.noted_id, self._folder, self.row.client_request_id)
        if noted is not None:  # the ledger could not take it in at the time
            await self._settle(status="queued", generation_id=noted, accepted=self.row.created)
            return
        await self._update(status="unknown")
        delays = (0.0, *retry.LOOKUP_DELAYS)
        for look, delay in enumerate(delays, 1):
            await asyncio.sleep(delay / self._pace)
            self._studio.leases.check(self.row.client_request_id)
            try:
                last = look == len(delays)  # far and wide once: that may take many questions
                found = await self._studio.client.find(self.row.client_request_id, self.row.created, far=last)
            except (ServerError, RateLimitError):
                continue
            except KlingError as error:
                raise self._not_found(f"the vendor's log cannot be read. {error}") from error
            if found is not None:
                at = self.row.created if found.created is None else found.created
                await self._accepted(found.generation_id, min(max(at, self.row.created), time.time()), None)
                return
        raise self._not_found("the vendor's log does not show it yet.")

    def _not_found(self, because: str) -> SubmissionUnknownError:
        error = SubmissionUnknownError(
            f"It may have been accepted: the connection broke, and {because}",
            hint="Check again in a few minutes. Submitting it again could cost twice.",
            may_have_cost=True,
        )
        error.client_request_id = self.row.client_request_id
        return error

    async def _poll(self) -> None:
        wait_first, self._just_accepted = self._just_accepted, False
        watched, not_yet = wait_first, 0.0
        # The wall clock only where an earlier process heard of the acceptance: it may have jumped since a moment ago.
        already = 0.0 if wait_first else max(0.0, time.time() - (self.row.accepted or self.row.created))
        since, unknown_id = time.monotonic(), 0
        retry_after: float | None = None
        while True:
            waited = already + time.monotonic() - since
            expected = self.expected or polling.expect(None)
            if wait_first:  # else it may have been ready for long: asked at once
                await background.pause(polling.next_delay(waited, expected, random.random(), retry_after))
            self._studio.leases.check(self.row.client_request_id)
            if time.monotonic() - since > polling.WATCH_FOR:
                raise stopped(self.row, f"Not ready after {polling.WATCH_FOR / 3600:g} hours.")
            retry_after, wait_first = None, True
            try:
                task = await self._studio.client.retrieve(str(self.row.generation_id))
            except RateLimitError as error:
                retry_after = error.retry_after
                continue
            except ServerError:
                continue
            except InvalidRequestError:
                unknown_id += 1
                if unknown_id >= LOST_AFTER:
                    raise
                continue
            unknown_id = 0
            heard = already + time.monotonic() - since
            took = polling.took(not_yet, heard) if watched and self._clocks_agree(heard) else None
            await self._heard(task, took)
            if task.state == "completed":
                return
            not_yet = heard

    def _clocks_agree(self, elapsed: float) -> bool:
        """Whether the machine neither slept nor set its clock since the acceptance: else nothing is learned from it."""
        return abs(time.time() - (self.row.accepted or 0.0) - elapsed) <= max(2.0, 0.05 * elapsed)

    async def _heard(self, task: Task, took: float | None) -> None:
        news = _news(task)
        if task.state == "completed":
            now = time.time()
            await self._update(
                self._named, status="completed", completed=now, took=took, video_url=task.video_url, **news
            )
        elif task.state == "error":
            name = task.error.name if task.error else "error"
            message = task.error.message if task.error else "The vendor gave no reason."
            await self._update(status="error", error_name=name, error_message=message, completed=time.time(), **news)
            raise GenerationFailedError(
                f"Not made: {message.rstrip('.')} ({name}).",
                vendor_message=message,
                generation_id=self.row.generation_id,
                hint="Not charged.",
            )
        else:
            queued = not task.status or task.status in QUEUED_WORDS
            status = self.row.status if not task.status else "queued" if queued else "generating"
            if status != self.row.status or task.status != self.row.vendor_status:
                await self._update(status=status, **news)

    def _named(self) -> dict[str, Any]:
        return {"video_file": self._studio.video_target(self.row).name}


def stopped(row: Row, why: str) -> StoppedWatchingError:
    """The error for "we stopped asking", which says how to go on."""
    name = row.generation_id or row.client_request_id
    return StoppedWatchingError(why, generation_id=name, hint=f"It goes on at the vendor: kw.resume({name!r}).")


def note_cost(error: KlingError, generation_id: str | None, *, known: bool) -> None:
    """Make an error say that money may have moved, and how to look again.

    Parameters
    ----------
    error
        Perhaps one of the ledger or the workspace, which know nothing of what was sent.
    generation_id
        The vendor's, where there is one.
    known
        Whether it is known to have been accepted, and not only somebody's word.
    """
    error.generation_id, error.may_have_cost = generation_id, True
    error.hint = error.hint.replace(NOTHING_SENT, "").strip()
    if generation_id is not None and not isinstance(error, DownloadError) and "kw.resume" not in error.hint:
        condition = "The clip was accepted and" if known else "If the id is right, the clip"
        goes_on = f"{condition} goes on at the vendor: kw.resume({generation_id!r}) looks again, free of charge."
        error.hint = f"{error.hint} {goes_on}".strip()


def _news(task: Task) -> dict[str, Any]:
    """What an answer says beyond the status, without the silence."""
    told = {
        "vendor_status": task.status or None,
        "credits": task.credits or None,  # 0: not charged yet
        "usd": usd_of(task.usd, task.credits),
        "time_factor": task.time_factor,
    }
    return {name: value for name, value in told.items() if value is not None}
