"""Carrying out a `Fault` around the ASGI app. What the app does and what the caller sees of it are two things here.

Breaking a connection is not part of ASGI. Servers that can do it (`server.py`, `transport.py`) put a function into
the request's state under `DROP_CONNECTION`; it takes ``reset``: True for RST, False for FIN after what was sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from kling_widget.simulator import files
from kling_widget.simulator.answers import VendorError, error, storage_error

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from kling_widget.simulator.faults import Fault
    from kling_widget.simulator.simulator import Simulator

DROP_CONNECTION = "kling_simulator_drop_connection"
SENTENCES = {  # for `status_code` without a message of its own
    400: "Body validation failed",
    401: "Invalid API key",
    403: "You have run out of credits. Please top up your balance",
    404: "Generation not found",
    429: "Too many requests",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}
GARBAGE = b"\x00\xff<this is no JSON"
HTML = b"<!doctype html><title>Please wait</title><h1>Checking your browser</h1>"
EXTRA_LENGTH = 1000  # bytes `wrong_length` announces and never sends


class Exchange:
    """One request: the app that answers it, and the ways to and from the caller."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, caller: Receive) -> None:
        self.app = app
        self.scope = scope
        self.receive = receive
        self.send = send
        self.caller = caller  # the server's own receive: tells when the caller goes away

    async def run(self, send: Send) -> None:
        """Let the app answer to `send`."""
        await self.app(self.scope, self.receive, send)

    async def capture(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Let the app answer unseen: status, headers, body."""
        status, headers, parts = 500, [], []

        async def keep(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                parts.append(message.get("body", b""))

        await self.run(keep)
        return status, headers, b"".join(parts)

    async def reply(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer with this; the length is set to fit."""
        kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        kept.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": kept})
        await self.send({"type": "http.response.body", "body": body})

    async def drop(self, *, reset: bool) -> None:
        """Break the connection."""
        await break_connection(self.scope, self.caller, reset=reset)


async def break_connection(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Break the connection of this request and wait until the server has noticed.

    Raises
    ------
    RuntimeError
        The ASGI server doesn't offer it.
    """
    drop = scope.get("state", {}).get(DROP_CONNECTION)
    if drop is None:
        raise RuntimeError("this server cannot break connections: use SimulatorServer or Simulator.transport()")
    drop(reset)
    while (await receive())["type"] != "http.disconnect":
        pass


async def misbehave(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    """Answer the request the way the fault says."""
    await _WAYS[fault.kind](fault, exchange, simulator)


async def _status_code(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    if fault.accepted:
        await exchange.capture()
    message = fault.message or SENTENCES.get(fault.code, "Error")
    if fault.where == "download":
        response = storage_error("InternalError" if fault.code >= 500 else "AccessDenied", message, fault.code)
        if fault.retry_after is not None:
            response.headers["retry-after"] = str(fault.retry_after)
        await response(exchange.scope, exchange.receive, exchange.send)
        return
    headers = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
    await _refuse(VendorError(fault.code, message, headers), exchange, simulator)


async def _refuse(problem: VendorError, exchange: Exchange, simulator: Simulator) -> None:
    from starlette.requests import Request

    response = error(Request(exchange.scope), problem, now=simulator.clock(), request_id=simulator.next_request_id())
    await response(exchange.scope, exchange.receive, exchange.send)


async def _drop_after(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await exchange.capture()
    await exchange.drop(reset=fault.reset)


async def _hang(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    answer = await exchange.capture() if fault.accepted else None
    if await _gone(exchange.caller, fault.seconds):
        return
    if answer is None:
        await exchange.drop(reset=True)
    else:
        await exchange.reply(*answer)


async def _gone(receive: Receive, seconds: float) -> bool:
    """Wait; True as soon as the caller has gone away."""

    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    try:
        await asyncio.wait_for(disconnected(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


async def _empty(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    status, _, _ = await exchange.capture()  # without headers: they could carry the id
    await exchange.reply(status, [], b"")


async def _garbage(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    status, _, _ = await exchange.capture()
    await exchange.reply(status, [(b"content-type", b"application/json")], GARBAGE)


async def _edit(exchange: Exchange, changes: dict[str, Any], *, drop_header: bool = False) -> None:
    """Carry out the request and change fields of the answer's JSON; None takes a field away."""
    status, headers, body = await exchange.capture()
    if status < 300:
        fields = json.loads(body) | changes
        body = json.dumps({name: value for name, value in fields.items() if name not in changes or value}).encode()
        if drop_header:
            headers = [(name, value) for name, value in headers if name != b"x-inference-id"]
    await exchange.reply(status, headers, body)


async def _no_id(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await _edit(exchange, {"id": None, "generation_id": None}, drop_header=True)


async def _header_id(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await _edit(exchange, {"id": None, "generation_id": None})


async def _word(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await _edit(exchange, {"status": fault.word})


async def _lost(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await _refuse(VendorError(404, SENTENCES[404]), exchange, simulator)


async def _html(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await exchange.reply(200, [(b"content-type", b"text/html; charset=utf-8")], HTML)


async def _expired(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await files.expired()(exchange.scope, exchange.receive, exchange.send)


async def _clip(exchange: Exchange, announce: Callable[[int], int], deliver: Callable[[int], int]) -> None:
    """Answer with another length than the body has; break the connection where less is delivered than announced."""
    left, complete = 0, True

    async def send(message: Message) -> None:
        nonlocal left, complete
        if message["type"] == "http.response.start":
            headers = dict(message["headers"])
            length = int(headers[b"content-length"])
            left, complete = deliver(length), announce(length) == deliver(length)
            headers[b"content-length"] = str(announce(length)).encode()
            await exchange.send({**message, "headers": list(headers.items())})
            return
        part = message.get("body", b"")[:left]
        left -= len(part)
        if part:
            await exchange.send({"type": "http.response.body", "body": part, "more_body": True})

    await exchange.run(send)
    if complete:
        await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})
    else:
        await exchange.drop(reset=False)


async def _drop_midway(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await _clip(exchange, announce=lambda length: length, deliver=lambda length: length // 2)


async def _truncated(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await _clip(exchange, announce=lambda length: length // 2, deliver=lambda length: length // 2)


async def _wrong_length(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    await _clip(exchange, announce=lambda length: length + EXTRA_LENGTH, deliver=lambda length: length)


async def _slow(fault: Fault, exchange: Exchange, simulator: Simulator) -> None:
    step = max(1, int(fault.bytes_per_second / 10))  # ten small parts a second rather than one large

    async def send(message: Message) -> None:
        body = message.get("body", b"")
        for start in range(0, len(body), step):
            part = body[start : start + step]
            await asyncio.sleep(len(part) / fault.bytes_per_second)
            await exchange.send({"type": "http.response.body", "body": part, "more_body": True})
        await exchange.send({**message, "body": b""} if body else message)

    await exchange.run(send)


_WAYS: dict[str, Callable[[Fault, Exchange, Simulator], Awaitable[None]]] = {
    "status_code": _status_code,
    "drop_after": _drop_after,
    "drop_midway": _drop_midway,
    "hang": _hang,
    "empty": _empty,
    "garbage": _garbage,
    "slow": _slow,
    "wrong_length": _wrong_length,
    "no_id": _no_id,
    "header_id": _header_id,
    "word": _word,
    "lost": _lost,
    "html": _html,
    "truncated": _truncated,
    "expired": _expired,
}
