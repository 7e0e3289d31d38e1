"""A simulator over real HTTP, fast, and a workspace of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kling_widget import Studio
from kling_widget.simulator import SimulatorServer, SimulatorSettings

KEY = "sk-test-wire"
FAST = 600.0
"""Times the vendor's speed: a 5 s clip takes 0.3 s, and its rendering at 160 px hardly longer."""

Serve = Callable[..., SimulatorServer]


@pytest.fixture(params=["file", "postgres"])
def each_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test with its ledger in the workspace, and again on a server, also for the processes it starts."""
    if request.param == "postgres":
        monkeypatch.setenv("KLING_WIDGET_DATABASE", request.getfixturevalue("postgres_url"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a simulator with these settings; it ends with the test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> SimulatorServer:
            chosen = {"time_factor": FAST, "long_edge": 160, "fps": 8, "api_keys": frozenset({KEY}), **settings}
            return stack.enter_context(SimulatorServer(SimulatorSettings(**chosen)))

        yield start


@pytest.fixture
def server(serve: Serve) -> SimulatorServer:
    """A simulator without peculiarities."""
    return serve()


@pytest.fixture
def studio(server: SimulatorServer, tmp_path: Path) -> Studio:
    """A studio on that simulator."""
    return studio_on(server, tmp_path)


def studio_on(server: SimulatorServer, folder: Path) -> Studio:
    """A studio as a new process would have it: nothing but the workspace is shared with an earlier one."""
    return Studio(api_key=KEY, base_url=server.url, workspace=folder / "clips")


@asynccontextmanager
async def another_task(pause: float) -> AsyncIterator[Callable[[], int]]:
    """A task of the same loop that does something every `pause` seconds; says how often it has."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(pause)

    ticking = asyncio.create_task(tick())
    try:
        yield lambda: ticks
    finally:
        ticking.cancel()


def submissions(server: SimulatorServer) -> list[Any]:
    """The POSTs that reached the server."""
    return [request for request in server.simulator.requests if request.method == "POST"]
