"""A JupyterLab in a Chromium for the benchmarks, and times of ours and theirs taken in turns."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from playwright.sync_api import Browser, sync_playwright

from scripts.browser import MISSING, find_browser
from scripts.jupyter import RunningServer
from tests.benchmarks.quiet_page import QuietPage, open_quiet_page
from tests.conftest import OURS
from tests.e2e.lab import CHROMIUM_ARGUMENTS, IN_PAGE, NEWEST, Lab, start_server
from tests.e2e.notebook import Notebook, write_notebook

FOLDER = "benchmarks"
SETTLED = 0.4
"""Seconds between two measures: what a widget looks up once it is displayed must not fall into the next one's time."""
STOPWATCH = Path(__file__).with_suffix(".js")
PATIENCE = 120_000
"""Milliseconds until what a benchmark waits for must have happened: then it is stuck, not slow."""


def chromium() -> str:
    """Path of the distribution's Chromium."""
    program = find_browser()
    if program is None:
        raise SystemExit(MISSING)
    return program


@contextmanager
def open_browser() -> Iterator[Browser]:
    """The distribution's Chromium, as the browser tests start it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def open_server() -> Iterator[RunningServer]:
    """A JupyterLab with nobody's key and nothing of the user's.

    Its kernels find no keyring, as after ``pip install kling-widget``: it is an extra, and importing it takes 25 ms.
    """
    for name in [name for name in os.environ if name in OURS or name.startswith("KLING_WIDGET_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as home:
        extras = Path(home, "extras")
        extras.mkdir()
        (extras / "keyring.py").write_text("raise ImportError")
        server = start_server(Path(home), {"PYTHONPATH": str(extras)}, ports=True)
        try:
            (server.root / FOLDER).mkdir()
            yield server
        finally:
            server.stop()


@contextmanager
def open_lab(server: RunningServer, browser: Browser) -> Iterator[Lab]:
    """It in a page of Playwright's, with the stopwatch."""
    lab = Lab(server, browser, server.root / FOLDER)
    lab.page.set_default_timeout(PATIENCE)
    lab.page.add_init_script(path=STOPWATCH)
    lab.load()
    yield lab
    lab.close()


@dataclass
class QuietLab:
    """JupyterLab in a page that nobody listens to.

    Attributes
    ----------
    page
        The page.
    root, folder
        What the server serves, and where the notebooks are.
    """

    page: QuietPage
    root: Path
    folder: Path

    def notebook(self, cells: Sequence[str], *, name: str) -> Notebook:
        """Write a notebook, open it, and wait for its kernel."""
        path = self.folder / name
        write_notebook(path, cells, NEWEST)
        notebook = Notebook(cast(Any, self.page), self.root, path, NEWEST, {})
        notebook.open()
        return notebook


@contextmanager
def open_quiet_lab(server: RunningServer) -> Iterator[QuietLab]:
    """It in such a page, with the stopwatch."""
    home = server.home / "quiet"
    with open_quiet_page(chromium(), CHROMIUM_ARGUMENTS, home, PATIENCE / 1000) as page:
        page.goto(server.address("lab?reset"))
        page.wait_for_function("() => window.jupyterapp?.restored && true")
        for script in (IN_PAGE, STOPWATCH):
            page.run_script(script)
        page.evaluate("() => window.lab.ready()")
        yield QuietLab(page, server.root, server.root / FOLDER)


def fresh(notebook: Notebook) -> None:
    """A new kernel that has nothing to do."""
    notebook.restart()
    notebook.kernel_eval("None")


def ask(notebook: Notebook, function: str, **argument: str) -> Any:
    """Calls a function of the stopwatch for a notebook and awaits what it promises."""
    call = [function, {"path": notebook.name, **argument}]
    return notebook.page.evaluate("([name, argument]) => window.stopwatch[name](argument)", call)


def milliseconds(notebook: Notebook, function: str, **argument: str) -> float:
    """What one of the stopwatch's measures says of a cell, in a notebook without the outputs of the round before."""
    ask(notebook, "clear")
    time.sleep(SETTLED)
    return float(ask(notebook, function, **argument))


@dataclass
class Turns:
    """Ours and theirs, measured in turns: first the one, then the other, and the next time the other way round."""

    unit: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def take(self, ours: Callable[[], float], theirs: Callable[[], float]) -> None:
        """One more round."""
        turns = [(self.ours, ours), (self.theirs, theirs)]
        for column, measure in turns if len(self.ours) % 2 else reversed(turns):
            column.append(measure())

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.theirs, strict=True)]

    def __str__(self) -> str:
        low, high, rounds = min(self.ratios), max(self.ratios), len(self.ratios)
        ours, theirs = (f"{statistics.median(column):,.0f} {self.unit}" for column in (self.ours, self.theirs))
        return f"{self.ratio:.2f} ({ours} / {theirs}; min {low:.2f}, max {high:.2f}, {rounds} rounds)"
