"""The widget's list: which generations it shows, what the front end is told of them, which videos go into its cell.

All of it runs on the background loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import background
from .arrivals import NEWEST
from .entries import entry_of
from .errors import AuthenticationError, KlingError

if TYPE_CHECKING:
    from .generation import Generation
    from .progress import CellOutput
    from .studio import Studio

log = logging.getLogger(__name__)

REFRESH = 0.25  # seconds; at most four updates of the list a second
LONGEST = 60  # generations in the list, the newest; what is under way is followed beyond it. kw.generations() has all


class Listing:
    """The list of a widget, a part of :class:`~kling_widget.KlingWidget`."""

    # What it needs of the widget.
    duration: int
    entries: list[Any]
    estimate: str
    generations: tuple[Generation, ...]
    _studio: Studio
    _show_problem: Callable[[KlingError], None]

    def _begin_list(self) -> None:
        self._outputs: list[CellOutput] = []
        self._in_output: set[str] = set()
        self._stop_listening: dict[str, Callable[[], None]] = {}
        self._stop_arrivals: Callable[[], None] = lambda: None
        self._refreshing = self._ended = False

    def _end_list(self) -> None:
        self._ended = True
        self._stop_arrivals()
        for stop_listening in self._stop_listening.values():
            stop_listening()
        self._stop_listening.clear()
        self._outputs.clear()

    async def _take_up(self) -> None:
        """Show what is under way in the workspace, and go on with it; and the latest videos."""
        if self._studio.has_ledger:
            try:
                await self._show_earlier()
            except KlingError as error:  # such as a database that cannot be reached: said now, not at the first press
                self._show_problem(error)
        self._stop_arrivals()
        if not self._ended:
            self._stop_arrivals = self._studio.arrivals.listen(self._arrived)

    async def _show_earlier(self) -> None:
        recent = await background.in_thread(self._studio.generations, NEWEST)
        under_way = await background.in_thread(self._studio.take_up)
        shown = {generation.key: generation for generation in [*recent, *under_way]}
        for generation in sorted(shown.values(), key=lambda each: each.row.created):
            self._follow(generation, in_output=generation in under_way, news=False)

    def _arrived(self, generation: Generation) -> None:
        """Somebody else asked for it: it belongs in the list, and not in this cell's output."""
        if generation.key not in self._stop_listening:
            self._follow(generation, in_output=False, news=False)

    def _follow(self, generation: Generation, *, in_output: bool = True, news: bool = True) -> None:
        def changed(generation: Generation) -> None:
            self._tell_refusal(generation)
            self._generation_changed(generation)

        if in_output:  # also where the list had it before we knew that we asked for it
            self._in_output.add(generation.key)
        if generation.key not in self._stop_listening:
            self._stop_listening[generation.key] = generation.on_change(changed)
            self.generations = self._shortened((generation, *self.generations))
        if news:  # else the key may have been replaced since
            self._tell_refusal(generation)
        self._generation_changed(generation)

    def _shortened(self, generations: tuple[Generation, ...]) -> tuple[Generation, ...]:
        over = [each for each in generations if not each.active]
        leaving = over[len(over) - max(0, len(generations) - LONGEST) :]
        for generation in leaving:
            self._stop_listening.pop(generation.key)()
        return tuple(each for each in generations if each not in leaving)

    def _tell_refusal(self, generation: Generation) -> None:
        if isinstance(generation.error, AuthenticationError):
            self._show_problem(generation.error)

    def _generation_changed(self, generation: Generation) -> None:
        if generation.video is not None and generation.key in self._in_output:
            for output in self._outputs:
                output.update(generation)
        if not self._refreshing:
            self._refreshing = True
            background.go(self._refresh())

    async def _refresh(self) -> None:
        await asyncio.sleep(REFRESH)
        self._refreshing = False
        self.entries = [entry_of(generation) for generation in self.generations[:LONGEST]]
        await self._refresh_estimate()

    async def _refresh_estimate(self) -> None:
        try:
            self.estimate = await background.in_thread(self._studio.estimate, self.duration)
        except KlingError as error:  # the ledger cannot be read now; whoever presses Generate is told so
            log.warning("no estimate: %s", error)
