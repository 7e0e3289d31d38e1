"""A generation in a marimo cell, whose output only the cell itself can change, and only while it runs."""

from __future__ import annotations

import html
import math
import time
from typing import TYPE_CHECKING

from .course import stopped
from .errors import StoppedWatchingError
from .progress import TICK, fraction, line

if TYPE_CHECKING:
    from .generation import Generation
    from .video import Video

STEPS = 100  # of the bar; marimo writes them beside it


def announce(generation: Generation) -> None:
    """Show it in the output of the cell that runs."""
    import marimo

    marimo.output.append(marimo.Html(as_html(generation)))


def as_html(generation: Generation) -> str:
    """The video if it is there, else where it will be: nothing changes the output of a cell that is over."""
    if generation.video is not None:
        return generation.video.html()
    if generation.active:
        told = (
            "It is being made. marimo shows it below a cell that ends with the video: "
            "<code>await generation</code>, or <code>generation.wait()</code>."
        )
    else:
        told = html.escape(str(generation.error or line(generation)))
    return f"<div>{_prompt(generation)}<br><small>{told}</small></div>"


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
    with marimo.status.progress_bar(total=STEPS, title=_prompt(generation), subtitle=line(generation), **looks) as bar:
        while (video := _wait_a_moment(generation, end, timeout)) is None:
            before, reached = reached, max(reached, round(STEPS * fraction(generation.elapsed, generation.expected)))
            bar.update(reached - before, subtitle=line(generation))
    marimo.output.append(marimo.Html(video.html()))
    return video


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


def _prompt(generation: Generation) -> str:
    """As HTML, which is what marimo takes for a title, too."""
    return html.escape(" ".join(str(generation.row.request.get("prompt", "")).split())[:200])
