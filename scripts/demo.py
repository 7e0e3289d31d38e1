"""``python -m scripts.demo``: JupyterLab on the quickstart, on the simulator. It costs nothing and asks nothing."""

from __future__ import annotations

import os
import signal
import sys
import webbrowser
from pathlib import Path
from types import FrameType
from typing import NoReturn

from scripts.jupyter import ServerFailed, start

ROOT = Path(__file__).parent.parent
NOTEBOOK = "notebooks/quickstart.ipynb"

SPENDS = ("AIMLAPI_KEY", "AIML_API_KEY", "AIMLAPI_API_KEY", "KLING_WIDGET_BASE_URL")
"""What could lead to the real API and so to a bill: hidden from the demo, whatever the shell exports."""


def has_desktop() -> bool:
    """Whether a browser window could open here. A text browser must not take the terminal over."""
    if "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def interrupted(_signal: int, _frame: FrameType | None) -> NoReturn:
    """`kill` ends the demo as cleanly as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    """Runs until Ctrl-C."""
    environment = {name: value for name, value in os.environ.items() if name not in SPENDS}
    environment["KLING_WIDGET_SIMULATE"] = "1"
    home = Path(sys.prefix) / "demo"
    signal.signal(signal.SIGTERM, interrupted)
    try:
        server = start(home, ROOT, environment=environment, port=8888)
    except ServerFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    try:
        address = server.address(f"lab/tree/{NOTEBOOK}")
        print(f"\nThe demo is ready. It runs on the simulator: no key, no cost.\n\n    {address}\n", flush=True)
        opened = has_desktop() and webbrowser.open(address)
        print("It is opening in your browser." if opened else "Open this address in a browser.")
        print(f"Ctrl-C stops it. Its log: {os.path.relpath(server.log)}", flush=True)
        return server.process.wait()
    except KeyboardInterrupt:
        print("\nStopping JupyterLab")
        return 0
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
