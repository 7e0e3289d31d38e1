"""A page of a Chromium that nobody listens to while it is measured.

Playwright listens to the network of its pages, as DevTools do when they are open: of each message on a websocket the
page then makes a copy as Base64, which the browser hands on. That takes more processor time than the message itself,
and no person's browser does it. Here only what is asked is asked, of the same Chrome DevTools Protocol.
"""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import websocket

START = 60.0  # seconds until the browser must have said where it listens
LOOK = 0.05  # seconds between two looks at whether something has come true


class QuietPage:
    """As much of a page as a benchmark needs, by the names that Playwright has for it.

    Parameters
    ----------
    address
        The page's own websocket of the browser's protocol.
    patience
        Seconds that an answer may take.
    """

    def __init__(self, address: str, patience: float) -> None:
        self._socket = websocket.create_connection(address, timeout=patience, suppress_origin=True)
        self._patience = patience
        self._calls = 0

    @property
    def browser(self) -> str:
        """Name and version of the browser."""
        return str(self._call("Browser.getVersion")["product"])

    def evaluate(self, expression: str, argument: Any = None) -> Any:
        """Call a function in the page, or evaluate an expression; await what it promises.

        Raises
        ------
        RuntimeError
            It threw.
        """
        return self._evaluated(f"({expression})({json.dumps(argument)})" if "=>" in expression else expression)["value"]

    def run_script(self, path: Path) -> None:
        """Run a file's JavaScript in the page."""
        self._evaluated(f"{path.read_text(encoding='utf-8')}\n;null")

    def wait_for_function(self, expression: str, *, arg: Any = None, timeout: float | None = None) -> Any:
        """Wait until a function gives something, for `timeout` milliseconds at most."""
        ends = time.monotonic() + (self._patience if timeout is None else timeout / 1000)
        while not (value := self.evaluate(expression, arg)):
            if time.monotonic() > ends:
                raise TimeoutError(f"It did not come true: {expression}")
            time.sleep(LOOK)
        return SimpleNamespace(json_value=lambda: value)

    def goto(self, url: str) -> None:
        """Go to another page and wait until it has loaded."""
        self._call("Page.navigate", url=url)
        self.wait_for_function("() => location.href !== 'about:blank' && document.readyState === 'complete'")

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in a picker, as the browser's own dialog does."""
        found = self._evaluated(f"document.querySelector({json.dumps(selector)})", by_value=False)
        self._call("DOM.setFileInputFiles", files=[str(file)], objectId=found["objectId"])

    def close(self) -> None:
        """Hang up; the page goes with its browser."""
        self._socket.close()

    def _evaluated(self, expression: str, *, by_value: bool = True) -> dict[str, Any]:
        answer = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=by_value)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression[:200]}: {answer['exceptionDetails']}")
        return {"value": None, **answer["result"]}

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != self._calls:
            pass  # an event
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])


@contextmanager
def open_quiet_page(program: str, arguments: Sequence[str], folder: Path, patience: float) -> Iterator[QuietPage]:
    """The one page of a browser of its own, which keeps its things in `folder`."""
    command = [
        program, "--headless", "--remote-debugging-port=0", f"--user-data-dir={folder}", "--window-size=1280,900",
        *arguments, "about:blank",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            page = QuietPage(_address(folder / "DevToolsActivePort"), patience)
            yield page
            page.close()
        finally:
            browser.terminate()


def _address(said: Path) -> str:
    """The websocket of the page, as soon as the browser has left word where it listens."""
    ends = time.monotonic() + START
    while not (said.exists() and said.read_text().count("\n")):
        if time.monotonic() > ends:
            raise TimeoutError("The browser did not start.")
        time.sleep(LOOK)
    with urllib.request.urlopen(f"http://127.0.0.1:{said.read_text().split()[0]}/json/list") as answer:
        return str(next(target for target in json.load(answer) if target["type"] == "page")["webSocketDebuggerUrl"])
