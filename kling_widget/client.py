"""``Client``: the vendor's HTTP API and nothing else. With the simulator's transport the only room that knows httpx."""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx as http

from . import retry
from .answers import error_of, json_object, unknown, unreachable, what_came
from .body import Body
from .connections import Use, ask, checked_base_url, connect, date_of, why_not
from .credentials import ApiKey, hidden, require_key
from .errors import InvalidRequestError, KlingError, RateLimitError
from .providers import BASE_URL, SIMULATOR_URL
from .request import new_client_request_id
from .retry import Outcome
from .task import Charge, Found, Task

if TYPE_CHECKING:
    from types import TracebackType

    from .gate import Gate
    from .request import ImageToVideoRequest

GENERATION_PATH = "/v2/generate/video/kling/generation"  # the specification; /v2/video/generations serves the same
LOG_PAGE = 100  # rows; the most /v2/logs gives at once
LOG_PAGES = 20  # pages read of one stretch of the log; ours, as all below
FAR_PAGES = 50  # pages of the last search for a submission: a day of an account that makes three clips a minute
NEAR = 900.0  # seconds around the moment at which a row was written: it may have waited to be sent
DAY = 86_400.0  # seconds
# Questions under way, ours: at 100 a second 0.3 s for each. httpcore looks through all of them each time.
READS_AT_ONCE = 32
CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")  # the vendor silently drops anything else

# Never delivered: no connection was made, so no byte of the request can have arrived.
_NOT_DELIVERED = (http.ConnectError, http.ConnectTimeout, http.PoolTimeout, http.ProxyError, http.UnsupportedProtocol)


class Client:
    """The vendor's two calls, and the few that settle what became of them.

    Parameters
    ----------
    api_key
        The key; by default it is looked for in every place :mod:`kling_widget.credentials` names.
    base_url
        Where the API is; by default ``KLING_WIDGET_BASE_URL`` or the vendor.
    simulate
        True uses the built-in simulator in this process: free of charge, no network.
    path
        Path of both calls.
    transport
        An httpx transport (for tests and the simulator).
    gate
        The budget of requests that this client shares with others; None asks at once.

    Raises
    ------
    MissingKeyError
        No key anywhere.

    Attributes
    ----------
    key_refused
        Whether the vendor refused the key (401).
    unreachable
        Whether no connection could be made for the latest submission.
    """

    def __init__(
        self,
        api_key: str | ApiKey | None = None,
        base_url: str | None = None,
        *,
        simulate: bool = False,
        path: str = GENERATION_PATH,
        transport: http.AsyncBaseTransport | None = None,
        gate: Gate | None = None,
    ) -> None:
        api_key = hidden(api_key)
        if simulate:
            api_key, base_url = ApiKey("simulator"), SIMULATOR_URL
            if transport is None:
                from .simulator import Simulator, SimulatorSettings

                transport = Simulator(SimulatorSettings()).transport()
        # Two lines: verbose tracebacks show os.environ, and a key in it, beside the line that fails.
        chosen = base_url or os.environ.get("KLING_WIDGET_BASE_URL") or BASE_URL
        self.base_url = chosen.rstrip("/")
        self._path = path
        self._gate = gate
        self.key_refused = self.unreachable = False
        self._use = Use()
        base, key = checked_base_url(self.base_url), require_key(api_key)
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._ahead = 0.0  # seconds that the vendor's clock is ahead of ours, as its latest answer says
        self._http = connect(transport, key=key, base_url=base)
        self._posts = connect(transport, key=key, base_url=base, reuse=False)
        # Videos lie on other hosts, which must never see the key: a client of their own, without it.
        self._files = connect(transport)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        for each in (self._http, self._posts, self._files):
            await each.aclose()

    async def retire(self) -> None:
        """Close the connections when nothing is under way on them any more. Nothing new may be asked."""
        await self._use.over()
        await self.aclose()

    def __repr__(self) -> str:
        return f"Client({self.base_url})"

    async def create(
        self,
        request: ImageToVideoRequest | Body,
        *,
        client_request_id: str | None = None,
        on_send: Callable[[], object] = lambda: None,
        on_wait: Callable[[float], object] = lambda seconds: None,
    ) -> Task:
        """Submit a generation. Sent again only when it certainly did not count.

        Parameters
        ----------
        request
            What to make; as a `Body` its pictures are bytes, which become Base64 only on their way.
        client_request_id
            1 to 128 of ``A-Z a-z 0-9 . _ : -``; a fresh one by default. It finds a lost submission again.
        on_send
            Called in the moment before each try leaves. What it raises keeps that try here, and comes out.
        on_wait
            Called with the seconds until the next try where the server can't be reached or asks to wait: the last one
            certainly did not count. What it raises comes out.

        Returns
        -------
        Task
            Accepted; its ``id`` is set.

        Raises
        ------
        InvalidRequestError, AuthenticationError, InsufficientCreditsError, RateLimitError, ServerError
            Refused or never delivered: nothing was charged.
        SubmissionUnknownError
            It may have been accepted; see :meth:`find`.
        """
        reference = client_request_id or new_client_request_id()
        if not CLIENT_REQUEST_ID.match(reference):
            raise InvalidRequestError("A client request id takes 1 to 128 of A-Z a-z 0-9 . _ : -")
        body = request if isinstance(request, Body) else Body(request.body())
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(body.size),
            "X-Client-Request-Id": reference,
        }
        with self._use:
            return await self._delivered(body, headers, reference, on_send, on_wait)

    async def _delivered(
        self,
        body: Body,
        headers: dict[str, str],
        reference: str,
        on_send: Callable[[], object],
        on_wait: Callable[[float], object],
    ) -> Task:
        attempt = 0
        while True:
            attempt += 1
            try:
                # Not whole: where its body breaks off, status and headers still tell, and may hold the id.
                response = await self._ask(
                    self._posts, "POST", self._path, on_send, whole=False, content=body, headers=headers
                )
            except _NOT_DELIVERED as error:
                self.unreachable = True
                because, final = why_not(error)
                failure: KlingError = unreachable(self.base_url, error, because, submission=True)
                if final:
                    raise failure from None
                retry_after = None
            except http.HTTPError as error:
                raise unknown(reference, f"the connection broke ({type(error).__name__})") from None
            else:
                self.unreachable = False
                task = Task.parse(response.content, response.headers, id_header=True)
                outcome = retry.submission_outcome(response.status_code, task.id is not None)
                if outcome is Outcome.ACCEPTED:
                    return task
                if outcome is Outcome.UNKNOWN:
                    raise unknown(reference, what_came(response)) from None
                failure = error_of(response, submission=True)
                if not isinstance(failure, RateLimitError):
                    raise failure
                retry_after = failure.retry_after
            delay = retry.submission_delay(attempt, random.random(), retry_after)
            if delay is None:
                raise failure
            on_wait(delay)
            await asyncio.sleep(delay)

    async def retrieve(self, generation_id: str) -> Task:
        """Ask how a generation is doing. Asked once; whoever polls decides when to ask again.

        Raises
        ------
        InvalidRequestError, AuthenticationError, InsufficientCreditsError, RateLimitError, ServerError
        """
        response = await self._get(self._path, {"generation_id": generation_id})
        return Task.parse(response.content, response.headers)

    async def find(self, client_request_id: str, since: float, *, far: bool = True) -> Found | None:
        """A submission in the vendor's log; None while it isn't there.

        Parameters
        ----------
        client_request_id
            What the submission was sent with.
        since
            When it was sent, Unix seconds by this machine's clock, or some minutes before. The vendor's clock, by which
            the log is kept, is known from its answers.
        far
            Where it isn't found near that moment, look also a day before and after it: some questions more, and many
            on a busy account.
        """
        with self._use:  # also between two pages
            async for row in self._around(since, far):
                found = Found.of(row)
                if found is not None and row.get("client_request_id") == client_request_id:
                    return found
        return None

    async def _around(self, moment: float, far: bool) -> AsyncIterator[dict[str, Any]]:
        """Rows of the log near a moment of ours, and then those of a day on both sides."""
        asked: list[float] = []
        for ours in (False, False, True):  # again: the first answer told of the clock; and ours may have been set since
            middle = moment if ours else moment + self._ahead
            if all(abs(middle - each) > NEAR / 2 for each in asked):
                asked.append(middle)
                async for row in self._log(middle - NEAR, middle + NEAR):
                    yield row
        if far:
            middle = moment + self._ahead
            for start, end in ((middle + NEAR, middle + DAY), (middle - DAY, middle - NEAR)):
                async for row in self._log(start, end, pages=FAR_PAGES):
                    yield row

    async def charges(self, first: float, last: float) -> AsyncIterator[Charge]:
        """What the vendor's log says was charged, newest first.

        Parameters
        ----------
        first, last
            Unix seconds: submissions made between these.
        """
        with self._use:  # also between two pages
            async for row in self._log(first + self._ahead - NEAR, last + self._ahead + DAY):
                charge = Charge.of(row)
                if charge is not None:
                    yield charge

    async def _log(self, start: float, end: float, *, pages: int = LOG_PAGES) -> AsyncIterator[dict[str, Any]]:
        """Rows of the log of submissions between two moments of the vendor's clock, newest first."""
        for page in range(pages):
            query = {"start": _iso(start), "end": _iso(end), "limit": LOG_PAGE, "offset": page * LOG_PAGE}
            body = json_object((await self._get("/v2/logs", query)).content)
            rows = body.get("data")
            rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            for row in rows:
                yield row
            pagination = body.get("pagination")
            if not rows or not (isinstance(pagination, dict) and pagination.get("has_more")):
                break

    async def balance(self) -> float | None:
        """What is left on the account, in USD; None where the answer doesn't say."""
        value = json_object((await self._get("/v2/billing", {})).content).get("current_balance")
        return float(value) if isinstance(value, int | float) else None

    async def _get(self, path: str, query: dict[str, Any]) -> http.Response:
        try:
            # Before the turn is taken: what waits here must not leave all at once afterwards.
            with self._use:
                async with self._reads:
                    response = await self._ask(self._http, "GET", path, params=query)
        except http.HTTPError as error:
            raise unreachable(self.base_url, error, why_not(error)[0]) from None
        if not response.is_success:
            raise error_of(response)
        return response

    async def _ask(
        self,
        by: http.AsyncClient,
        method: str,
        path: str,
        on_send: Callable[[], object] = lambda: None,
        **what: Any,
    ) -> http.Response:
        """Ask when it is our turn; that we were refused concerns all who share the budget."""
        if self._gate is not None:
            await self._gate.turn(first=method == "POST")
        on_send()  # and nothing waits between this and the request
        response = await ask(by, method, path, **what)
        self.key_refused = self.key_refused or response.status_code == 401
        if (date := date_of(response)) is not None:
            self._ahead = date - time.time()
        if self._gate is not None and response.status_code == 429:
            self._gate.refused(retry.parse_retry_after(response.headers.get("retry-after")))
        return response

    @asynccontextmanager
    async def open_file(self, url: str, offset: int = 0) -> AsyncIterator[http.Response]:
        """Open a video's address from a byte offset on, without the key.

        Raises
        ------
        TransportError, BadAddressError
            The connection could not be made or broke; `url` is none.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with self._use:
            async with self._files.stream("GET", url, headers=headers) as response:
                yield response

    def serves(self, url: str) -> bool:
        """Whether the simulator in this process serves `url` (its host exists nowhere else)."""
        return self.base_url == SIMULATOR_URL and urlsplit(url).hostname == urlsplit(SIMULATOR_URL).hostname


# For download.py, which does not know httpx: what it reads, and what a broken connection raises.
Response = http.Response
TransportError = http.RequestError
BadAddressError = http.InvalidURL


def _iso(seconds: float) -> str:
    from datetime import datetime, timezone

    seconds = min(max(seconds, 0.0), 253_402_300_799.0)  # what a datetime holds: up to the year 9999
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
