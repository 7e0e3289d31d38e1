"""The side panel by mouse and from Python, in a real JupyterLab."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.e2e.lab import Lab
from tests.e2e.people import MADE, assert_plays, fill_in, generations, press_generate

LABEL = "Turn an image into a video"


def icon(page: Page) -> Locator:
    """The panel's icon in the sidebar."""
    return page.get_by_role("tab", name=LABEL)


def panel(page: Page) -> Locator:
    """The side panel itself."""
    return page.locator("#kling-widget")


def go_to(lab: Lab) -> None:
    """The file browser shows this test's folder, so new notebooks come there."""
    path = lab.folder.relative_to(lab.server.root).as_posix()
    lab.page.evaluate("path => window.jupyterapp.commands.execute('filebrowser:go-to-path', { path })", path)


def test_from_a_fresh_lab_without_a_notebook_to_a_video_by_mouse(lab: Lab) -> None:
    go_to(lab)
    icon(lab.page).click()
    fill_in(lab.page)
    press_generate(lab.page)
    expect(generations(lab.page)).to_contain_text("Ready", timeout=MADE)
    panel(lab.page).get_by_role("button", name="Play").click()
    assert_plays(panel(lab.page).locator("video"), (960, 640))
    panel(lab.page).get_by_role("button", name="Insert into notebook").click()
    assert_plays(lab.page.locator(".jp-Notebook figure video"), (960, 640))
