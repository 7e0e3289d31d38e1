"""The storage behind the video urls: signed, expiring, with Range. No API key needed, as at the vendor's."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from kling_widget.simulator.answers import storage_error
from kling_widget.simulator.store import Store, file_key

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kling_widget.simulator.settings import SimulatorSettings

PREFIX = "/files/"


def _signature(settings: SimulatorSettings, path: str, expires: str) -> str:
    secret = hashlib.sha256(f"kling simulator {settings.seed}".encode()).digest()
    return hmac.new(secret, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()


def video_url(settings: SimulatorSettings, base_url: str, generation_id: str, now: float) -> str:
    """A signed url that is good for ``settings.url_lifetime`` seconds from `now` (Unix seconds)."""
    path = f"{PREFIX}{file_key(generation_id)}.mp4"
    expires = f"{now + settings.url_lifetime:.3f}"
    return f"{base_url.rstrip('/')}{path}?expires={expires}&signature={_signature(settings, path, expires)}"


async def download(request: Request, settings: SimulatorSettings, store: Store, now: float) -> Response:
    """Answer the request for a video.

    Parameters
    ----------
    request
        GET or HEAD, perhaps with Range.
    settings
        The key of the signatures.
    store
        Where the videos are.
    now
        Unix seconds.
    """
    expires = request.query_params.get("expires", "")
    signature = request.query_params.get("signature", "")
    if not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", expires) or not hmac.compare_digest(
        signature.encode(), _signature(settings, request.url.path, expires).encode()
    ):
        return storage_error("SignatureDoesNotMatch", "The request signature we calculated does not match.")
    if now >= float(expires):
        return expired()
    task = store.find(request.path_params["key"])
    if task is None or task.phase(now) != "completed":
        return storage_error("NoSuchKey", "The specified key does not exist.", 404)
    # Shielded: whoever gives up waiting must not cancel the render that others wait for.
    path = await asyncio.shield(asyncio.wrap_future(store.video(task)))
    # Named for what it is made from, so the name serves as the entity tag; dates would differ from run to run.
    return part_of(await asyncio.to_thread(path.read_bytes), f'"{path.stem}"', request)


def part_of(video: bytes, etag: str, request: Request) -> Response:
    """The part of a video that was asked for: all of it, or one range (RFC 9110, section 14).

    Not Starlette's FileResponse: it reads in AnyIO's threads, which keep a process from ending when their loop ended
    in the middle of a request, as loops patched by nest_asyncio2 do.
    """
    from starlette.responses import Response

    headers = {"accept-ranges": "bytes", "etag": etag}
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if asked is None or asked.groups() == ("", "") or request.headers.get("if-range", etag) != etag:
        return Response(video, media_type="video/mp4", headers=headers)
    first, last = asked.groups()
    start = int(first) if first else max(0, len(video) - int(last))
    end = min(int(last), len(video) - 1) if first and last else len(video) - 1
    if start > end:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{len(video)}"})
    headers["content-range"] = f"bytes {start}-{end}/{len(video)}"
    return Response(video[start : end + 1], 206, media_type="video/mp4", headers=headers)


def expired() -> Response:
    """The storage's answer to a url that was good once."""
    return storage_error("AccessDenied", "Request has expired")
