"""What a person sees in JupyterLab, in a real Chromium: ``python -m tests.benchmarks.browser [part …]``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from playwright.sync_api import Browser

from tests.benchmarks import browser_gradio, browser_upload, browser_video, browser_widget
from tests.benchmarks.browser_page import open_browser, open_lab
from tests.e2e.lab import Lab

PARTS: dict[str, Callable[[Browser, Lab], list[bool]]] = {
    "widget": browser_widget.report,
    "upload": browser_upload.report,
    "video": browser_video.report,
    "gradio": browser_gradio.report,
}


def report(parts: Sequence[str] = ()) -> list[bool]:
    """Print the lines of the table that are about a browser; whether each target is reached."""
    with open_browser() as browser, open_lab(browser) as lab:
        return [result for name in parts or PARTS for result in PARTS[name](browser, lab)]


if __name__ == "__main__":
    sys.exit(0 if all(report(sys.argv[1:])) else 1)
