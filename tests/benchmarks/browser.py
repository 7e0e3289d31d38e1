"""What a person sees in JupyterLab, in a real Chromium: ``python -m tests.benchmarks.browser [part …]``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from playwright.sync_api import Browser

from tests.benchmarks import browser_gradio, browser_upload, browser_video, browser_widget
from tests.benchmarks.browser_page import QuietLab, open_browser, open_lab, open_quiet_lab, open_server
from tests.e2e.lab import Lab

QUIET: dict[str, Callable[[QuietLab], list[bool]]] = {
    "widget": browser_widget.report,
    "upload": browser_upload.report,
    "video": browser_video.report,
}
WATCHED: dict[str, Callable[[Browser, Lab], list[bool]]] = {
    "file_upload": browser_upload.file_upload,
    "gradio": browser_gradio.report,
}
"""What Playwright's eyes are needed for; its figures are not compared with the ones above."""
VERSIONS = ("jupyterlab", "anywidget", "ipywidgets", "ipykernel")


def report(parts: Sequence[str] = ()) -> list[bool]:
    """Print the lines of the table that are about a browser; whether each target is reached."""
    results, wanted = [], parts or (*QUIET, *WATCHED)
    with open_server() as server:
        print("        " + ", ".join(f"{name} {version(name)}" for name in VERSIONS), flush=True)
        with open_quiet_lab(server) as lab:
            for name in [name for name in wanted if name in QUIET]:
                print(f"        {lab.page.browser}; load {os.getloadavg()[0]:.1f}", flush=True)
                results += QUIET[name](lab)
        with open_browser() as browser, open_lab(server, browser) as watched:
            for name in [name for name in wanted if name in WATCHED]:
                results += WATCHED[name](browser, watched)
    return results


if __name__ == "__main__":
    sys.exit(0 if all(report(sys.argv[1:])) else 1)
