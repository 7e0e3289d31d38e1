"""The stand-in as tests use it: run a cell, look at its output."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.node import FRONT_END
from tests.e2e.standin.bridge import Bridge
from tests.e2e.standin.rules import Rules

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Locator

HERE = Path(__file__).parent
FAKE_COLAB = HERE.parent.parent / "fake_colab"


def build(folder: Path) -> Path:
    """Bundle what runs in the frames into `folder`; half a second."""
    bundle = folder / "frame.js"
    (esbuild,) = FRONT_END.glob("node_modules/@esbuild/*/bin/esbuild")  # the program itself, which needs no Node
    options = ["--bundle", f"--outfile={bundle}", "--loader:.css=empty", "--loader:.svg=text", "--log-level=error"]
    subprocess.run([esbuild, HERE / "frame.mjs", *options], check=True)
    return bundle


def start(rules: Rules, bundle: Path, folder: Path, **environment: str) -> Bridge:
    """Start a kernel as the host would: with its marks, in an empty folder."""
    shown = {"frames": rules.frames, "state": rules.state, "buffers": rules.buffers}
    shown |= {"mark": rules.mark, "resolveUrl": rules.resolve_url}
    bridge = Bridge(
        rules,
        {
            "": ("text/html", (HERE / "host.html").read_bytes()),
            "rules.json": ("application/json", json.dumps({"sandbox": rules.sandbox, "rules": shown}).encode()),
            "frame.html": ("text/html", b'<!doctype html><meta charset="utf-8"><script src="/frame.js"></script>'),
            "frame.js": ("text/javascript; charset=utf-8", bundle.read_bytes()),
            "anywidget.js": ("text/javascript; charset=utf-8", _anywidget()),
            "favicon.ico": ("image/x-icon", b""),
        },
    )
    ours = {**os.environ, **rules.environment, **environment}
    if rules.name == "colab":
        ours["PYTHONPATH"] = str(FAKE_COLAB)
    bridge.start(folder, ours)
    return bridge


def _anywidget() -> bytes:
    """anywidget's own front end, from the installed package."""
    return (files("anywidget") / "nbextension" / "index.js").read_bytes()


class StandIn:
    """A page of the stand-in.

    Attributes
    ----------
    problems
        Errors on the console, in the page and its frames.
    """

    def __init__(self, bridge: Bridge, browser: Browser) -> None:
        self.bridge = bridge
        self.problems: list[str] = []
        self.page = browser.new_page(viewport={"width": 900, "height": 900})
        self.page.on("console", lambda said: said.type == "error" and self.problems.append(said.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.goto(bridge.url)
        self.page.wait_for_function("() => document.title.endsWith('connected')")

    def run(self, code: str) -> Locator:
        """Run a cell; its outputs, as one element in its frame."""
        cell = self.bridge.run(code)
        name = f"cell-{cell}" if self.bridge.rules.frames == "cell" else "notebook"
        return self.page.frame_locator(f"iframe[name={name}]").locator(f"#cell-{cell}")

    def frame_of(self, output: Locator) -> Frame:
        """The frame an output is in."""
        frame = output.element_handle().owner_frame()
        assert frame is not None
        return frame

    def look_at(self, output: Locator) -> None:
        """Scroll to the frame of an output: one that is out of sight is not drawn, so nothing in it ever moves."""
        self.frame_of(output).frame_element().scroll_into_view_if_needed()

    def evaluate(self, expression: str) -> Any:
        """The value of a Python expression in the kernel."""
        return self.bridge.evaluate(expression)
