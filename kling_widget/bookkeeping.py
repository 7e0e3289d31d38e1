"""``Bookkeeping``: one generation's row as the ledger has it, and what the ledger is told of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import background, pending, polling
from .ledger import FREE_TAKE

if TYPE_CHECKING:
    from pathlib import Path

    from .ledger import Ledger, Row
    from .studio import Studio


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
        await self._take_in(await background.in_thread(self._studio.reread, self.row))

    async def _update(self, **changes: Any) -> Row:
        """Change the row while we hold its lease."""
        key, owner = self.row.client_request_id, self._studio.leases.owner
        return await self._take_in(await background.in_thread(self._ledger.update, key, owner=owner, **changes))

    async def _settle(self, **changes: Any) -> None:
        """Write what became of our submission, also if another process has taken over meanwhile."""
        await self._take_in(await background.in_thread(self._ledger.settle, self.row.client_request_id, **changes))

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
    def _folder(self) -> Path:
        return self._studio.workspace.path

    @property
    def _pace(self) -> float:
        return self.row.time_factor or self._studio.time_factor
