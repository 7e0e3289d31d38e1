"""Saving a finished video: partial file, ``Range`` resume, checks, atomic rename."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from . import background, mp4_metadata
from .client import BadAddressError, Response, TransportError
from .connections import LOOPBACK, why_not
from .errors import DownloadError
from .media import LARGEST_VIDEO

if TYPE_CHECKING:
    from .client import Client

PIECE = 1 << 18  # bytes written at once
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5  # ours: signed storage needs one or two
EXPIRED = {400, 401, 403, 404, 410}  # what signed storage answers for an address that is no longer good


class StaleUrlError(DownloadError):
    """The address does not give the video (any more): fetch the task again for a fresh one."""


class BrokenOffError(DownloadError):
    """No connection could be made, or it broke, or the server was busy: the same call goes on, perhaps a little later.

    Attributes
    ----------
    progressed
        Whether anything came before.
    """

    progressed = False


def checked_url(client: Client, url: str, before: str = "") -> str:
    """`url`, if a video may come from there: https, or plain http on this machine; with no name and password in it.

    Parameters
    ----------
    client
        Plain http is only for a client whose API is on this machine, too: a vendor far away has nothing here.
    url
        The address.
    before
        The address that led to it, where it is a redirect: from https it leads to https only.

    Raises
    ------
    DownloadError
        Any other scheme or host.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    near = urlsplit(client.base_url).hostname in LOOPBACK and host in LOOPBACK and not before.startswith("https:")
    plain = parts.scheme == "http" and (near or client.serves(url))
    odd = "@" in parts.netloc or "\\" in url or " " in url or not url.isprintable()  # read otherwise by some
    if not host or odd or not (parts.scheme == "https" or plain):
        raise _unsafe(url)
    return url


def _unsafe(url: str) -> DownloadError:
    return DownloadError(
        f"The vendor gave an address that is not a safe place to fetch a video from: {url[:80]!r}.",
        hint="Nothing was saved.",
    )


async def download(
    client: Client,
    url: str,
    target: Path,
    *,
    partial: Path | None = None,
    seal: Callable[[Path], object] = lambda path: None,
) -> Path:
    """Fetch a video into `target`; there is never a half file under that name.

    Parameters
    ----------
    client
        Whose connections are used (without the key).
    url
        The video's address.
    target
        Where it goes.
    partial
        The file that grows meanwhile, in the same folder; by default `target` with ``.part``. It is taken up again by
        the next call.
    seal
        Called with the whole, checked file just before it gets its name; it may add to it.

    Raises
    ------
    StaleUrlError
        The address is no longer good, or gives something that is not a whole MP4.
    BrokenOffError
        It may be fetched a little later.
    DownloadError
        It could not be fetched or saved.
    """
    checked_url(client, url)
    partial = partial or target.with_name(target.name + ".part")
    before = _size(partial)
    try:
        await _fetch(client, url, partial, before)
        await background.in_thread(_finish, partial, target, seal)
    except TransportError as error:
        raise _broken_off(url, error, progressed=_size(partial) > before) from None
    except BadAddressError as error:
        raise StaleUrlError(f"The video's address is not a web address: {error}.", hint="Try again later.") from None
    except OSError as error:
        raise DownloadError(
            f"The video could not be saved in {target.parent}: {error.strerror or error}.",
            hint="It is kept at the vendor for a while; make room or choose another folder, then try again.",
        ) from error
    return target


def _broken_off(url: str, error: TransportError, *, progressed: bool) -> DownloadError:
    """The error for a connection that was not made or broke, or a server that is busy."""
    if isinstance(error.__context__, BadAddressError):  # of a redirect, which httpx reads for us
        return StaleUrlError("The video's address leads to what is not a web address.", hint="Try again later.")
    host, name, (because, final) = urlsplit(url).hostname, type(error).__name__, why_not(error)
    if final:
        return DownloadError(
            f"The video could not be fetched: {host} cannot be reached, {because}.",
            hint="It is kept at the vendor for a while. In a company's network, HTTPS_PROXY and SSL_CERT_FILE must "
            "name what it uses; then the same call again fetches it, free of charge.",
        )
    if type(error) is TransportError:  # our own
        because = f"{host} answered {error}"
    elif because or "Connect" in name:
        because = f"{host} cannot be reached now ({because or name})"
    else:
        because = f"The connection to {host} broke ({name})"
    failure = BrokenOffError(f"{because}.", hint="The video is kept at the vendor for a while.")
    failure.progressed = progressed
    return failure


@asynccontextmanager
async def _opened(client: Client, url: str, offset: int) -> AsyncIterator[Response]:
    """The answer at the end of all redirects; each is checked like the first address."""
    for _ in range(MOST_REDIRECTS + 1):
        async with client.open_file(url, offset) as response:
            onward = response.headers.get("location", "") if response.status_code in REDIRECTS else ""
            if not onward:
                yield response
                return
        try:
            url = checked_url(client, urljoin(url, onward), url)
        except ValueError:
            raise _unsafe(onward) from None
    raise DownloadError("The video's address leads on and on.", hint="Nothing was saved. Try again later.")


async def _fetch(client: Client, url: str, partial: Path, offset: int) -> None:
    async with _opened(client, url, offset) as response:
        status = response.status_code
        if status in EXPIRED:
            raise StaleUrlError(f"The video's address is no longer good ({status}).")
        if status == 416 and offset:  # nothing beyond what we have, or another file: _finish() judges
            return
        if status not in (200, 206):
            raise (
                TransportError(str(status))
                if status >= 500 or status == 429
                else DownloadError(f"The video's address answered {status}.", hint="Try again later.")
            )
        resumed = status == 206 and _range_start(response.headers.get("content-range")) == offset
        if status == 206 and not resumed and offset:
            await background.in_thread(partial.unlink)
            raise TransportError("with another part than was asked for")
        await _write(response, partial, "ab" if resumed else "wb", offset if resumed else 0)


async def _write(response: Response, partial: Path, mode: str, already: int) -> None:
    length = response.headers.get("content-length", "")
    _refuse_giant(already + int(length) if _is_number(length) else already)
    partial.parent.mkdir(parents=True, exist_ok=True)
    file: IO[bytes] = await background.in_thread(open, partial, mode)
    try:
        async for piece in response.aiter_raw(PIECE):  # as it lies there: `Range` counts these bytes
            already += len(piece)
            _refuse_giant(already)
            await background.in_thread(file.write, piece)
    finally:
        file.close()


def _refuse_giant(size: int) -> None:
    if size > LARGEST_VIDEO:
        raise DownloadError("The video is larger than a gigabyte: that can't be right.", hint="Nothing was saved.")


def _finish(partial: Path, target: Path, seal: Callable[[Path], object]) -> None:
    """Check what came and put it in place, durably: `fsync`, then an atomic rename."""
    with open(partial, "rb") as file:
        head = file.read(12)
    if len(head) < 12 or head[4:8] != b"ftyp":  # ISO 14496-12: an MP4 starts with this box
        partial.unlink()
        raise StaleUrlError("What came from the video's address is not an MP4 video.", hint="Try again later.")
    if not mp4_metadata.is_whole(partial):
        partial.unlink()
        raise StaleUrlError("The video that came is cut short or damaged.", hint="Try again.")
    seal(partial)
    with open(partial, "r+b") as file:  # Windows flushes no file that is open for reading only
        os.fsync(file.fileno())
    os.replace(partial, target)


def _range_start(value: str | None) -> int | None:
    """The first byte's offset in ``Content-Range: bytes 5-9/10``."""
    start = (value or "").removeprefix("bytes").strip().partition("-")[0]
    return int(start) if _is_number(start) else None


def _is_number(text: str) -> bool:
    """Whether `int` can read it: ``"²"`` counts as a digit, and thousands of digits are refused."""
    return text.isdecimal() and len(text) < 20


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
