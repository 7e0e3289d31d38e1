"""Finds the Chromium of the browser tests: ``python -m scripts.browser`` installs it where that is possible.

The distribution's Chromium (or Chrome) is wanted, not Playwright's own download: only the former plays H.264.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from scripts.distribution import ensure

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

MISSING = (
    "The browser tests need Chromium and none was found: install it with `sudo apt-get install chromium` "
    "(Debian; elsewhere Chromium or Google Chrome from your package manager), "
    "or say where it is with CHROMIUM=/path/to/chromium."
)


def runs(program: str) -> bool:
    """Whether the program really is a browser: Ubuntu's package `chromium-browser` is an empty shell around a snap."""
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def find_browser() -> str | None:
    """Path of a Chromium or Chrome that runs, or None. The environment variable CHROMIUM goes first."""
    named = os.environ.get("CHROMIUM")
    candidates = (named,) if named else NAMES
    found = (shutil.which(name) for name in candidates)
    return next((program for program in found if program and runs(program)), None)


if __name__ == "__main__":
    sys.exit(ensure(find_browser, "chromium", MISSING, named="CHROMIUM"))
