"""Connections: who may hear the key, through which proxy, and how much of an answer is read.

Proxies and certificates come from the environment, as everywhere: ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``,
``SSL_CERT_FILE``, ``SSL_CERT_DIR``. HTTP/1.1 is all that is spoken.
"""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Callable, Generator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx as http

from .credentials import ApiKey
from .errors import InvalidRequestError
from .providers import SIMULATOR_URL

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TIMEOUT = http.Timeout(60.0, connect=10.0)  # seconds; a 10 MB picture on a slow line needs its time
LONGEST_ANSWER = 4 << 20  # bytes; ours: a page of 100 log rows is the longest there is, and has some 100 KB
SLOWEST_ANSWER = 120.0  # seconds from the first byte of an answer to its last; ours
# Said of every request: what a server compresses all the same is unpacked here, up to the limit and no further.
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "kling-widget"}
_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)  # RFC 9110, 5.6.7
# What is on this machine is not asked for through a proxy, which would see the key in plain text.
_NO_PROXY: dict[str, None] = {
    "all://localhost": None,
    "all://127.0.0.1": None,
    "all://[::1]": None,
}


def connect(
    transport: http.AsyncBaseTransport | None, *, key: ApiKey | None = None, base_url: str = "", reuse: bool = True
) -> http.AsyncClient:
    """A client that follows no redirects.

    Parameters
    ----------
    transport
        Instead of the network.
    key
        Sent with every request; without one the client is for strangers' hosts.
    base_url
        Where paths lead to.
    reuse
        False makes a connection for each request: none that died while the laptop slept swallows a submission.

    Raises
    ------
    InvalidRequestError
        The base URL, or a setting of the network in the environment, cannot be used.
    """
    try:
        return http.AsyncClient(
            base_url=base_url,
            auth=_Bearer(key) if key is not None else None,
            headers=_HEADERS,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none: one can make later requests impossible
            timeout=TIMEOUT,
            limits=http.Limits(max_connections=100, max_keepalive_connections=20 if reuse else 0),
            transport=transport,
            mounts=None if transport is not None else _NO_PROXY,
            follow_redirects=False,
        )
    except http.InvalidURL as error:
        raise InvalidRequestError(f"{base_url!r} or an address in HTTPS_PROXY is no web address: {error}.") from None
    except (OSError, ValueError, ImportError) as error:
        raise InvalidRequestError(
            f"The network settings in the environment cannot be used: {error}.",
            hint="Check HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
        ) from None


def checked_base_url(base_url: str) -> str:
    """`base_url`, if the key may go there: https, or plain http on this machine.

    Raises
    ------
    InvalidRequestError
        It may not.
    """
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    loopback = host in LOOPBACK or host == urlsplit(SIMULATOR_URL).hostname
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise InvalidRequestError(
            f"base_url must be an https address, not {base_url!r}.", hint="Plain http is allowed for this machine only."
        )
    return base_url


async def ask(client: http.AsyncClient, method: str, url: str, *, whole: bool = True, **content: Any) -> http.Response:
    """One exchange. Of an answer beyond `LONGEST_ANSWER` or `SLOWEST_ANSWER`, or damaged, the body counts as empty.

    Parameters
    ----------
    client, method, url, content
        Whom to ask what.
    whole
        False takes an answer whose body breaks off with as much as came of it: status and headers are there by then.

    Raises
    ------
    http.HTTPError
        There was no answer, or no whole one.
    """
    async with client.stream(method, url, **content) as response:
        body = await _body(response, whole)
    told = (b"content-encoding", b"content-length", b"transfer-encoding")
    # As bytes: decoded, what is not ASCII could not be put together again, and with it an id would be lost.
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in told]
    return http.Response(response.status_code, headers=headers, content=body, request=response.request)


async def _body(response: http.Response, whole: bool) -> bytes:
    unpack = _unpacking(response.headers.get("content-encoding", ""))
    until, body = time.monotonic() + SLOWEST_ANSWER, bytearray()
    try:
        async for piece in response.aiter_raw():
            body += unpack(piece, LONGEST_ANSWER + 1 - len(body))
            if len(body) > LONGEST_ANSWER or time.monotonic() > until:
                return b""
    except zlib.error:
        return b""
    except http.HTTPError:
        if whole:
            raise
    return bytes(body)


def _unpacking(encoding: str) -> Callable[[bytes, int], bytes]:
    """From a piece as it came to at most so many bytes of what it means."""
    if encoding.strip().lower() in ("", "identity"):
        return lambda piece, most: piece[:most]
    return zlib.decompressobj(wbits=47).decompress  # gzip and zlib, told apart by their headers; else zlib.error


def date_of(response: http.Response) -> float | None:
    """When an answer was made by the clock of who made it, Unix seconds; None where it doesn't say."""
    said = response.headers.get("date", "")
    if not _DATE.fullmatch(said):
        return None
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(said).timestamp()
    except ValueError:  # a month nobody knows, or a 31st of February
        return None


def why_not(error: Exception) -> tuple[str, bool]:
    """Why no connection could be made, in words, and whether trying again is of no use."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ == "SSLCertVerificationError":  # by its name, since `import ssl` costs
            said = getattr(cause, "verify_message", "") or "unknown"
            return f"its certificate is not trusted on this machine ({said})", True
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, http.ProxyError):
        return f"the proxy refused ({str(error)[:100]})", str(error).startswith("4")
    return "", False


class Use:
    """Who has something under way on connections that are to be closed when nobody has."""

    def __init__(self) -> None:
        self._users = 0
        self._nobody = asyncio.Event()

    def __enter__(self) -> None:
        self._users += 1

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        self._nobody.set()

    async def over(self) -> None:
        """Wait until nobody has."""
        while self._users:
            self._nobody.clear()
            await self._nobody.wait()


class _Bearer(http.Auth):
    """Adds the key at the last moment, so that no headers of ours hold it."""

    def __init__(self, key: ApiKey) -> None:
        self._key = key

    def auth_flow(self, request: http.Request) -> Generator[http.Request, http.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request
