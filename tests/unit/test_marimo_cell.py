"""What waits in a marimo cell and who can be asked there; the rest runs in the real marimo (`e2e/test_hosts.py`)."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from kling_widget import marimo_cell, notebook_files


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the cell's output has held, one after the other."""
    held: list[str] = []
    output = SimpleNamespace(replace=held.append)
    monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace(output=output, Html=str))
    return held


def three_looks(ended: Future[str]) -> Callable[[], str]:
    """What is shown: the same twice, then another state, in which it ends."""
    states = iter(["none", "none", "one"])

    def html() -> str:
        state = next(states, "all")
        if state == "one":
            ended.set_result("results")
        return state

    return html


@pytest.mark.parametrize(("mode", "can"), [("edit", True), ("run", False)])
def test_a_marimo_app_asks_nobody_even_if_a_terminal_serves_it(
    monkeypatch: pytest.MonkeyPatch, mode: str, can: bool
) -> None:
    module = SimpleNamespace(running_in_notebook=lambda: True, app_meta=lambda: SimpleNamespace(mode=mode))
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setitem(sys.modules, "marimo", module)
    assert notebook_files.takes_input() is can


def test_what_is_waited_for_is_shown_anew_when_it_has_changed_and_at_the_end(shown: list[str]) -> None:
    ended: Future[str] = Future()
    assert marimo_cell.watch(ended, None, three_looks(ended)) == "results"
    assert shown == ["none", "one", "all"]


async def test_a_cell_that_awaits_shows_it_too_and_its_loop_turns(shown: list[str]) -> None:
    ended: Future[str] = Future()

    async def turns() -> int:
        count = 0
        while not ended.done():
            await asyncio.sleep(0.01)
            count += 1
        return count

    results, count = await asyncio.gather(marimo_cell.watch_async(ended, three_looks(ended)), turns())
    assert results == "results"
    assert shown == ["none", "one", "all"]
    assert count > 5


async def test_what_an_awaited_one_raises_comes_after_the_last_look(shown: list[str]) -> None:
    ended: Future[str] = Future()
    ended.set_exception(RuntimeError("the rows' own"))
    with pytest.raises(RuntimeError, match="the rows' own"):
        await marimo_cell.watch_async(ended, lambda: "all")
    assert shown == ["all"]


def test_time_is_up_and_what_is_waited_for_goes_on(shown: list[str]) -> None:
    ended: Future[str] = Future()
    with pytest.raises(TimeoutError):
        marimo_cell.watch(ended, 0.05, lambda: "none")
    assert shown == ["none"]
    assert not ended.done()


def test_what_it_raises_comes_after_the_last_look(shown: list[str]) -> None:
    ended: Future[str] = Future()
    later = threading.Timer(0.1, ended.set_exception, [RuntimeError("the rows' own")])
    states = iter(["none"])

    def html() -> str:
        if not shown:
            later.start()
        return next(states, "all")

    with pytest.raises(RuntimeError, match="the rows' own"):
        marimo_cell.watch(ended, None, html)
    assert shown == ["none", "all"]


def test_an_error_of_its_own_is_not_taken_for_the_time(shown: list[str]) -> None:
    ended: Future[str] = Future()

    def html() -> str:
        if not ended.done():
            ended.set_exception(TimeoutError("the rows' own"))
        return "none"

    with pytest.raises(TimeoutError, match="the rows' own"):
        marimo_cell.watch(ended, None, html)
    assert shown == ["none"]
