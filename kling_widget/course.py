"""``Course``: what a generation goes through on the background loop, from submission to saved video.

submitting → queued → generating → completed → saved · rejected · unknown · error. The row is written before the POST
leaves, the id is committed before the first poll, and a submission that may have arrived is looked up, never repeated.
Whether it may have arrived, the studio's `Outbox` knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import background, polling
from .errors import (
    GenerationFailedError,
    InvalidRequestError,
    KlingError,
    RateLimitError,
    ServerError,
    StoppedWatchingError,
    SubmissionUnknownError,
)
from .ledger import FREE_TAKE, LeaseLostError
from .saving import save, show
from .submission import Submission, news_of, note_cost

if TYPE_CHECKING:
    from .ledger import Row
    from .studio import Studio
    from .task import Task
    from .video import Video

QUEUED_WORDS = {"queued", "waiting", "submitted", "pending"}  # vendor's pages; any other word means it is being made
LOST_AFTER = 5  # times in a row the vendor says 404 before we believe that it does not know the id


class Course(Submission):
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

    async def run(self) -> Video:
        """Go all the way, from wherever the ledger says it stands.

        Raises
        ------
        KlingError
            Why there is no video.
        """
        if self._withdrawal is not None:  # the ledger is being told
            await asyncio.wait([self._withdrawal])
            self._withdrawal = None
        fresh = self.is_unsent  # we wrote it a moment ago
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
        just_accepted = False
        if self.row.status == "submitting" and self.is_unsent:
            just_accepted = await self._submit()
        else:
            await background.in_thread(self._studio.renew)  # the key may be why it stopped
        with self._paid_for():
            if self.row.status in ("submitting", "unknown"):
                await self._look_up()  # its answer was lost, or the kernel that submitted it died before it heard it
            if self.row.status != "completed":
                await self._poll(wait_first=just_accepted)
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

    async def _poll(self, *, wait_first: bool) -> None:
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
        news = news_of(task)
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
