"""Gradio's page from a picture to a video: seconds from opening it to its picker, and what travels."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from scripts import bench
from scripts.jupyter import START_TIMEOUT
from tests.benchmarks.browser_page import PATIENCE, STOPWATCH, fresh, milliseconds
from tests.benchmarks.browser_widget import OURS
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook

APP = Path(__file__).with_name("gradio_app.py")
ROUNDS = 5
PICKER = """() => window.stopwatch.appears(document, () => {
    const picker = [...document.querySelectorAll("button, label")].find(
        (each) => each.textContent.includes("Drop Image Here"),
    );
    return picker?.offsetHeight && picker;
}).then(() => window.stopwatch.painted()).then(() => performance.now())"""
"""Milliseconds from the beginning of the navigation to the frame in which the picker is painted."""


@contextmanager
def served() -> Iterator[str]:
    """The page's address, as long as its server runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if not Path(bench.interpreter()).exists():
        raise SystemExit("Gradio is not installed: `make bench` does it, and so does `python -m scripts.bench`.")
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen([bench.interpreter(), APP, str(port)], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(url := f"http://127.0.0.1:{port}/", process)
        yield url
    finally:
        process.terminate()
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until the server answers."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=30).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise SystemExit("Gradio's server did not start.")


class Traffic:
    """Bytes that a page gets, files as they travel and messages of websockets, counted from here on."""

    def __init__(self, page: Any) -> None:
        self.bytes = 0
        self._session = page.context.new_cdp_session(page)
        self._session.on("Network.loadingFinished", lambda event: self._add(event["encodedDataLength"]))
        self._session.on("Network.webSocketFrameReceived", self._frame)
        self._session.send("Network.enable")

    def _add(self, size: float) -> None:
        self.bytes += round(size)

    def _frame(self, event: dict[str, Any]) -> None:
        response = event["response"]
        # What is not text is given as Base64 (Chrome DevTools Protocol, WebSocketFrame).
        self._add(len(response["payloadData"]) * (1 if response["opcode"] == 1 else 0.75))

    def close(self) -> None:
        self._session.detach()


def opened(browser: Browser, url: str) -> list[tuple[float, int]]:
    """Milliseconds and bytes of opening the page in a browser that has never seen it, and once more."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    context.add_init_script(path=STOPWATCH)
    figures = []
    for _ in range(2):
        page = context.new_page()
        traffic = Traffic(page)
        page.goto(url, wait_until="commit")
        painted = page.evaluate(PICKER)
        page.wait_for_load_state("load")
        figures.append((float(painted), traffic.bytes))
        page.close()
    context.close()
    return figures


def widget(notebook: Notebook) -> tuple[float, int]:
    """Milliseconds and bytes of the first widget of a kernel, in a JupyterLab that is open."""
    fresh(notebook)
    traffic = Traffic(notebook.page)
    painted = milliseconds(notebook, "widget", **OURS)
    traffic.close()
    return painted, traffic.bytes


def line(name: str, rounds: Sequence[tuple[float, int]]) -> str:
    """Seconds and kilobytes of several rounds, in words."""
    times, sizes = ([figure[column] for figure in rounds] for column in (0, 1))
    low, median, high = (f"{each / 1000:.2f}" for each in (min(times), statistics.median(times), max(times)))
    return (
        f"        {name}: painted after {median} s (min {low}, max {high}), {statistics.median(sizes) / 1000:,.0f} KB"
    )


def report(browser: Browser, lab: Lab) -> list[bool]:
    """Print the lines about Gradio's page; they have no target."""
    notebook = lab.notebook([""], name="gradio.ipynb")
    milliseconds(notebook, "widget", **OURS)  # what the page loads once
    ours = [widget(notebook) for _ in range(ROUNDS)]
    notebook.close()
    with served() as url:
        cold, warm = zip(*(opened(browser, url) for _ in range(ROUNDS)), strict=True)
    print(line("Gradio's page with its picker, in a browser that has never seen it", cold))
    print(line("… in one that has", warm))
    print(line("… the widget in an open JupyterLab, with its kernel's imports", ours), flush=True)
    return []
