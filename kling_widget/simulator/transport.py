"""The way to the simulator without a network: ASGI behind an `httpx` transport.

`httpx.ASGITransport` waits for the whole answer and knows no broken connections and no timeouts; here answers stream,
drops become the errors that a socket would give, and the read timeout holds. The rest is meant to be as over HTTP:
a request whose caller has gone away is carried out all the same, since a vendor would do so too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx

from kling_widget.simulator.misbehave import DROP_CONNECTION

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

logger = logging.getLogger(__name__)
_END = object()  # the app has returned


class SimulatorTransport(httpx.AsyncBaseTransport):
    """Sends requests to an ASGI app on the event loop of whoever sends them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; the body streams."""
        body = await request.aread()
        exchange = _Exchange(self._app, request, body)
        start = await exchange.next()
        if start is _END or not isinstance(start, dict):
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return httpx.Response(start["status"], headers=start["headers"], stream=exchange)


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer: the app runs as a task and talks through a queue."""

    def __init__(self, app: ASGIApp, request: httpx.Request, body: bytes) -> None:
        self._request = request
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._disconnected = asyncio.Event()
        self._complete = False
        self._task = asyncio.ensure_future(self._run(app))
        _running.add(self._task)  # the loop itself holds tasks weakly only
        self._task.add_done_callback(self._finished)

    async def next(self) -> Any:
        """The app's next message, in time.

        Raises
        ------
        httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError
            As over a socket.
        """
        timeout = self._request.extensions.get("timeout", {}).get("read")
        try:
            message = await asyncio.wait_for(self._messages.get(), timeout)
        except asyncio.TimeoutError as error:
            self._disconnected.set()
            raise httpx.ReadTimeout("The read operation timed out", request=self._request) from error
        except asyncio.CancelledError:
            self._disconnected.set()
            raise
        if isinstance(message, BaseException):
            raise message
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._complete:
            message = await self.next()
            if message is _END:
                raise httpx.RemoteProtocolError(
                    "peer closed connection without sending complete message body", request=self._request
                )
            self._complete = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def aclose(self) -> None:
        """Hang up: the app stops sending."""
        self._disconnected.set()
        if not self._complete:
            self._task.cancel()

    async def _run(self, app: ASGIApp) -> None:
        url = self._request.url
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
            "root_path": "",
            "state": {DROP_CONNECTION: self._drop},
        }
        await app(scope, self._receive, self._messages.put)

    async def _receive(self) -> Message:
        if self._pending:
            return self._pending.pop()
        await self._disconnected.wait()
        return {"type": "http.disconnect"}

    def _drop(self, reset: bool) -> None:
        if reset:
            error: httpx.TransportError = httpx.ReadError("Connection reset by peer", request=self._request)
        else:
            error = httpx.RemoteProtocolError("peer closed the connection", request=self._request)
        self._messages.put_nowait(error)
        self._disconnected.set()

    def _finished(self, task: asyncio.Task[None]) -> None:
        _running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("the simulator failed", exc_info=error)
        self._messages.put_nowait(error or _END)


_running: set[asyncio.Task[None]] = set()
