"""The vendor of the property test: its books, and answers as scripted, honest ones where the script has ended."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import httpx

from kling_widget.task import Task

FILES = "https://files.invalid"
TAKES = 186.0  # seconds a generation takes: the vendor's sample

Place = Literal["submit", "retrieve", "logs", "billing", "download"]


class VendorsClock(Protocol):
    """Seconds at the vendor."""

    def vendor(self) -> float: ...


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

    def __init__(self, clock: VendorsClock, clip: bytes) -> None:
        self.clock = clock
        self.clip = clip
        self.jobs: dict[str, Job] = {}  # by client request id
        self.posts: dict[str, list[str]] = {}
        self.script: dict[Place, deque[Reply]] = {}
        self.served: Counter[str] = Counter()
        self.away: set[Place] = set()  # what no connection can be made to

    def expect(self, place: Place, *replies: Reply) -> None:
        """The next answers there."""
        self.script.setdefault(place, deque()).extend(replies)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        place = _place(request)
        if place in self.away:
            raise httpx.ConnectError("no network")
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
