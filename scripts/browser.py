"""Finds the Chromium of the browser tests: ``python -m scripts.browser`` installs it where that is possible.

The distribution's Chromium (or Chrome) is wanted, not Playwright's own download: only the former plays H.264.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

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


def install() -> None:
    """Installs Chromium from the distribution's packages, where we are root and the distribution is Debian's kin."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0 or "CHROMIUM" in os.environ:
        return
    print("Installing Chromium from the distribution's packages", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        subprocess.run([apt, "-qq", *arguments], env=environment, check=False, stdout=subprocess.DEVNULL)


def main() -> int:
    """Makes sure there is a browser; 1 and a sentence if there cannot be one."""
    if find_browser() is None:
        install()
    if find_browser() is None:
        print(MISSING, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
