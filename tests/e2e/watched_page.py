"""A page of a server that remembers what goes wrong in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.jupyter import RunningServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog


class WatchedPage:
    """A page of a server.

    Parameters
    ----------
    noise
        Pattern of an error → why it is the host's own and harmless.

    Attributes
    ----------
    server
        The server.
    page
        Playwright's page.
    problems
        Errors on the console and in the page, so far, without the host's own.
    """

    def __init__(self, server: RunningServer, browser: Browser, noise: Mapping[str, str]) -> None:
        self.server = server
        self.noise = noise
        self.problems: list[str] = []
        # 1280 x 900: a small laptop's window.
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.on("console", self.on_console)
        self.page.on("pageerror", lambda error: self.remember(f"uncaught in the page: {error}\n{error.stack}"))
        self.page.on("dialog", self.on_dialog)

    def on_console(self, message: ConsoleMessage) -> None:
        """Remembers what is logged as an error."""
        if message.type == "error":
            self.remember(f"console: {message.text} ({message.location.get('url', '')})")

    def remember(self, problem: str) -> None:
        """Keeps a problem, unless it is known noise."""
        if not any(re.search(pattern, problem) for pattern in self.noise):
            self.problems.append(problem)

    def on_dialog(self, dialog: Dialog) -> None:
        """Lets a reload go on; an alert is something a test wants to know of."""
        if dialog.type == "beforeunload":
            dialog.accept()
        else:
            self.problems.append(f"{dialog.type}: {dialog.message}")
            dialog.dismiss()

    def expect_problem(self, part: str) -> None:
        """Says that an error containing `part` has happened and is meant to; other errors still fail the test."""
        expected = [problem for problem in self.problems if part in problem]
        assert expected, f"no error contains {part!r}: {self.problems}"
        self.problems = [problem for problem in self.problems if part not in problem]

    def save_evidence(self, folder: Path) -> None:
        """Keeps what helps to understand a failure: the page, what it complained of, and the server's log.

        What the page and the log say is printed, too: of a failure elsewhere often only the report is at hand.
        """
        print(self.page.locator("body").aria_snapshot()[-4000:])
        print(self.server.log.read_text(encoding="utf-8", errors="replace")[-2000:])
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / "page.png")
        (folder / "problems.txt").write_text("\n".join(self.problems), encoding="utf-8")
        (folder / "server.log").write_bytes(self.server.log.read_bytes())

    def close(self) -> None:
        """Closes the page."""
        self.page.close()
