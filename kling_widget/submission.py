"""``Submission``: from the ledger's row to the vendor's id, or to the certainty that nobody has one.

The row is written before the POST leaves, and a submission that may have arrived is looked up, never repeated. Whether
it may have arrived, the studio's `Outbox` knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import background, pending, retry
from .bookkeeping import Bookkeeping
from .errors import DownloadError, KlingError, RateLimitError, ServerError, StoppedWatchingError, SubmissionUnknownError
from .kept_pictures import wire_body
from .ledger import withdrawn
from .ledger_transactions import NOTHING_SENT
from .money import usd_of

if TYPE_CHECKING:
    from .body import Body
    from .ledger import Row
    from .studio import Studio
    from .task import Task


class Submission(Bookkeeping):
    """One generation until it is accepted, refused, or left to a person as unknown.

    Parameters
    ----------
    studio, row, on_change
        As of :class:`~kling_widget.bookkeeping.Bookkeeping`.

    Attributes
    ----------
    note
        What it is waiting for, in a sentence; empty else.
    """

    def __init__(self, studio: Studio, row: Row, *, on_change: Callable[[], object]) -> None:
        super().__init__(studio, row, on_change=on_change)
        self.note = ""
        self._stop_wanted = False
        self._withdrawal: asyncio.Task[None] | None = None

    def may_be_cut_off(self) -> bool:
        """Whether it can be cancelled now, that being wanted. What was not sent yet never will be from here on.

        A POST under way is never cut off: its answer holds the id that was paid for.
        """
        if self._withdraw():
            return True
        self._stop_wanted = self._outbox.sends(self.row.client_request_id)
        return not self._stop_wanted

    @property
    def is_unsent(self) -> bool:
        """Whether it has certainly not been sent."""
        return self._outbox.holds(self.row.client_request_id)

    @property
    def is_withdrawn(self) -> bool:
        """Whether it was stopped before it was sent."""
        return self._withdrawal is not None

    async def _submit(self) -> bool:
        """Send it; whether it was accepted. If not, nobody knows yet."""
        key = self.row.client_request_id
        try:
            task = await self._post()
        except SubmissionUnknownError as unknown:
            try:
                await self._settle(status="unknown")
            except KlingError:
                raise unknown from None  # the ledger says "submitting": that is looked up as well
        except KlingError as error:  # certainly refused, or it never left
            with contextlib.suppress(KlingError):  # the first error is the one to tell
                await self._settle(status="rejected", error_name=type(error).__name__, error_message=str(error))
                self._outbox.discard(key)
            self._outbox.comes_back(key)  # where the ledger could not take that in, the next call sends it
            raise
        else:
            self.note = ""
            await self._accepted(task.id, time.time(), task)
        finally:
            self.note = ""
            if self._outbox.sends(key):  # heard and written down; or nobody knows what became of it
                self._outbox.discard(key)
        if self._stop_wanted:
            raise asyncio.CancelledError
        return self.row.status != "unknown"

    async def _post(self) -> Task:
        """Send it, as one of a few at a time: each holds its pictures in memory."""
        async with self._studio.submissions:
            body = await background.in_thread(self._prepared)
            await self._update(lease_until=self._studio.leases.until())  # the last step: the lease is on the disk
            return await self._studio.client.create(
                body, client_request_id=self.row.client_request_id, on_send=self._leaves, on_wait=self._waits
            )

    def _leaves(self) -> None:
        """The last word before a try leaves: from here on it may have arrived."""
        key = self.row.client_request_id
        self._studio.leases.check(key)  # who slept while the vendor was busy: another process may have looked it up
        if not self._outbox.leaves(key):
            raise asyncio.CancelledError  # the process ends

    def _waits(self, _seconds: float) -> None:
        """A try certainly did not count: until the next one leaves it is unsent again, and may be stopped."""
        self._outbox.comes_back(self.row.client_request_id)
        if self._stop_wanted and self._withdraw():
            raise asyncio.CancelledError
        self._say("The server cannot be reached or is busy; trying again.")

    def _withdraw(self) -> bool:
        """Never send it, and say so in the ledger: its take is free again. False where it may have been sent."""
        withdraws = self._outbox.withdraw(self.row.client_request_id)
        if withdraws:
            # In a task of its own: the one that would send it is cancelled, perhaps before its first step.
            self._withdrawal = asyncio.get_running_loop().create_task(self._withdrawn())
        return withdraws

    async def _withdrawn(self) -> None:
        try:
            await self._settle(**withdrawn("It was stopped before it was sent."))
        except KlingError:  # the ledger cannot take that in: it is as it was, and nobody goes on with it
            self._outbox.comes_back(self.row.client_request_id)
        else:
            self._outbox.discard(self.row.client_request_id)

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

    def _say(self, note: str) -> None:
        if note != self.note:
            self.note = note
            self._on_change()

    async def _accepted(self, generation_id: str | None, at: float, task: Task | None) -> None:
        def note() -> dict[str, Any]:
            with contextlib.suppress(OSError):  # the ledger's copy, which follows, is enough
                pending.note_id(self._folder, self.row.client_request_id, str(generation_id))
            return {}

        news = news_of(task) if task else {}
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


def never_sent() -> StoppedWatchingError:
    """The error for what was stopped before it was sent."""
    return StoppedWatchingError("Stopped before it was sent.", hint="Nothing was submitted. Ask for it again any time.")


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


def news_of(task: Task) -> dict[str, Any]:
    """What an answer says beyond the status, without the silence."""
    told = {
        "vendor_status": task.status or None,
        "credits": task.credits or None,  # 0: not charged yet
        "usd": usd_of(task.usd, task.credits),
        "time_factor": task.time_factor,
    }
    return {name: value for name, value in told.items() if value is not None}
