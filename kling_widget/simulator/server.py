"""The simulator over real HTTP, on loopback only."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kling_widget.simulator.settings import SimulatorSettings
from kling_widget.simulator.simulator import Simulator

if TYPE_CHECKING:
    import asyncio

    import uvicorn

START_TIMEOUT = 30.0  # seconds, our choice: uvicorn takes a fraction of one, a busy machine a few


class SimulatorServer:
    """A simulator behind uvicorn, in a thread of its own.

    Parameters
    ----------
    settings
        How the simulated vendor behaves.
    port
        TCP port; 0 picks a free one.
    host
        A loopback address: 127.0.0.1 or another of 127/8, or ``localhost``.
    clock
        Gives Unix seconds.

    Attributes
    ----------
    simulator : Simulator
        Its state: requests, tasks, faults.
    url : str
        Where it listens, e.g. ``http://127.0.0.1:8765``.

    Raises
    ------
    ValueError
        `host` is not loopback: whoever reaches the simulator sees prompts and pictures.
    OSError
        The port is taken.

    Examples
    --------
    >>> with SimulatorServer() as server:
    ...     print(server.url)
    """

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
    ) -> None:
        host = _loopback(host)
        # asyncio turns Nagle's algorithm off only where the protocol is named; with it every answer takes 40 ms more.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if sys.platform != "win32":  # there it would let two servers share a port
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        self.simulator = Simulator(settings, clock=clock)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> SimulatorServer:
        """Begin to serve; returns when it does.

        Raises
        ------
        RuntimeError
            It could not be started.
        """
        ready = threading.Event()
        self._server = _make_server(self.simulator, ready)
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            name="kling-simulator",
            daemon=True,
        )
        self._thread.start()
        if not ready.wait(START_TIMEOUT):
            self.stop()
            raise RuntimeError("the simulator did not start")
        return self

    def stop(self) -> None:
        """Stop serving and free the port. May be called twice."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None
        self._socket.close()
        self.simulator.close()

    def __enter__(self) -> SimulatorServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        good = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"the simulator listens on loopback (127.0.0.1) only, not on {host!r}")
    return host


def _make_server(simulator: Simulator, ready: threading.Event) -> uvicorn.Server:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from kling_widget.simulator.misbehave import DROP_CONNECTION

    class DroppableProtocol(H11Protocol):
        """HTTP/1.1 whose requests can break their own connection."""

        def __init__(
            self,
            config: Any,
            server_state: Any,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, {**app_state, DROP_CONNECTION: self.drop_connection}, _loop)

        def drop_connection(self, reset: bool) -> None:
            """RST at once if `reset`, else FIN after what was written."""
            if not reset:
                # Not close(): what of the request is still on its way would be answered with RST.
                self.transport.write_eof()
                return
            # Closing with a linger of zero seconds sends RST instead of FIN (man 7 socket).
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.set()

    return Server(
        uvicorn.Config(
            simulator.app,
            http=DroppableProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,  # the simulator's clock says it
            timeout_graceful_shutdown=1,  # seconds; requests that hang by a fault would wait for long
        )
    )
