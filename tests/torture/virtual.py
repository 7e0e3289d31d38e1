"""Generations without waiting and without a network: a loop whose clock jumps, and a model of the vendor.

The seams are `background.loop`, `background.in_thread`, and the `time` module as the package's own modules see it.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import httpx

from kling_widget import background
from kling_widget.client import Client
from kling_widget.studio import Studio
from kling_widget.task import Task

API = "https://vendor.invalid"
FILES = "https://files.invalid"
TAKES = 186.0  # seconds a generation takes: the vendor's sample

Place = Literal["submit", "retrieve", "logs", "billing", "download"]


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


@dataclass
class Reply:
    """One answer of the vendor.

    Parameters
    ----------
    status, headers, body
        As they go over the wire. ``{id}`` in the body's honest form is filled in by `honest`.
    error
        Raised instead of an answer, or, if `body` is set, after half of it.
    accepted
        For a submission: whether it counts though the answer leaves that open.
    honest
        What is right is answered, with this status and these headers on top.
    seconds
        Until the answer.
    """

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    error: Callable[[], Exception] | None = None
    accepted: bool = False
    honest: bool = False
    id_in: Literal["id", "generation_id", "header"] = "id"
    seconds: float = 0.0


@dataclass
class Job:
    """A generation in the vendor's books."""

    id: str
    client_request_id: str
    created: float
    called_off: bool = False
    """A drawn answer said that it failed: then nothing is owed."""


NOT_DELIVERED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Vendor:
    """The vendor's books, and answers as scripted; honest ones where the script has ended."""

    def __init__(self, clock: Clock, clip: bytes) -> None:
        self.clock = clock
        self.clip = clip
        self.jobs: dict[str, Job] = {}  # by client request id
        self.posts: dict[str, list[str]] = {}
        self.script: dict[Place, deque[Reply]] = {}
        self.served: Counter[str] = Counter()

    def expect(self, place: Place, *replies: Reply) -> None:
        """The next answers there."""
        self.script.setdefault(place, deque()).extend(replies)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        place = _place(request)
        planned = self.script.get(place)
        reply = planned.popleft() if planned else Reply(honest=True)
        self.served["generated" if planned is not None and not reply.honest else "honest"] += 1
        self.served[place] += 1
        if reply.seconds:
            await asyncio.sleep(reply.seconds)
        if place == "submit":
            return self._submit(request, reply)
        honest = {"retrieve": self._retrieve, "logs": self._logs, "billing": self._billing, "download": self._download}
        if reply.honest:
            return honest[place](request)
        if place == "retrieve" and reply.error is None:
            self._note_failure(request, reply)
        return _answer(request, reply)

    def _submit(self, request: httpx.Request, reply: Reply) -> httpx.Response:
        reference = request.headers["x-client-request-id"]
        verdicts = self.posts.setdefault(reference, [])
        job = Job(f"id-{len(self.jobs)}", reference, self.clock.vendor())
        if reply.honest:
            verdicts.append("accepted")
            self.jobs[reference] = job
            body = {} if reply.id_in == "header" else {reply.id_in: job.id, "status": "queued"}
            headers = [*reply.headers, (b"x-inference-id", job.id.encode())] if reply.id_in == "header" else []
            return _answer(request, Reply(201, headers, json.dumps(body).encode()))
        raised = reply.error() if reply.error is not None else None
        if isinstance(raised, NOT_DELIVERED):
            verdicts.append("undelivered")
            raise raised
        if raised is None and 300 <= reply.status < 500:
            verdicts.append("busy" if reply.status == 429 else "refused")
            return _answer(request, reply)
        verdicts.append("open")
        # An id that was made up in the answer is an id all the same.
        body, answered = reply.body if raised is None else b"", raised is None or bool(reply.body)
        told = Task.parse(body, httpx.Headers(reply.headers), id_header=True).id if answered else None
        if told and 200 <= reply.status < 300:
            self.jobs[reference] = Job(told, reference, self.clock.vendor())
        elif reply.accepted:
            self.jobs[reference] = job
        return _answer(request, reply)

    def _retrieve(self, request: httpx.Request) -> httpx.Response:
        job = self._job(request)
        if job is None:
            return _json(request, {"message": "Generation not found"}, 404)
        if self.clock.vendor() < job.created + TAKES:
            return _json(request, {"id": job.id, "status": "generating"})
        video = {"url": f"{FILES}/{len(self.jobs)}.mp4"}
        body = json.dumps({"id": job.id, "status": "completed", "video": video}).encode()
        return _answer(request, Reply(200, [(b"x-aimlapi-usd-spent", b"0.5")], body))

    def _logs(self, request: httpx.Request) -> httpx.Response:
        rows = [{"inference_id": job.id, "client_request_id": job.client_request_id} for job in self.jobs.values()]
        offset, limit = (int(request.url.params.get(name, "0")) for name in ("offset", "limit"))
        page = {"data": rows[offset : offset + limit], "pagination": {"has_more": offset + limit < len(rows)}}
        return _json(request, page)

    def _billing(self, request: httpx.Request) -> httpx.Response:
        return _json(request, {"current_balance": 12.5, "currency": "USD", "data": []})

    def _download(self, request: httpx.Request) -> httpx.Response:
        start = request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        offset = int(start)
        if not offset:
            return _answer(request, Reply(200, body=self.clip))
        if offset >= len(self.clip):
            return _answer(request, Reply(416))
        span = f"bytes {offset}-{len(self.clip) - 1}/{len(self.clip)}".encode()
        return _answer(request, Reply(206, [(b"content-range", span)], self.clip[offset:]))

    def _job(self, request: httpx.Request) -> Job | None:
        wanted = request.url.params.get("generation_id", "")
        return next((job for job in self.jobs.values() if job.id == wanted), None)

    def _note_failure(self, request: httpx.Request, reply: Reply) -> None:
        told = self._job(request)
        if told and 200 <= reply.status < 300 and Task.parse(reply.body, httpx.Headers(reply.headers)).state == "error":
            for job in self.jobs.values():  # answers made up for two submissions may have given them one id
                job.called_off |= job.id == told.id


def _place(request: httpx.Request) -> Place:
    if request.url.host == "files.invalid" or request.url.path.endswith(".mp4"):
        return "download"
    if request.method == "POST":
        return "submit"
    if request.url.path.startswith("/v2/billing"):
        return "billing"
    return "logs" if request.url.path == "/v2/logs" else "retrieve"


class _Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes, error: Exception | None) -> None:
        self._body, self._error = body, error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._error is not None:
            yield self._body[: len(self._body) // 2]
            raise self._error
        yield self._body


def _answer(request: httpx.Request, reply: Reply) -> httpx.Response:
    error = reply.error() if reply.error is not None else None
    if error is not None and not reply.body:
        raise error
    return httpx.Response(reply.status, headers=reply.headers, stream=_Body(reply.body, error), request=request)


def _json(request: httpx.Request, body: object, status: int = 200) -> httpx.Response:
    return _answer(request, Reply(status, body=json.dumps(body).encode()))


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
        studio.__dict__["client"] = Client("sk-test", API, transport=httpx.MockTransport(self.vendor))
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
