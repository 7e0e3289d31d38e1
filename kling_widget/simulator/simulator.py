"""`Simulator`: the state of the simulated vendor, and the ways to talk to it."""

from __future__ import annotations

import itertools
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from kling_widget.simulator.accounts import LOGS_PER_MINUTE
from kling_widget.simulator.faults import FaultPlan
from kling_widget.simulator.records import RecordedRequest, Recorder
from kling_widget.simulator.settings import SimulatorSettings
from kling_widget.simulator.store import Store
from kling_widget.simulator.tasks import SimulatedTask

if TYPE_CHECKING:
    import httpx
    from starlette.applications import Starlette

IN_PROCESS_URL = "http://simulator.invalid"  # RFC 2606: a name that never resolves, should it get out


class Simulator:
    """The vendor, simulated. Bound to no event loop; safe to use from several loops and threads at once.

    Parameters
    ----------
    settings
        How it behaves; the defaults if None.
    clock
        Gives Unix seconds. Wall clock time, since tasks outlive the process.

    Attributes
    ----------
    faults : FaultPlan
        What shall go wrong: ``simulator.faults.add(Fault("submit", "hang"))``, ``.clear()``.
    """

    def __init__(self, settings: SimulatorSettings | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings if settings is not None else SimulatorSettings()
        self.clock = clock
        self.faults = FaultPlan()
        self.recorder = Recorder()
        self.log_calls = RateLimit(LOGS_PER_MINUTE)
        self.store = Store(self.settings)
        self._request_numbers = itertools.count()

    @cached_property
    def app(self) -> Starlette:
        """The ASGI app. Serve it with `SimulatorServer`, which can also break connections."""
        from kling_widget.simulator.app import build_app

        return build_app(self)

    def transport(self) -> httpx.AsyncBaseTransport:
        """A transport that reaches this simulator without a network, under ``http://simulator.invalid``."""
        from kling_widget.simulator.transport import SimulatorTransport

        return SimulatorTransport(self.app)

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests so far, oldest first, keys masked."""
        return self.recorder.list()

    @property
    def tasks(self) -> list[SimulatedTask]:
        """All accepted generations, oldest first."""
        return self.store.tasks()

    def next_request_id(self) -> str:
        """The vendor's id for one request, as error bodies carry it."""
        chance = random.Random(f"{self.settings.seed}:request:{next(self._request_numbers)}")
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))

    def close(self) -> None:
        """Let the render threads go and remove temporary files. A `state_dir` stays."""
        self.store.close()

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class RateLimit:
    """At most so many calls in any minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._calls: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Whether one more call is within the limit at `now` (seconds); counts it if so."""
        with self._lock:
            while self._calls and self._calls[0] <= now - 60:
                self._calls.popleft()
            if len(self._calls) >= self._per_minute:
                return False
            self._calls.append(now)
            return True
