"""A batch in the real JupyterLab: asked in the cell, a contact sheet that fills, and stays without a kernel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.lab import Lab
from tests.e2e.people import IMAGES, MADE, assert_plays

HOSTILE = """<img src=x onerror="window.__pwned=1">"""
SWEEP = f"""import kling_widget as kw
prompts = ["slow dolly in {HOSTILE.replace('"', "'")}", "pan left [fail]"]
batch = kw.sweep(image=["rocket.jpg", "coffee.png"], prompt=prompts, cfg_scale=[0.2, 0.5, 0.8])
batch"""
MANY = """rows = [{"image": "rocket.jpg", "prompt": f"p{number}"} for number in range(60)]
many = kw.batch(rows, concurrency=2, confirm=False)
await many"""
LATER = "results = await batch\nresults.to_pandas()[['prompt', 'cfg_scale', 'status', 'usd']]"


@pytest.fixture
def vendor() -> Generator[SimulatorServer]:
    """Another process's simulator, so that the clips have a price: small ones, in a second and a half."""
    with SimulatorServer(SimulatorSettings(time_factor=120.0, long_edge=320, fps=8)) as server:
        yield server


def test_a_sweep_is_confirmed_in_the_cell_and_its_contact_sheet_outlives_the_kernel(
    lab: Lab, vendor: SimulatorServer
) -> None:
    page = lab.page
    for name in ("rocket.jpg", "coffee.png"):
        shutil.copy(IMAGES / name, lab.folder / name)
    env = {"KLING_WIDGET_BASE_URL": vendor.url, "AIMLAPI_KEY": "sk-test-of-batches"}
    notebook = lab.notebook([SWEEP, LATER, MANY], env=env)
    notebook.save()
    before = notebook.path.stat().st_size

    run = notebook.start(0)
    output = notebook.output(0)
    expect(output).to_contain_text("12 clips to make (12 of 5 s), about $7.92.", timeout=MADE)
    assert vendor.simulator.tasks == []
    output.locator("input.jp-Stdin-input").fill("y")
    page.keyboard.press("Enter")
    notebook.wait(run)
    notebook.check(0)
    expect(output.get_by_label("Progress of the batch")).to_be_visible()
    expect(output.locator("img").first).to_be_visible(timeout=MADE)  # while the others are being made
    picture(lab, "running")

    expect(output.locator("video")).to_have_count(6, timeout=2 * MADE)
    expect(output).to_contain_text("6 of 12 made · 6 failed")
    expect(output.get_by_label("Progress of the batch")).to_have_count(0)
    expect(output).to_contain_text("and 1 more that failed")
    expect(output).to_contain_text("slow dolly in <img src=x onerror")
    notebook.run(1)
    expect(notebook.output(1).locator("tbody tr")).to_have_count(12)
    assert page.evaluate("() => window.__pwned") is None
    picture(lab, "light")
    lab.theme("dark")
    picture(lab, "dark")
    # Ctrl-C while a cell awaits: what is under way arrives, and nothing more is sent.
    run = notebook.start(2)
    expect(notebook.output(2).locator("img").first).to_be_visible(timeout=MADE)
    notebook.interrupt()
    notebook.wait(run)
    expect(notebook.output(2)).to_contain_text("Stopped: nothing more is submitted.")
    notebook.kernel_eval("many.wait(60)\nlen(many.finished)")
    expect(notebook.output(2).get_by_label("Progress of the batch")).to_have_count(0)
    stopped = len(vendor.simulator.tasks) - 12
    assert stopped == notebook.kernel_eval("many.made") < 60

    notebook.save()
    assert notebook.path.stat().st_size - before < 100_000

    notebook.shutdown()
    notebook = lab.reload(notebook)
    output = notebook.output(0)
    expect(output).to_contain_text("6 of 12 made · 6 failed")
    posters = output.locator("summary img")
    expect(posters).to_have_count(6)
    assert posters.first.evaluate("image => image.complete && image.naturalWidth") == 160
    posters.first.click()
    picture(lab, "opened")
    player = output.locator("video").first
    assert_covers(player, posters.first)
    assert_plays(player, (320, 214))
    output.locator("summary").first.click(position={"x": 20, "y": 8})  # its caption
    expect(player).to_be_hidden()
    assert page.evaluate("() => window.__pwned") is None


def assert_covers(player: Locator, poster: Locator) -> None:
    """One picture is seen, not the small one and the large one."""
    upper, lower = player.bounding_box(), poster.bounding_box()
    assert upper is not None
    assert lower is not None
    assert (upper["x"], upper["y"]) == (lower["x"], lower["y"])
    assert upper["width"] >= lower["width"]
    assert upper["height"] >= lower["height"]
    assert player.evaluate(
        "player => { const box = player.getBoundingClientRect();"
        "return document.elementFromPoint(box.x + 9, box.y + 9) === player; }"
    )


def picture(lab: Lab, name: str) -> None:
    """For people to look at, where they say so."""
    if folder := os.environ.get("SCREENSHOTS"):
        lab.page.screenshot(path=Path(folder) / f"batch-{name}.png")
