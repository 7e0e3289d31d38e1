"""What a running generation says of itself: words, times, and never more than is known."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from kling_widget import polling, progress
from kling_widget.errors import GenerationFailedError
from kling_widget.ledger import Row

EXPECTED = polling.Expectation((polling.LogNormal(186.0, 0.35),))


def generation(**changes: Any) -> Any:
    row = Row("kw-1", "simulator", "hash", request={"prompt": "a <b>quiet</b> harbour"})
    facts = {"row": row, "status": "generating", "elapsed": 72.0, "expected": EXPECTED, "simulated": False}
    facts |= {"video": None, "error": None, "note": "", "shown_in_cell": None, "awaited": False}
    return SimpleNamespace(**{**facts, **changes})


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (72.9, "1:12"), (3_725, "1:02:05")])
def test_times_read_as_hours_minutes_and_seconds(seconds: float, shown: str) -> None:
    assert progress.clock(seconds) == shown


@pytest.mark.parametrize(
    ("elapsed", "words"),
    [
        (0, "about 3 min left"),
        (120, "about 1 min left"),
        (131, "about 55 s left"),
        (180, "about 5 s left"),
        (183, "a few seconds left"),
        (200, "a few seconds left"),
        (400, "longer than usual"),
    ],
)
def test_what_is_left_is_said_in_words(elapsed: float, words: str) -> None:
    assert progress.remaining(elapsed, EXPECTED) == words


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert progress.remaining(10, None) == ""
    assert progress.fraction(10, None) == 0


def test_only_a_video_fills_the_bar() -> None:
    shares = [progress.fraction(seconds, EXPECTED) for seconds in (0, 50, 180, 500, 50_000)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 0.97


def test_every_status_has_its_word() -> None:
    for status in ("submitting", "queued", "generating", "downloading", "completed", "rejected", "unknown", "error"):
        assert progress.line(generation(status=status)).startswith(progress.WORDS[status])
    assert progress.line(generation(status="stopped")) == "Not being watched · 1:12"


def test_the_line_says_status_time_and_what_is_left() -> None:
    assert progress.line(generation()) == "Generating · 1:12 · about 2 min left"
    assert progress.line(generation(simulated=True)).endswith(" · simulated")
    assert progress.line(generation(note="The store is away.")).endswith(" · The store is away.")


def test_the_line_says_what_was_charged_where_it_is_known() -> None:
    paid = generation(status="completed").row.with_(provider="https://api.example", usd=0.66)
    assert progress.line(generation(status="completed", row=paid)) == "Ready · 1:12 · $0.66"
    assert progress.line(generation(status="completed", row=paid.with_(usd=None))) == "Ready · 1:12"
    built_in = paid.with_(provider="simulator", usd=0.0)
    assert progress.line(generation(status="completed", row=built_in, simulated=True)) == "Ready · 1:12 · simulated"


def test_a_player_on_the_page_is_not_replaced_when_the_charge_becomes_known(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []

    class Handle:  # IPython's needs a kernel
        def display(self, bundle: dict[str, str], raw: bool) -> None:
            shown.append(bundle)

        update = display

    monkeypatch.setattr("IPython.display.DisplayHandle", Handle)
    clip = generation(key="kw-1")
    output = progress.CellOutput([clip])

    class Shown:
        shown_in_cell = None
        caption = property(lambda self: f"charged {clip.row.usd}")

        def html(self) -> str:
            return f"<video> {clip.row.usd}"

        def __repr__(self) -> str:
            return "Video('a.mp4')"

    clip.video = Shown()
    clip.status = "completed"
    output.update(clip)
    clip.row = clip.row.with_(provider="https://api.example", usd=0.66)
    output.update(clip)
    assert shown[1:] == [{"text/html": "<video> None", "text/plain": "Video('a.mp4') · charged None"}]
    progress.CellOutput([clip])
    assert shown[-1] == {"text/html": "<video> 0.66", "text/plain": "Video('a.mp4') · charged 0.66"}


def test_a_prompt_is_never_markup_and_an_error_neither() -> None:
    running = progress._html(generation())
    assert "&lt;b&gt;quiet" in running
    assert "<b>" not in running
    assert 'value="0.387"' in running
    failed = progress._html(
        generation(status="error", error=GenerationFailedError("no <img src=x>", hint="Try again."))
    )
    assert "no &lt;img src=x&gt; Try again." in failed


def test_a_reason_that_is_raised_is_not_shown_a_second_time() -> None:
    failed = generation(status="error", error=GenerationFailedError("The filter spoke up."), awaited=True)
    assert "Not made · 1:12." in progress._html(failed)
    assert "filter" not in progress._html(failed) + progress._saved(failed)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_line_that_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    surface = progress._surface(generation())
    assert surface is not None
    surface.update(generation())
    surface.update(generation(status="error", error=GenerationFailedError("The filter spoke up.")))
    surface.update(generation())  # news that comes too late is not shown below the end
    lines = terminal.getvalue().split("\r")
    assert "Generating · 1:12" in lines[1]
    assert lines[1].count("█") == round(24 * 72 / 186)
    assert "The filter spoke up." in lines[2]
    assert len(lines) == 3
    assert terminal.getvalue().count("\n") == 1


def test_what_is_ready_already_is_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    monkeypatch.setattr("kling_widget.background.go", lambda later: later.close())
    ready = generation(
        status="completed", video=SimpleNamespace(address="clips/a.mp4"), on_change=lambda listener: None
    )
    progress.show(ready)
    assert "Ready · 1:12 · clips/a.mp4" in terminal.getvalue()


def test_where_nobody_looks_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert progress._surface(generation()) is None
