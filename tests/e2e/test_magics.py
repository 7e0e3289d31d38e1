"""The magics in the real JupyterLab: the video plays in the cell, and Tab offers what may stand there."""

from __future__ import annotations

import shutil

from playwright.sync_api import expect

from tests.e2e.lab import Lab
from tests.e2e.people import IMAGES, MADE, assert_plays

CELL = "%%kling rocket.jpg --simulate --as clip\nThe rocket clears the tower"


def test_a_cell_becomes_a_playing_video_and_tab_completes(lab: Lab) -> None:
    shutil.copy(IMAGES / "rocket.jpg", lab.folder / "rocket.jpg")
    notebook = lab.notebook(["%load_ext kling_widget", CELL, "", "%%kling nowhere.png --simulate\nx"])
    notebook.run(0)
    running = notebook.start(1)
    expect(notebook.output(1).get_by_role("progressbar", name="Progress")).to_be_visible()
    notebook.wait(running, timeout=MADE / 1000)
    notebook.check(1)
    assert_plays(notebook.output(1).locator("figure video"), (960, 640))
    expect(notebook.output(1).locator("figcaption")).to_contain_text("The rocket clears the tower")

    editor = notebook.cell(2).locator(".cm-content")
    offered = lab.page.locator(".jp-Completer .jp-Completer-match")
    editor.click()
    lab.page.keyboard.type("%%kling ro")
    lab.page.keyboard.press("Tab")
    expect(offered).to_have_text(["rocket.jpg"])
    lab.page.keyboard.press("Enter")
    lab.page.keyboard.type(" --s")
    lab.page.keyboard.press("Tab")
    expect(offered).to_have_text(["--send-anyway", "--simulate"])
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("Enter")
    expect(editor).to_have_text("%%kling rocket.jpg --simulate")

    notebook.run(3, may_fail=True)
    lines = notebook.output(3).inner_text().strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("ImageError: There is no file nowhere.png in ")
