"""Fixtures of the browser tests: one server and one browser for all, a page and a folder for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from scripts.browser import MISSING, find_browser
from scripts.jupyter import RunningServer
from tests.e2e.lab import CHROMIUM_ARGUMENTS, Lab, start_server
from tests.e2e.watched_page import WatchedPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Page = TypeVar("Page", bound=WatchedPage)
StartServer = Callable[[Mapping[str, str]], RunningServer]

FAILED = pytest.StashKey[bool]()
PATIENCE = 20_000
"""Milliseconds until what is expected of a page must hold: a limit, not a measure, for the machine may be busy."""

RESULTS = Path(__file__).parent.parent.parent / "test-results"


@pytest.fixture(scope="session")
def start_lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[StartServer]:
    """Gives a server whose kernels have these environment variables; the same server for the same variables."""
    running: dict[frozenset[tuple[str, str]], RunningServer] = {}

    def give(variables: Mapping[str, str]) -> RunningServer:
        key = frozenset(variables.items())
        if key not in running:
            running[key] = start_server(tmp_path_factory.mktemp("jupyter"), variables)
        return running[key]

    yield give
    for server in running.values():
        server.stop()


@pytest.fixture(scope="session")
def server(start_lab: StartServer) -> RunningServer:
    """The server most tests share."""
    return start_lab({})


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    """The distribution's Chromium, which plays H.264."""
    from playwright.sync_api import expect, sync_playwright

    program = find_browser()
    if program is None:
        pytest.fail(MISSING, pytrace=False)  # not a skip: what was not tried has not been shown to work
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def lab(server: RunningServer, browser: Browser, request: pytest.FixtureRequest) -> Generator[Lab]:
    """JupyterLab, loaded in a page of its own. An error on its console fails the test."""
    yield from loaded_lab(server, browser, request)


def loaded_lab(server: RunningServer, browser: Browser, request: pytest.FixtureRequest) -> Generator[Lab]:
    """What the fixture `lab` does, for a test file whose kernels need another server."""
    folder = server.root / folder_name(request)
    folder.mkdir()
    lab = Lab(server, browser, folder)
    lab.load()
    yield from judged(lab, request)


def judged(page: Page, request: pytest.FixtureRequest) -> Generator[Page]:
    """Gives a page to a test, keeps evidence if that fails, closes it, and fails the test for errors on the page."""
    yield page
    if request.node.stash.get(FAILED, False) or page.problems:
        page.save_evidence(RESULTS / folder_name(request))
    page.close()
    assert not page.problems, "errors on the page:\n" + "\n".join(page.problems)


def folder_name(request: pytest.FixtureRequest) -> str:
    """The test's name as a folder may be called."""
    return re.sub(r"\W+", "-", request.node.nodeid.removeprefix("tests/e2e/")).strip("-")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tells the fixture `lab` whether its test failed."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report
