"""The process that is killed: makes clips in a workspace, taking up what an earlier process left.

Started from multiprocessing's fork server, which has imported everything and runs no thread: each process is a new
one with its own memory, connections and background loop, and begins to work within milliseconds instead of a second.
"""

from __future__ import annotations

import io
import multiprocessing
import random
import sys
from collections import deque
from multiprocessing.context import ForkServerContext
from pathlib import Path

import av
import httpx
import sqlalchemy  # noqa: F401 -- imported once, in the fork server
from PIL import Image

import kling_widget as kw
from kling_widget import client, polling, retry, workspace
from kling_widget.ledger import FREE_TAKE
from kling_widget.studio import Studio
from tests.torture.vendor import KEY

AT_ONCE = 6
"""Generations under way at a time."""
AGAIN = 4
"""How many of the newest requests a new process asks for once more: a person who presses *Run All*."""
ROUNDS = 30
"""How often the last process takes up what is not done yet before it gives up."""


def context() -> ForkServerContext:
    """Where processes come from."""
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload([__name__])
    return chosen


def picture() -> bytes:
    """The one first frame of all requests."""
    target = io.BytesIO()
    Image.new("RGB", (320, 320), "teal").save(target, "PNG")
    return target.getvalue()


def studio_on(url: str, folder: Path, *, patience: float | None = None, database: str | None = None) -> Studio:
    """A studio as a new kernel would have it, but less patient: seconds stand for the vendor's minutes."""
    retry.LOOKUP_DELAYS = (0.05, 0.1, 0.2, 0.4)
    polling.SLOWEST = 0.5  # what is found in the log doesn't tell that it is made on a fast simulator
    if patience is not None:
        client.TIMEOUT = httpx.Timeout(patience)
    return Studio(api_key=KEY, base_url=url, workspace=folder, database=database)


def keep_making(
    url: str, folder: Path, last: int | None = None, patience: float | None = None, database: str | None = None
) -> None:
    """Take up, then submit request after request, each repeatable; ends after request number `last`, if ever."""
    studio = studio_on(url, folder, patience=patience, database=database)
    studio.take_up()
    number = max(0, len(studio.workspace.ledger.rows()) - AGAIN)
    frame, under_way = picture(), deque[kw.Generation]()
    while last is None or number < last:
        under_way.append(studio.submit(frame, f"clip {number}", send_anyway=True))
        number += 1
        if len(under_way) >= AT_ONCE:
            outcome(under_way.popleft())
    for generation in under_way:
        outcome(generation)


def settle(url: str, folder: Path, patience: float | None = None, database: str | None = None) -> None:
    """Take up until everything is saved, refused or known to be unknown."""
    studio = studio_on(url, folder, patience=patience, database=database)
    for _ in range(ROUNDS):
        for generation in studio.take_up():
            outcome(generation)
        if all(row.status == "unknown" for row in studio.workspace.ledger.unfinished()):
            return
    sys.exit("not everything could be settled")


def outcome(generation: kw.Generation) -> None:
    """Wait for it. Only errors with a name may come, and each is told."""
    try:
        generation.wait(60)
    except kw.KlingError as error:
        if type(error) is kw.KlingError:
            raise
        if generation.row.status in FREE_TAKE:
            raise
        print(f"{generation.key}: {type(error).__name__}", file=sys.stderr, flush=True)


def chance(seed: int, number: int) -> random.Random:
    """Randomness that a failing run can be repeated with."""
    return random.Random(f"{seed}:{number}")


_PRELOADED = (av, workspace)
