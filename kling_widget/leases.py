"""Who goes on with a generation: of all processes on one workspace, the one that holds the lease in its row.

One heartbeat a studio renews all its leases. A lease is taken over when the process that holds it is known to be gone,
or when nobody renewed it for `LEASE` seconds as the watching process's own monotonic clock counts them. The wall clock
decides nothing: it jumps when a laptop wakes or a clock is set.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import platform
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from . import background
from .errors import KlingError

if TYPE_CHECKING:
    from .ledger import Ledger
    from .ledger_row import Row

LEASE = 15.0  # seconds; what a person waits at most until another process goes on for a dead one
BEATS = 3  # renewals in that time: two may be late
LOOK = 1.5  # seconds between two looks at a row that another process goes on with
LOOK_FASTEST = 0.2  # seconds; for simulators that run much faster

log = logging.getLogger(__name__)


class Leases:
    """The leases of one studio. All but `stamped` and `give_up` on the background loop.

    Parameters
    ----------
    ledger
        Gives the ledger, which is opened when it is first needed.
    before_the_end
        What is done when the process ends, while the leases are still ours.
    """

    def __init__(self, ledger: Callable[[], Ledger], before_the_end: Callable[[], object] = lambda: None) -> None:
        self._ledger = ledger
        self._before_the_end = before_the_end
        self._studio = uuid.uuid4().hex[:12]  # known from the start: threads that submit at once must agree on it
        self._beating = background.Service(self._beat)
        self._begin()
        background.in_child(self._begin)
        _all.add(self)

    def _begin(self) -> None:
        """Nothing is held; what a fork's child knows of is held by its parent."""
        self._held: set[str] = set()
        self._seen: dict[str, tuple[tuple[str | None, float | None], float]] = {}
        self._ending = threading.Lock()
        self._ended = False

    @property
    def owner(self) -> str:
        """Us, as leases name us: machine, process, and which studio in it. Another one after a fork."""
        return f"{process_name()}/{self._studio}"

    def stamped(self, row: Row) -> Row:
        """A new row with our lease on it, so that nobody looks up what we are about to submit."""
        return row.with_(lease_owner=self.owner, lease_until=self.until())

    @staticmethod
    def until() -> float:
        """When a lease written now would end, Unix seconds."""
        return time.time() + LEASE

    @staticmethod
    def pause(pace: float) -> float:
        """Seconds between two looks at what another process goes on with, on a provider `pace` times the vendor's."""
        return max(LOOK / pace, LOOK_FASTEST)

    async def claim(self, row: Row) -> Row | None:
        """Take the lease of a row as it was just read, if it is free, ours, or left behind.

        Returns
        -------
        The row as it is now that we have it; None where another process goes on with it.

        Raises
        ------
        KlingError
            The ledger cannot be written.
        """
        owner, key = self.owner, row.client_request_id
        stale = row.lease_owner not in (None, owner) and self._is_stale(row)
        if row.lease_owner not in (None, owner) and not stale:
            return None
        claimed = await background.in_thread(self._claim, row, owner, stale)
        if claimed is None:
            return None
        self._seen.pop(key, None)
        self._hold(key)
        return claimed

    def keep(self, row: Row) -> bool:
        """Go on with a row that this process has just written, our lease on it; False where that is another's by now.

        Costs nothing: whether nobody else has taken it meanwhile is seen by the first change that needs the lease.
        """
        if row.lease_owner != self.owner or self._ended:
            return False
        self._hold(row.client_request_id)
        return True

    def _hold(self, key: str) -> None:
        self._held.add(key)
        self._beating.wake()

    def _claim(self, row: Row, owner: str, stale: bool) -> Row | None:
        # The loop still runs while the process ends: what was given up must not be taken again.
        with self._ending:
            return None if self._ended else self._ledger().claim(row, owner, self.until(), stale=stale)

    async def release(self, client_request_id: str) -> None:
        """Let others go on with it. Where the ledger can't be written the lease runs out by itself."""
        if client_request_id not in self._held:
            return
        self.let_go(client_request_id)
        with contextlib.suppress(KlingError):
            await background.in_thread(self._ledger().release, self.owner, client_request_id)

    def let_go(self, client_request_id: str) -> None:
        """Renew it no more: the row has no lease of ours any longer."""
        self._held.discard(client_request_id)

    def check(self, client_request_id: str) -> None:
        """Raise `LeaseLostError` if another process has taken it over, as far as the last heartbeat knows."""
        if client_request_id not in self._held:
            from .ledger_row import LeaseLostError

            raise LeaseLostError

    def give_up(self) -> None:
        """Release everything, when the process ends."""
        with contextlib.suppress(KlingError):
            self._before_the_end()
        if self._held:
            with self._ending, contextlib.suppress(KlingError):
                self._ended = True
                self._held.clear()
                self._ledger().release(self.owner)

    def _is_stale(self, row: Row) -> bool:
        lease = (row.lease_owner, row.lease_until)
        before, since = self._seen.setdefault(row.client_request_id, (lease, time.monotonic()))
        if before != lease:
            self._seen[row.client_request_id] = lease, time.monotonic()
            since = time.monotonic()
        return time.monotonic() - since >= LEASE or _is_gone(str(row.lease_owner))

    async def _beat(self) -> None:
        while self._held:
            await asyncio.sleep(LEASE / BEATS)
            before = set(self._held)
            try:
                kept = await background.in_thread(self._ledger().renew, self.owner, self.until())
            except KlingError as error:  # e.g. a full disk: the next beat may be luckier, and others see it by then
                log.warning("leases could not be renewed: %s", error)
            else:
                self._held -= before - kept


_all: weakref.WeakSet[Leases] = weakref.WeakSet()


@atexit.register
def _give_up() -> None:
    for leases in list(_all):
        leases.give_up()


def process_name(process: int | None = None) -> str:
    """A process on this machine, by default this one: ``machine/process``."""
    return f"{_machine()}/{process or os.getpid()}"


def machine_name() -> str:
    """This machine, as far as it is known from others."""
    return f"{platform.node()}/{_machine()}"


@lru_cache
def _machine() -> str:
    """This boot of this machine and its space of process numbers; ``?`` where the system has no name for them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()  # Linux: proc(5)
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"  # namespaces(7): containers count processes anew
    except OSError:
        return "?"


def _is_gone(owner: str) -> bool:
    """Whether the process that holds a lease is known to have ended: it ran here, and its number is free."""
    machine, _, rest = owner.partition("/")
    number = rest.partition("/")[0]
    if machine == "?" or machine != _machine() or not number.isdigit():
        return False
    return not Path(f"/proc/{number}").exists()
