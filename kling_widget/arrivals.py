"""What another kernel, another tab or a line of Python asks for, which belongs in every list shown here.

SQLite tells nobody of news: one look every few seconds at the newest rows, for all lists of a studio together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import background
from .errors import KlingError

if TYPE_CHECKING:
    from .generation import Generation
    from .studio import Studio

LOOK = 2.0  # seconds; ours: soon enough for a person who looks from one window to the other, and next to no work
NEWEST = 6  # rows a look reads: what a list shows when it opens

Listener = Callable[["Generation"], object]

log = logging.getLogger(__name__)


class Arrivals:
    """Tells its listeners of every generation that is new in the studio's workspace, whoever asked for it.

    Parameters
    ----------
    studio
        Whose workspace and provider.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._listeners: list[Listener] = []
        self._looking = background.Service(self._look)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(generation)` on the background loop, at times more than once; returns what ends that."""
        background.call(self._add, listener)
        return lambda: background.call(self._remove, listener)

    def _add(self, listener: Listener) -> None:
        self._listeners.append(listener)
        self._looking.wake()

    def _remove(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def _look(self) -> None:
        while self._listeners:
            try:
                newest = await background.in_thread(self._studio.newest, NEWEST)
            except KlingError as error:  # locked, or a full disk: the next look may be luckier
                log.warning("the ledger could not be read: %s", error)
                newest = []
            for generation in reversed(newest):
                for listener in list(self._listeners):
                    listener(generation)
            await asyncio.sleep(LOOK)
