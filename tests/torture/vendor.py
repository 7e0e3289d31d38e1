"""The simulated vendor of the long runs: fast, with tiny videos, counting every submission that reached it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kling_widget.simulator import Fault, SimulatorServer, SimulatorSettings
from kling_widget.simulator.records import Recorder
from kling_widget.simulator.simulator import RateLimit

KEY = "sk-test-torture"
FAST = 600.0
"""Times the vendor's speed: a 5 s clip takes 0.3 s."""
TINY = {"long_edge": 64, "fps": 1}
"""Five frames of 64 px: real H.264, made in a few milliseconds."""
LINE = 20_000.0
"""Bytes per second of a download, so that such a small file takes a moment in which it can be interrupted."""


class Counting(Recorder):
    """Counts all submissions by their client request id; the usual recorder forgets old requests."""

    def __init__(self) -> None:
        super().__init__()
        self._counting = threading.Lock()
        self.posts: Counter[str] = Counter()
        self.requests = 0

    def add(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> None:
        """Count, and keep nothing."""
        with self._counting:
            self.requests += 1
            if method == "POST":
                self.posts[headers.get("x-client-request-id", "")] += 1


@contextmanager
def vendor(state: Path | None = None, **settings: Any) -> Iterator[tuple[SimulatorServer, Counting]]:
    """A fast vendor over real HTTP, and its count of requests."""
    chosen = {"time_factor": FAST, **TINY, "api_keys": frozenset({KEY}), "state_dir": state, **settings}
    chosen.setdefault("credits", 10**15)
    server = SimulatorServer(SimulatorSettings(**chosen))
    counting = server.simulator.recorder = Counting()
    # 200 questions a minute is for a vendor whose clips take minutes; here hundreds of lives pass in one.
    server.simulator.log_calls = RateLimit(10**9)
    server.simulator.faults.add(Fault("download", "slow", times=None, bytes_per_second=LINE))
    with server:
        yield server, counting
