"""The short run of `make torture`'s broken network, and the relay's own promise: it does harm where it says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.torture import cuts, relay
from tests.torture.relay import Fate, Relay

GENERATIONS = 30


def test_nothing_paid_for_is_lost_or_paid_twice_when_the_network_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print()
        result = cuts.run(GENERATIONS, seed=20260823, folder=tmp_path, tell=_last_line_only)
    assert result.submissions == GENERATIONS
    assert result.accepted >= GENERATIONS / 2, "the run did not do what it is for"
    assert result.good, result


def _last_line_only(line: str) -> None:
    if line.startswith(("cuts", "wrong")):
        print(line)


@pytest.fixture
def echo() -> Iterator[int]:
    """A server on this port that sends back what it gets, for one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with closing(connection):
                try:
                    while data := connection.recv(1000):
                        connection.sendall(data)
                except ConnectionError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)
        assert not thread.is_alive(), "the relay kept the connection to the server open"


@pytest.mark.parametrize(
    ("fate", "back", "broken"),
    [
        (Fate("none"), 100, False),
        (Fate("delay", upstream=True, after=10, seconds=0.05), 100, False),
        (Fate("truncate", upstream=True, after=10), None, False),
        (Fate("truncate", after=33), 33, False),
        (Fate("reset", after=0), 0, True),
        (Fate("reset", upstream=True, after=10), None, True),
        (Fate("stall", after=5), 5, False),
    ],
    ids=lambda value: f"{value.harm}-{value.after}" if isinstance(value, Fate) else None,
)
def test_the_relay_breaks_a_connection_at_the_byte_it_says(
    echo: int, monkeypatch: pytest.MonkeyPatch, fate: Fate, back: int | None, broken: bool
) -> None:
    monkeypatch.setattr(relay, "draw", lambda chance, early: fate)
    monkeypatch.setattr(relay, "SILENCE", 0.2)
    with Relay(echo, seed=1, early=1.0) as between:
        port = int(between.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            got, reset = _exchange(connection, b"x" * 100)
    assert reset == broken
    if back is not None:
        assert got == back


def _exchange(connection: socket.socket, data: bytes) -> tuple[int, bool]:
    """Bytes that came back, and whether the connection was reset."""
    got = 0
    try:
        connection.sendall(data)
        while got < len(data) and (part := connection.recv(1000)):
            got += len(part)
    except ConnectionError:
        return got, True
    return got, False
