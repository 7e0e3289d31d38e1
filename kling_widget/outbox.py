"""``Outbox``: which submissions this process has written into the ledger and has certainly not sent.

written → sending → over. Each single exchange is marked just before it leaves; a sure refusal brings it back.
What is not here may have arrived, as far as this process knows, and is looked up: whoever is in doubt leaves it out.
"""

from __future__ import annotations

import enum
import threading

from . import background


class _Stage(enum.Enum):
    WRITTEN = "written"  # nothing that may have arrived has left
    SENDING = "sending"  # it may arrive, and its answer holds the id that is paid for
    WITHDRAWN = "withdrawn"  # never sent, and never will be; the ledger does not know yet


class Outbox:
    """The submissions of one studio in this process, by client request id. From any thread; empty after a fork."""

    def __init__(self) -> None:
        self._begin()
        background.in_child(self._begin)  # what the parent had written is its own to send

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, _Stage] = {}
        self._shared: set[str] = set()
        self._closed = False

    def add(self, key: str, *, shared: bool) -> bool:
        """It is about to be written; False where it was here already, and stays as it is.

        With `shared` another process may be about to write the same key.
        """
        with self._lock:
            if key in self._stages:
                return False
            self._stages[key] = _Stage.WRITTEN
            if shared:
                self._shared.add(key)
            return True

    def discard(self, key: str) -> None:
        """It is over, or not ours."""
        with self._lock:
            self._stages.pop(key, None)
            self._shared.discard(key)

    def holds(self, key: str) -> bool:
        """Whether it is ours to send: written, and certainly not sent."""
        with self._lock:
            return self._stages.get(key) is _Stage.WRITTEN

    def sends(self, key: str) -> bool:
        """Whether it may be arriving now."""
        with self._lock:
            return self._stages.get(key) is _Stage.SENDING

    def leaves(self, key: str) -> bool:
        """Mark it as sent, in the moment before it leaves; False where it must not leave any more."""
        return self._moves(key, _Stage.WRITTEN, _Stage.SENDING)

    def comes_back(self, key: str) -> None:
        """What was sent certainly does not count; or what was withdrawn is wanted again."""
        with self._lock:
            if key in self._stages:
                self._stages[key] = _Stage.WRITTEN

    def withdraw(self, key: str) -> bool:
        """Never send it; False where it is being sent, or not here."""
        return self._moves(key, _Stage.WRITTEN, _Stage.WITHDRAWN)

    def _moves(self, key: str, before: _Stage, after: _Stage) -> bool:
        with self._lock:
            # One lock for both: what `close` has counted among the unsent must not leave a moment later.
            moves = self._stages.get(key) is before and not (self._closed and after is _Stage.SENDING)
            if moves:
                self._stages[key] = after
            return moves

    def close(self) -> list[str]:
        """Let nothing leave from now on; the keys that were never sent, but for those others may have as well."""
        with self._lock:
            self._closed = True
            unsent = {key for key, stage in self._stages.items() if stage is not _Stage.SENDING}
            return sorted(unsent - self._shared)
