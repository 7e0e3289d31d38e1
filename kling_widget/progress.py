"""What a running generation looks like in the output of a cell, or in a terminal."""

from __future__ import annotations

import asyncio
import html
import sys
from typing import TYPE_CHECKING, Any, Protocol

from . import background
from .colours import FAILED
from .notebook_files import kernel_shell, running_cell, runs_now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from . import polling
    from .generation import Generation

TICK = 0.5  # seconds; jupyter_server drops messages past 1000 a second, and more than 4 a second nobody can read
BAR = 24  # characters

WORDS = {
    "submitting": "Sending",
    "queued": "Queued",
    "generating": "Generating",
    "downloading": "Saving",
    "completed": "Ready",
    "rejected": "Not accepted",
    "unknown": "Checking whether it was accepted",
    "error": "Not made",
    "stopped": "Not being watched",
}


def clock(seconds: float) -> str:
    """Seconds as ``1:12``, from an hour on as ``1:02:03``; as the widget's list writes them (`js/src/status.ts`)."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def remaining(elapsed: float, expected: polling.Expectation | None) -> str:
    """How long it still takes, in words: never more exact than it can be known."""
    if expected is None:
        return ""
    from . import polling  # only now: the widget's own output needs none of that

    if polling.is_late(elapsed, expected):
        return "longer than usual"
    return about(expected.median - elapsed)


def about(left: float) -> str:
    """So many seconds in words, as coarse as they are known; in those of the widget's list."""
    if left > 55:
        return f"about {round(left / 60)} min left"
    return f"about {5 * round(left / 5)} s left" if left > 5 else "a few seconds left"


def fraction(elapsed: float, expected: polling.Expectation | None) -> float:
    """How far along it is, 0 to 0.97: only a video is the whole of it."""
    return min(0.97, elapsed / expected.median) if expected else 0.0


def line(generation: Generation) -> str:
    """Status, elapsed time, what is left, what it cost and what it waits for, in one line."""
    from .money import charge

    parts = [WORDS[generation.status], clock(generation.elapsed)]
    if generation.status in ("submitting", "queued", "generating"):
        parts.append(remaining(generation.elapsed, generation.expected))
    parts.append(charge(generation.row.usd, generation.row.provider))
    if generation.simulated:
        parts.append("simulated")
    parts.append(generation.note)
    return " · ".join(part for part in parts if part)


def problem(generation: Generation) -> str:
    """Why there is no video, with what to do next; only that there is none where the error that is raised says it."""
    if generation.error is None:
        return ""
    return f"{line(generation)}." if generation.awaited else str(generation.error)


class _Surface(Protocol):
    def update(self, generation: Generation) -> None: ...


def show(generation: Generation) -> None:
    """Show progress, then the video, where the running cell's output goes. Returns at once."""
    surface = _surface(generation)
    if surface is not None:
        surface.update(generation)  # what is ready already is shown before the next prompt is
        generation.on_change(surface.update)
        background.go(_tick(generation, surface))


def show_as_value(generation: Generation) -> None:
    """Show it as a cell's value, unless the cell shows it already.

    Raises
    ------
    NotImplementedError
        This is no notebook: IPython then takes the ``repr``.
    """
    if kernel_shell() is None:
        raise NotImplementedError
    if not runs_now(generation.shown_in_cell):
        generation.awaited = False  # who waited was told why it failed in that cell; in this one nobody raises it
        show(generation)


def as_still_html(generation: Generation) -> str:
    """For a page that does not change by itself, as marimo's: the video, why there is none, or where it will be."""
    if generation.video is not None or not generation.active:
        generation.awaited = False  # as above
        return _html(generation)
    return (
        f"<div>{prompt_as_html(generation)}<br><small>It is being made. marimo shows it below a cell that "
        "ends with the video: <code>await generation</code>, or <code>generation.wait()</code>.</small></div>"
    )


def prompt_as_html(generation: Generation) -> str:
    """The prompt in one line, cut where it is very long."""
    return html.escape(" ".join(str(generation.row.request.get("prompt", "")).split())[:200])


def _surface(generation: Generation) -> _Surface | None:
    """A cell's output inside a notebook, a line in a terminal, None elsewhere."""
    if kernel_shell() is not None:
        return CellOutput([generation])
    return _TerminalLine() if sys.stderr.isatty() else None


async def _tick(generation: Generation, surface: _Surface) -> None:
    surface.update(generation)
    while generation.active:
        await asyncio.sleep(TICK)
        surface.update(generation)


class LiveOutput:
    """An output of the running cell that can be changed later, from any thread, also when the cell is over.

    Parameters
    ----------
    bundle
        What it shows at first, by media type.
    """

    def __init__(self, bundle: dict[str, str]) -> None:
        from IPython.display import DisplayHandle

        self._last = bundle
        self._handle: Any = DisplayHandle()
        self._handle.display(bundle, raw=True)

    def show(self, bundle: dict[str, str]) -> None:
        """Show this, if it is another than what is shown."""
        if bundle != self._last:
            self._last = bundle
            self._handle.update(bundle, raw=True)


class CellOutput:
    """Generations in an output of the running cell.

    Parameters
    ----------
    generations
        What it shows, from the first to the last.
    videos_only
        Leave out what is not a video yet (the widget above shows that).
    """

    def __init__(self, generations: Iterable[Generation] = (), *, videos_only: bool = False) -> None:
        self._videos_only = videos_only
        self._generations = list(generations)
        self._players: dict[str, tuple[str, str]] = {}
        for generation in self._generations:
            generation.shown_in_cell = running_cell()
            if generation.video is not None:
                generation.video.shown_in_cell = generation.shown_in_cell
        self._output = LiveOutput(self._bundle())

    def update(self, generation: Generation) -> None:
        """Show the present state, if it is another than what is shown."""
        if generation not in self._generations:
            self._generations.append(generation)
        self._output.show(self._bundle())

    def _bundle(self) -> dict[str, str]:
        shown = [each for each in self._generations if each.video is not None or not self._videos_only]
        pages, texts = zip(*map(self._shown, shown), strict=True) if shown else ((), ())
        return {"text/html": "\n".join(pages), "text/plain": "\n".join(texts)}

    def _shown(self, generation: Generation) -> tuple[str, str]:
        """As a piece of a page and as text. A player stays as it was: one that is replaced stops playing.

        So a charge that the vendor tells of only minutes later is in the caption when the clip is shown the next time.
        """
        if generation.video is None:
            return _html(generation), _saved(generation)
        if generation.key not in self._players:
            self._players[generation.key] = _html(generation), _saved(generation)
        return self._players[generation.key]


class _TerminalLine:
    _over = False

    def update(self, generation: Generation) -> None:
        if self._over:
            return
        full = round(BAR * (1 if generation.video else fraction(generation.elapsed, generation.expected)))
        over = self._over = generation.video is not None or generation.error is not None
        text = f"\r[{'█' * full}{'·' * (BAR - full)}] {_plain(generation) if over else line(generation)}"
        print(f"{text}\x1b[K", end="\n" if over else "", file=sys.stderr, flush=True)


def _plain(generation: Generation) -> str:
    if generation.video is not None:
        return f"{line(generation)} · {generation.video.address}"
    return problem(generation) or line(generation)


def _saved(generation: Generation) -> str:
    """What stays in the notebook: of a video nothing that another run, or another machine, would say otherwise."""
    video = generation.video
    return _plain(generation) if video is None else f"{video!r} · {video.caption}"


def _html(generation: Generation) -> str:
    if generation.video is not None:
        return generation.video.html()
    prompt = prompt_as_html(generation)
    if generation.error is not None:
        return f'<div>{prompt}<br><span style="color:{FAILED}">{html.escape(problem(generation))}</span></div>'
    share = fraction(generation.elapsed, generation.expected)
    return (
        f'<div>{prompt}<br><progress max="1" value="{share:.3f}" aria-label="Progress"></progress> '
        f"<small>{html.escape(line(generation))}</small></div>"
    )
