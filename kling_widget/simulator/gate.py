"""The door of the simulator: every request is recorded here, and meets its fault, if one is planned."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING

from kling_widget.simulator.files import PREFIX as FILES
from kling_widget.simulator.misbehave import Exchange, break_connection, misbehave

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from kling_widget.simulator.simulator import Simulator

CONTROL = "/_simulator/"
GENERATION_PATHS = ("/v2/generate/video/kling/generation", "/v2/video/generations")  # aimlapi.md §1 and §2


def place(method: str, path: str) -> str | None:
    """Which call of the API this is, in the words of `Fault.where`; None for none of them."""
    if path in GENERATION_PATHS:
        return {"POST": "submit", "GET": "retrieve"}.get(method)
    if path.startswith(FILES):
        return "download"
    if path.startswith("/v2/billing"):
        return "billing"
    return "logs" if path == "/v2/logs" else None


class Gate:
    """ASGI middleware around the API."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self.app = app
        self.simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record the request, then let it pass or go wrong."""
        from starlette.requests import Request

        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self.app(scope, receive, send)
            return
        send = _dated(send, self.simulator.clock)
        request = Request(scope)
        where = place(request.method, request.url.path)
        fault = None
        if where is not None and len(self.simulator.faults):
            fault = self.simulator.faults.take(where, self._generation_id(request))
        if fault is not None and fault.kind == "drop_before":
            self._record(request, b"")
            await break_connection(scope, receive, reset=fault.reset)
            return
        body = await _read(receive)
        if body is None:
            return  # the caller went away while sending
        self._record(request, body)
        exchange = Exchange(self.app, scope, _replay(body, receive), send, receive)
        if fault is None:
            await exchange.run(send)
        else:
            await misbehave(fault, exchange, self.simulator)

    def _record(self, request: Request, body: bytes) -> None:
        self.simulator.recorder.add(request.method, request.url.path, request.query_params, dict(request.headers), body)

    def _generation_id(self, request: Request) -> str | None:
        if request.url.path.startswith(FILES):
            task = self.simulator.store.find(request.url.path[len(FILES) :].removesuffix(".mp4"))
            return task.id if task else None
        return request.query_params.get("generation_id")


def _dated(send: Send, clock: Callable[[], float]) -> Send:
    """A `send` whose answers carry the vendor's time (RFC 9110: a server with a clock sends it)."""

    async def dated(message: Message) -> None:
        if message["type"] == "http.response.start":
            date = (b"date", formatdate(clock(), usegmt=True).encode())
            message = {**message, "headers": [*message["headers"], date]}
        await send(message)

    return dated


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when the connection ended before."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, then goes on as before."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
