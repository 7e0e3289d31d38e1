"""``Orders``: a studio's way into the ledger for what is to be paid for: one row, written before anything is sent."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .errors import KlingError
from .outbox import Outbox
from .rules import Take, checked_take

if TYPE_CHECKING:
    from .generation import Generation
    from .ledger_row import Row
    from .prepare import Prepared
    from .request import ImageToVideoRequest
    from .studio import Studio


log = logging.getLogger(__name__)


class Orders:
    """Writes down what is asked for, exactly once, and lets it begin.

    Parameters
    ----------
    studio
        Ledger, money and generations.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        # Kept here and not by whoever asked: a widget that opens in this moment finds the row, and must not take it for
        # a submission cut off.
        self.outbox = Outbox()

    def place_prepared(self, prepared: Prepared, take: Take, budget: float | None, *, free: bool = False) -> Generation:
        """As :meth:`place`, of a request with the pictures that belong to it."""
        from .prepare import facts_of

        facts = {name: facts_of(picture) for name, picture in prepared.pictures.items()}
        return self.place(prepared.request, facts, take, budget, free=free)

    def place(
        self,
        request: ImageToVideoRequest,
        pictures: Mapping[str, Any],
        take: Take,
        budget: float | None,
        *,
        free: bool = False,
        client_request_id: str | None = None,
        notebook: str | None = None,
    ) -> Generation:
        """Write the ledger's row and start; or return the generation that is there already.

        Parameters
        ----------
        request
            What to make.
        pictures
            What the ledger keeps of its pictures, which are in the workspace, by field.
        take, budget
            As of :meth:`Studio.submit`.
        free
            Whether :meth:`Studio.held` has just said that nobody asked for it.
        client_request_id
            The submission's own name. Given twice it is one submission, also as a new take.
        notebook
            Where it is asked for; by default in this process.

        Raises
        ------
        KlingError
            Nothing was submitted.
        """
        from . import new_rows

        take = checked_take(take)
        studio = self._studio
        row = new_rows.asked_for(
            request, pictures, take, provider=studio.provider,
            time_factor=studio.time_factor if studio.simulated else None,
            client_request_id=client_request_id, notebook=notebook,
        )  # fmt: skip
        return self._place(row, budget, new_take=take == "new", free=free, shared=client_request_id is not None)

    def place_again(self, generation: Generation, budget: float | None = None, *, new_take: bool = True) -> Generation:
        """Submit an earlier request once more; as a new take it may be paid twice if the first one was accepted.

        Parameters
        ----------
        generation
            The earlier one.
        budget
            As of :meth:`Studio.submit`.
        new_take
            False for one that was refused, and so gave its take back.

        Raises
        ------
        KlingError
            Nothing was submitted.
        """
        from . import new_rows

        return self._place(new_rows.asked_for_again(generation.row), budget, new_take=new_take)

    def end(self) -> None:
        """The process ends: what it has not sent never will be, and whoever asks for it the next time submits it."""
        from . import pending

        unsent, workspace = self.outbox.close(), self._studio.workspace
        if unsent:
            workspace.ledger.withdraw(self._studio.leases.owner, unsent, "Python ended before it was sent.")
            for key in unsent:
                with contextlib.suppress(OSError):  # what is left there does no harm
                    pending.remove(workspace.path, key)
            log.warning(
                "Python ended before everything was sent: %d left, nothing was charged for it. The same call sends it; "
                ".wait() or await stays until it is there.",
                len(unsent),
            )

    def _place(
        self, row: Row, budget: float | None, *, new_take: bool, free: bool = False, shared: bool = False
    ) -> Generation:
        studio = self._studio
        row, ours = self._write(row, budget, new_take=new_take, free=free, shared=shared)
        if ours:
            studio.account.balance = None  # no longer what it was
        return studio.go_on(row)

    def _write(self, row: Row, budget: float | None, *, new_take: bool, free: bool, shared: bool) -> tuple[Row, bool]:
        """Write the row with our lease on it: nobody may look up what we are about to submit."""
        studio, key = self._studio, row.client_request_id
        check = studio.account.check(row, budget)
        added = self.outbox.add(key, shared=shared)
        # Where Ctrl-C comes just after the commit the row is there, and still unsent: the same call then sends it.
        # Under a key that another process has, too, the row may be that one's.
        ours = not shared
        try:
            stamped = studio.leases.stamped(row)
            held, ours = studio.workspace.ledger.admit(stamped, new_take=new_take, free=free, check=check)
            return held, ours
        except KlingError:
            ours = False  # it may be there: then it is looked up, like what a killed process has left
            raise
        finally:
            if added and not ours:
                self.outbox.discard(key)
