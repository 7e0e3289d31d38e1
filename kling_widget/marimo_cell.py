"""A generation or a batch in a marimo cell, whose output only the cell itself can change, and only while it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from . import background
from .course import stopped
from .errors import StoppedWatchingError
from .progress import TICK, as_still_html, fraction, line, prompt_as_html

if TYPE_CHECKING:
    from .generation import Generation
    from .video import Video

T = TypeVar("T")

STEPS = 100  # of the bar; marimo writes them beside it


def announce(generation: Generation) -> None:
    """Show it in the output of the cell that runs."""
    import marimo

    marimo.output.append(marimo.Html(as_still_html(generation)))


def wait(generation: Generation, timeout: float | None) -> Video:
    """Wait with a progress bar in the cell's output, then show the video there.

    marimo shows the value of the cell's last line instead, where it has one.

    Parameters
    ----------
    generation
        What to wait for.
    timeout
        Seconds; None waits for good.

    Raises
    ------
    KlingError
        As :meth:`Generation.wait` does.
    """
    import marimo

    looks = {"show_rate": False, "show_eta": False, "remove_on_exit": True}
    end, reached = math.inf if timeout is None else time.monotonic() + timeout, 0
    title = prompt_as_html(generation)  # HTML is what marimo takes for a title, too
    with marimo.status.progress_bar(total=STEPS, title=title, subtitle=line(generation), **looks) as bar:
        while (video := _wait_a_moment(generation, end, timeout)) is None:
            before, reached = reached, max(reached, round(STEPS * fraction(generation.elapsed, generation.expected)))
            bar.update(reached - before, subtitle=line(generation))
    marimo.output.append(marimo.Html(video.html()))
    return video


def watch(ended: Future[T], timeout: float | None, html: Callable[[], str]) -> T:
    """Wait in plain code, and keep what `html` gives in the cell's output meanwhile; it stays there.

    Parameters
    ----------
    ended
        A future of the background loop.
    timeout
        Seconds; None waits for good.

    Raises
    ------
    TimeoutError
        Time is up; what is being waited for goes on.
    """
    show, end = _output(), math.inf if timeout is None else time.monotonic() + timeout
    over = background.end_of(ended)  # waited for instead: what it raises itself comes after the last look
    while not over.done():
        show(html())
        left = end - time.monotonic()
        try:
            background.wait(over, max(0.0, min(TICK, left)))
        except TimeoutError:
            if left <= TICK and not over.done():
                raise
    show(html())
    return ended.result()


async def watch_async(ended: Future[T], html: Callable[[], str]) -> T:
    """As :func:`watch`, in a cell that awaits: its loop turns meanwhile."""
    show, over = _output(), False
    while not over:
        over = ended.done()  # before the look, so that the last one is at the end
        show(await background.bridge(background.start(background.in_thread(html))))
        if not over:
            await background.ended(ended, TICK)
    return ended.result()


def _output() -> Callable[[str], None]:
    """What shows a piece of a page as the output of the cell that runs, if it is another than what is shown."""
    import marimo

    shown = ""

    def show(html: str) -> None:
        nonlocal shown
        if html != shown:
            shown = html
            marimo.output.replace(marimo.Html(html))

    return show


def _wait_a_moment(generation: Generation, end: float, timeout: float | None) -> Video | None:
    left = end - time.monotonic()
    try:
        return generation.wait(max(0.0, min(TICK, left)))
    except StoppedWatchingError:
        if generation.status == "stopped":
            raise
        if left <= TICK:
            raise stopped(generation.row, f"Not ready after {timeout:g} s.") from None
        return None
