"""``Bookkeeping``: one generation's row as the ledger has it, and what the ledger is told of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import background, pending, polling
from .ledger import FREE_TAKE, NoSuchRowError

if TYPE_CHECKING:
    from pathlib import Path

    from .ledger import Ledger, Row
    from .outbox import Outbox
    from .studio import Studio


Step = Callable[[], Mapping[str, Any]]  # blocks; gives changes of the row


class Bookkeeping:
    """A row, and its changes.

    Parameters
    ----------
    studio
        Workspace and leases.
    row
        The ledger's row.
    on_change
        Called on the background loop after every change, also one that another process made.
    """

    def __init__(self, studio: Studio, row: Row, *, on_change: Callable[[], object]) -> None:
        self.row = row
        self.expected: polling.Expectation | None = None
        self._studio = studio
        self._on_change = on_change

    async def _reread(self) -> None:
        def look() -> Row:
            row = self._ledger.get(self.row.client_request_id)
            if row is None and self.row.status not in FREE_TAKE:
                self._put_back()
            return row or self.row

        await self._take_in(await background.in_thread(look))

    async def learn(self, **facts: Any) -> None:
        """Take in what was found out elsewhere, e.g. what it cost."""
        await self._write(lambda: self._ledger.update(self.row.client_request_id, **facts))

    async def _update(self, first: Step = dict, **changes: Any) -> Row:
        """Change the row while we hold its lease. `first` is done just before, beside the loop; it may give changes."""
        key, owner = self.row.client_request_id, self._studio.leases.owner
        return await self._write(lambda: self._ledger.update(key, owner=owner, **{**changes, **first()}))

    async def _settle(self, first: Step = dict, **changes: Any) -> None:
        """Write what became of our submission, also if another process has taken over meanwhile. `first` as above."""
        key = self.row.client_request_id
        await self._write(lambda: self._ledger.settle(key, **{**changes, **first()}))

    async def _write(self, change: Callable[[], Row]) -> Row:
        def write() -> Row:
            try:
                return change()
            except NoSuchRowError:
                self._put_back()
                return change()

        return await self._take_in(await background.in_thread(write))

    def _put_back(self) -> None:
        """What is under way must not end with its workspace, which was deleted or moved: this is the last copy."""
        self._ledger.put_back(self.row)
        if self.row.saved is None:
            with contextlib.suppress(OSError):  # the ledger's copy is enough
                pending.write(self._folder, self.row)

    async def _take_in(self, row: Row) -> Row:
        before, self.row = self.row, row
        if row.time_factor != before.time_factor:
            self.expected = await background.in_thread(self._studio.expectation, row)
        if row.status in FREE_TAKE and before.status not in FREE_TAKE:
            with contextlib.suppress(OSError):  # what is left there does no harm
                await background.in_thread(pending.remove, self._folder, row.client_request_id)
        if (row.usd, row.took) != (before.usd, before.took):
            self._studio.account.learned()
        if row != before:
            self._on_change()
        return row

    @property
    def _ledger(self) -> Ledger:
        return self._studio.workspace.ledger

    @property
    def _outbox(self) -> Outbox:
        return self._studio.orders.outbox

    @property
    def _folder(self) -> Path:
        return self._studio.workspace.path

    @property
    def _pace(self) -> float:
        return self.row.time_factor or self._studio.time_factor
