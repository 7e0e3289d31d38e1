"""Generations without waiting and without a network: a loop whose clock jumps, and a model of the vendor.

The seams are `background.loop`, `background.in_thread`, and the `time` module as the package's own modules see it.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import httpx

from kling_widget import background
from kling_widget.client import Client
from kling_widget.studio import Studio
from tests.torture.books import Vendor

API = "https://vendor.invalid"


class Clock:
    """What `time` is to the package: the wall clock can be set, and time can pass unseen as it does while a laptop
    sleeps (Linux and macOS stop the monotonic clock then)."""

    def __init__(self) -> None:
        self._steady = 0.0
        self._wall = time.time()
        self._slept = 0.0

    def time(self) -> float:
        """Unix seconds."""
        return self._wall + self._steady

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._steady

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._steady += seconds

    def set(self, seconds: float) -> None:
        """The wall clock is moved by so many seconds."""
        self._wall += seconds

    def sleep(self, seconds: float) -> None:
        """The machine sleeps for so many seconds, while the vendor goes on."""
        self._wall += seconds
        self._slept += seconds

    def vendor(self) -> float:
        """Seconds at the vendor, whatever this machine's clocks do."""
        return self._steady + self._slept


class _Selector(selectors.DefaultSelector):
    """Doesn't wait: the clock jumps to the next timer."""

    clock: Clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("all tasks wait for something that will never come")
        ready = super().select(0)
        if not ready and timeout > 0:
            self.clock.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock."""

    def __init__(self, clock: Clock) -> None:
        selector = _Selector()
        selector.clock = clock
        self._clock = clock
        super().__init__(selector)

    def time(self) -> float:
        """The virtual clock's."""
        return self._clock.monotonic()


class World:
    """A vendor, a workspace, and kernels that come and go on one virtual clock."""

    def __init__(self, folder: Path, clip: bytes) -> None:
        self.clock = Clock()
        self.vendor = Vendor(self.clock, clip)
        self.folder = folder
        self._gone: list[Any] = []
        self.loop = VirtualLoop(self.clock)
        self.studio = self._open()

    def _open(self) -> Studio:
        studio = Studio(api_key="sk-test", base_url=API, workspace=self.folder)
        studio.__dict__["_connected"] = lambda key: Client(key, API, transport=httpx.MockTransport(self.vendor))
        return studio

    def crash(self) -> None:
        """The kernel is gone in the middle of whatever it did; a new one opens the workspace."""
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._gone.append((self.loop, self.studio, asyncio.all_tasks(self.loop)))  # not even cleaned up
        self.loop = VirtualLoop(self.clock)
        self.studio = self._open()

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def close(self) -> None:
        """End all of it."""
        self.crash()
        for loop, studio, tasks in self._gone:
            for task in tasks:
                task.get_coro().close()
            studio.workspace.ledger.close()
            loop.close()
        self.loop.close()

    @contextmanager
    def seams(self) -> Iterator[None]:
        """While this lasts, the package runs on this world's clock and loop."""

        async def inline(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        with (
            mock.patch.object(background, "loop", self._current),
            mock.patch.object(background, "in_thread", inline),
            patched_time(self.clock),
        ):
            yield

    def _current(self) -> VirtualLoop:
        return self.loop


@contextmanager
def patched_time(clock: Clock) -> Iterator[None]:
    """Every module of the package that asks for the time asks this clock."""
    ours = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("kling_widget.") and not name.startswith("kling_widget.simulator")
        if getattr(module, "time", None) is time
    ]
    for module in ours:
        module.time = clock  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in ours:
            module.time = time  # type: ignore[attr-defined]
