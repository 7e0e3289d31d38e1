"""The kernel's end of the stand-in: a kernel, a websocket to the page, and the host's rules in between."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from scripts.kernels import jupyter_path
from tests import kernel_sockets
from tests.e2e.notebook import CELL_TIMEOUT, CellFailed
from tests.e2e.standin.rules import Rules

OUTPUTS = ("display_data", "execute_result", "stream", "error")


@dataclass(frozen=True)
class Dropped:
    """A message that was too large."""

    towards: str
    size: int


class Bridge:
    """One kernel for one page at a time; all of it runs on a loop of its own, so that tests may block.

    Attributes
    ----------
    url
        Of the page.
    dropped
        What the limit kept from arriving.
    strays
        Paths asked of the web server that a host would not have: whatever a page tries to load by a relative address.
    """

    def __init__(self, rules: Rules, pages: Mapping[str, tuple[str, bytes]]) -> None:
        self.rules = rules
        self.pages = pages
        self.dropped: list[Dropped] = []
        self.strays: list[str] = []
        self.socket: _Socket | None = None
        self._states: dict[str, dict[str, Any]] = {}
        self._cells: dict[str, int] = {}
        self._idle: dict[str, asyncio.Event] = {}
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    # From the test's thread

    def start(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Start the web server, and a kernel in `folder`."""
        self._thread.start()
        self._call(self._start(folder, environment))

    def stop(self) -> None:
        """End both."""
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CELL_TIMEOUT)

    def run(self, code: str) -> int:
        """Run a cell to its end and return its number. Raises `CellFailed` if it raised."""
        return self._call(self._run(code))

    def evaluate(self, expression: str) -> Any:
        """The value of a Python expression in the kernel; it must be JSON."""
        return self._call(self._evaluate(expression))

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(2 * CELL_TIMEOUT)

    # On the loop

    async def _start(self, folder: Path, environment: Mapping[str, str]) -> None:
        handlers = [("/kernel", _Socket, {"bridge": self}), ("/(.*)", _Pages, {"bridge": self})]
        self._server = HTTPServer(Application(handlers, websocket_max_message_size=2**28))
        sockets = bind_sockets(0, "127.0.0.1")
        self._server.add_sockets(sockets)
        self.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
        kernels = [str(Path(path, "kernels")) for path in jupyter_path().split(os.pathsep)]
        specs = KernelSpecManager(kernel_dirs=kernels)  # and the native one
        self._manager = AsyncKernelManager(
            config=kernel_sockets.one_kernel(), kernel_name=self.rules.kernel, kernel_spec_manager=specs
        )
        await self._manager.start_kernel(cwd=str(folder), env=dict(environment))
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=CELL_TIMEOUT)
        self._pumps = [asyncio.ensure_future(self._pump_iopub()), asyncio.ensure_future(self._pump_shell())]
        if self.rules.first:
            await self._run(self.rules.first)

    async def _stop(self) -> None:
        for pump in self._pumps:
            pump.cancel()
        self._client.stop_channels()
        await self._manager.shutdown_kernel(now=True)
        self._server.stop()

    async def _run(self, code: str) -> int:
        request = self._client.execute(code, allow_stdin=False)
        number = self._cells[request] = len(self._cells)
        reply = await self._answer(request)
        if reply["status"] == "error":
            raise CellFailed("\n".join(reply["traceback"]))
        return number

    async def _evaluate(self, expression: str) -> Any:
        wanted = {"value": f"__import__('json').dumps({expression})"}
        reply = await self._answer(self._client.execute("", user_expressions=wanted, store_history=False))
        said = reply["user_expressions"]["value"]
        if said["status"] == "error":
            raise CellFailed("\n".join(said["traceback"]))
        return json.loads(eval(said["data"]["text/plain"]))  # the repr of a string

    async def _answer(self, request: str) -> dict[str, Any]:
        self._replies[request], self._idle[request] = self._loop.create_future(), asyncio.Event()
        reply = await asyncio.wait_for(self._replies[request], CELL_TIMEOUT)
        await asyncio.wait_for(self._idle[request].wait(), CELL_TIMEOUT)
        return reply

    async def _pump_shell(self) -> None:
        while True:
            message = await self._client.get_shell_msg(timeout=None)
            reply = self._replies.get(message["parent_header"].get("msg_id", ""))
            if reply is not None and not reply.done():
                reply.set_result(message["content"])

    async def _pump_iopub(self) -> None:
        while True:
            message = await self._client.get_iopub_msg(timeout=None)
            kind, content = message["msg_type"], message["content"]
            parent = message["parent_header"].get("msg_id", "")
            if kind == "status" and content["execution_state"] == "idle" and parent in self._idle:
                self._idle[parent].set()
            elif kind in OUTPUTS and parent in self._cells:
                cell = self._cells[parent]
                self._tell({"to": self._frame(cell), "do": "output", "cell": cell, **_output(content)})
            elif kind == "update_display_data":
                self._tell({"to": "*", "do": "update", **_output(content)})
            elif kind.startswith("comm_"):
                self._from_kernel(kind, content, [bytes(buffer) for buffer in message.get("buffers", [])])

    def _frame(self, cell: int) -> str:
        return f"cell-{cell}" if self.rules.frames == "cell" else "notebook"

    def _from_kernel(self, kind: str, content: dict[str, Any], buffers: list[bytes]) -> None:
        comm, data = content["comm_id"], content.get("data", {})
        if kind == "comm_open":
            self._states[comm] = dict(data["state"])
            if self.rules.state == "opened":
                self._tell({"to": "notebook", "do": "opened", "comm": comm, "data": data}, buffers)
        elif kind == "comm_close":
            self._tell({"to": "*", "do": "closed", "comm": comm})
        elif self._fits("frame", data, buffers):
            if "state" in data:
                self._states[comm].update(data["state"])
            self._tell({"to": "*", "do": "message", "comm": comm, "data": data}, buffers)

    def from_page(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        """What a frame wants of the kernel, or of the host."""
        comm, value = message["comm"], {}
        if message["do"] == "state":
            value = {"state": self._states[comm]}
        elif message["do"] == "close":
            self._send("comm_close", {"comm_id": comm, "data": {}}, [])
        elif self._fits("kernel", message["data"], buffers):
            if "state" in message["data"]:
                self._states[comm].update(message["data"]["state"])
            self._send("comm_msg", {"comm_id": comm, "data": message["data"]}, buffers)
        self._tell({"to": message["from"], "do": "answer", "ask": message["ask"], "value": value})

    def _send(self, kind: str, content: dict[str, Any], buffers: list[bytes]) -> None:
        session = self._client.session
        session.send(self._client.shell_channel.socket, session.msg(kind, content), buffers=buffers)

    def _fits(self, towards: str, data: Any, buffers: list[bytes]) -> bool:
        size = len(json.dumps(data)) + sum(map(len, buffers))
        if size >= self.rules.limit:
            self.dropped.append(Dropped(towards, size))
        return size < self.rules.limit

    def _tell(self, message: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        if self.socket is not None:
            buffers = buffers or []
            line = json.dumps({**message, "sizes": [len(buffer) for buffer in buffers]})
            self.socket.write_message(b"".join([line.encode(), b"\n", *buffers]), binary=True)


def _output(content: dict[str, Any]) -> dict[str, Any]:
    said = content.get("text") or "\n".join(content.get("traceback", []))
    output = {"data": content.get("data") or {"text/plain": said}, "metadata": content.get("metadata", {})}
    return {"display": content.get("transient", {}).get("display_id"), "output": output}


class _Socket(WebSocketHandler):
    def initialize(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def open(self, *_: str) -> None:
        self.bridge.socket = self

    def on_close(self) -> None:
        if self.bridge.socket is self:
            self.bridge.socket = None

    def on_message(self, whole: str | bytes) -> None:
        assert isinstance(whole, bytes)
        line, _, rest = whole.partition(b"\n")
        message, buffers = json.loads(line), []
        for size in message.pop("sizes"):
            buffers.append(rest[:size])
            rest = rest[size:]
        self.bridge.from_page(message, buffers)


class _Pages(RequestHandler):
    def initialize(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def get(self, path: str) -> None:
        page = self.bridge.pages.get(path)
        if page is None:
            # Only browsers say what they fetch for. Others may still ask whom they knew under this port before us.
            if "Sec-Fetch-Dest" in self.request.headers:
                self.bridge.strays.append(path)
            self.send_error(404)
            return
        kind, content = page
        self.set_header("Content-Type", kind)
        self.finish(content)
