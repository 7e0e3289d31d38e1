"""From a video that is ready at the vendor to the saved file, which carries what it was made from in itself."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import background, mp4_metadata, pending, retry
from .download import BrokenOffError, StaleUrlError, download
from .errors import DownloadError, KlingError, RateLimitError, ServerError, StoreError
from .ledger_row import row_of

if TYPE_CHECKING:
    from .ledger import Row
    from .studio import Studio
    from .video import Video
    from .workspace import Workspace

FETCH_ATTEMPTS = 3  # fresh addresses tried for one video
PATIENCE = 3600.0  # seconds what cannot be reached is tried again; after that the next call or kernel does

Update = Callable[..., Awaitable["Row"]]  # changes the ledger's row and returns it


async def save(studio: Studio, row: Row, update: Update, say: Callable[[str], object], *, rendered: bool) -> Video:
    """Fetch a video unless it is there, and put it in its place.

    Parameters
    ----------
    studio
        Client, workspace and leases.
    row
        The ledger's row.
    update
        Changes that row.
    say
        Called with a sentence on what it waits for, and with an empty one when that is over.
    rendered
        As of `show`.

    Raises
    ------
    DownloadError
        It could not be fetched or saved.
    LeaseLostError
        Another process does that now.
    """
    try:
        row, target = await _brought(studio, row, update, say)
    finally:
        say("")

    def tidied() -> Video:
        _tidy(studio.workspace.path, target, row)
        return _shown(studio, row, rendered)

    return await background.in_thread(tidied)


async def _brought(studio: Studio, row: Row, update: Update, say: Callable[[str], object]) -> tuple[Row, Path]:
    """Its row and where it is, once the video is in its place."""
    target, is_there = await background.in_thread(_looked_for, studio, row)
    if row.video_file != target.name:
        row = await update(video_file=target.name)
    if row.saved is None and is_there:
        row = await _saved(studio, row, target, update, say)  # whoever fetched it died before saying so
    elif not is_there:
        try:
            row = await _fetch(studio, row, target, update, say)
        except DownloadError as error:
            error.generation_id = row.generation_id
            studio.leases.check(row.client_request_id)
            # Two processes at the same video, one of which stood still and does not know yet that it lost its lease:
            # who is first drops what the other has fetched.
            if not await background.in_thread(_is_there, studio.workspace, target, row):
                raise
            row = await _saved(studio, row, target, update, say)
    return row, target


def _looked_for(studio: Studio, row: Row) -> tuple[Path, bool]:
    """Where its video goes, and whether the whole of it is there: before it was said to be saved, it must say so."""
    workspace, target = studio.workspace, studio.video_target(row)
    return target, _is_there(workspace, target, row) if row.saved is None else workspace.bring(target)


async def show(studio: Studio, row: Row, *, rendered: bool) -> Video:
    """The saved video.

    Parameters
    ----------
    rendered
        With its poster and size read, so that whoever shows it at once is not blocked by that. A thousand clips that
        nobody looks at need no frame decoded, and no 50 KB of posters each.
    """
    return await background.in_thread(_shown, studio, row, rendered)


def _shown(studio: Studio, row: Row, rendered: bool) -> Video:
    video = studio.video_of(row)
    if rendered:
        video.html()
    return video


async def _fetch(studio: Studio, row: Row, target: Path, update: Update, say: Callable[[str], object]) -> Row:
    # A name of our own: a process that lost its lease without knowing may still be writing to the other one.
    partial = target.with_name(f"{target.name}.{studio.leases.owner[-12:]}.part")
    await background.in_thread(_adopt, target, partial)

    def seal(path: Path) -> None:
        record = row.with_(saved=time.time()).record()
        mp4_metadata.append(path, json.dumps(record, ensure_ascii=False).encode("utf-8"))

    patience, stale, ask = _Patience(studio, row, say), 0, not row.video_url
    while True:
        studio.leases.check(row.client_request_id)
        if ask:
            fresh = await _fresh_url(studio, row, patience)
            if fresh:
                row = await update(video_url=fresh)
            ask = False
        try:
            async with studio.downloads:  # and not while it waits: others may be had from another host
                await download(studio.client, row.video_url or "", target, partial=partial, seal=seal)
        except StaleUrlError:
            stale, ask = stale + 1, True
            if stale == FETCH_ATTEMPTS:
                raise
        except BrokenOffError as error:
            if error.progressed:
                patience.renew()
            await patience.wait(error)
        else:
            return await _saved(studio, row, target, update, say)


class _Patience:
    """How long a video that is paid for is tried again.

    Seconds of waiting are counted, not tries, and no clock is asked: a network may be away for an hour, a laptop sleep
    for a night.
    """

    def __init__(self, studio: Studio, row: Row, say: Callable[[str], object]) -> None:
        self._studio, self._row, self._say = studio, row, say
        self.renew()

    def renew(self) -> None:
        """It got further: from here on all of it again."""
        self._waited, self._attempt = 0.0, 0

    @property
    def is_over(self) -> bool:
        """Whether it was tried again for long enough."""
        return self._waited >= PATIENCE

    async def pause(self, why: str, retry_after: float | None = None) -> None:
        """Say why, and wait until the next try.

        Raises
        ------
        LeaseLostError
            Another process goes on.
        """
        self._say(f"The video is made. {why} Trying again.")
        self._attempt += 1
        seconds = retry.backoff(self._attempt, random.random(), retry_after)
        self._waited += seconds
        await background.pause(seconds)
        self._studio.leases.check(self._row.client_request_id)

    async def wait(self, error: KlingError) -> None:
        """Wait until the vendor, or where it keeps its videos, is asked again.

        Raises
        ------
        DownloadError
            It was tried again for long enough.
        LeaseLostError
            Another process goes on.
        """
        if self.is_over:
            raise DownloadError(
                f"The video is made, and could not be fetched. {error.message}",
                hint=f"Tried again for {PATIENCE / 60:g} min. It is kept at the vendor for a while; the same call "
                "again, or a new kernel, fetches it, free of charge.",
            ) from None
        await self.pause(error.message, error.retry_after if isinstance(error, RateLimitError) else None)


async def _saved(studio: Studio, row: Row, target: Path, update: Update, say: Callable[[str], object]) -> Row:
    """Say that it is saved, and with the same write that nobody need go on with it."""
    await _deliver(studio, row, target, say)

    def tidy() -> dict[str, Any]:
        _drop_partials(target)  # first: nobody takes up again what is saved
        return {}

    row = await update(tidy, saved=time.time(), lease_owner=None, lease_until=None)
    studio.leases.let_go(row.client_request_id)
    return row


async def _deliver(studio: Studio, row: Row, target: Path, say: Callable[[str], object]) -> None:
    """Put the whole video where the workspace keeps its videos. It is paid for: a store that is away is waited for."""
    patience = _Patience(studio, row, say)
    while True:
        try:
            await background.in_thread(studio.workspace.deliver, target, row)
            return
        except StoreError as error:
            if not error.passing or patience.is_over:
                raise DownloadError(
                    f"The video is made, and is not yet where it belongs: {error.message}",
                    hint=f"{error.hint} It is kept at the vendor, and as {target}; the same call again, or a new "
                    "kernel, puts it there, free of charge.",
                    generation_id=row.generation_id,
                ) from error
            await patience.pause(error.message)


async def _fresh_url(studio: Studio, row: Row, patience: _Patience) -> str | None:
    """The address as the vendor gives it now. The video is paid for: a busy moment is no reason to stop."""
    while True:
        try:
            return (await studio.client.retrieve(str(row.generation_id))).video_url
        except (ServerError, RateLimitError) as error:
            await patience.wait(error)


def _is_there(workspace: Workspace, target: Path, row: Row) -> bool:
    """Whether the whole video of this generation has its name already: it says so itself."""
    try:
        workspace.bring(target)
        content = mp4_metadata.read(target)
    except (OSError, StoreError):  # a store that cannot be asked: then it is fetched once more from the vendor
        return False
    found = row_of(content) if content is not None else None
    return found is not None and found.client_request_id == row.client_request_id


def _partials(target: Path) -> list[Path]:
    # Not glob(): a pattern of this name would be compiled, and kept in caches, for one question.
    beginning = f"{target.name}."
    names = [name for name in os.listdir(target.parent) if name.startswith(beginning) and name.endswith("part")]
    return sorted((target.parent / name for name in names), key=lambda path: path.stat().st_size)


def _adopt(target: Path, partial: Path) -> None:
    """Go on from what another process fetched, with a copy: it may not be dead."""
    with contextlib.suppress(OSError):  # gone in this moment, or no room for two: then from the start
        others = [path for path in _partials(target) if path != partial]
        if others and not partial.exists():
            shutil.copyfile(others[-1], partial)


def _tidy(folder: Path, target: Path, row: Row) -> None:
    """Nothing of it is under way any more."""
    _drop_partials(target)
    with contextlib.suppress(OSError):  # a read-only folder: nothing depends on it
        pending.remove(folder, row.client_request_id)


def _drop_partials(target: Path) -> None:
    """What this and other processes had fetched of it."""
    with contextlib.suppress(OSError):
        for path in _partials(target):
            path.unlink(missing_ok=True)
