"""What people do with the widget and look at, by the names they see: shared by the browser tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

IMAGES = Path(__file__).parent.parent.parent / "notebooks" / "images"
WIDGET = "import kling_widget as kw\nw = kw.KlingWidget()\nw"
MADE = 60_000
"""Milliseconds a simulated 5 s clip may take on a busy machine; about 8,000 is usual."""


def fill_in(
    page: Page | Locator, prompt: str = "The rocket clears the tower", picture: Path = IMAGES / "rocket.jpg"
) -> None:
    """What a person does before pressing Generate. `page` may be the part of it with the panel meant."""
    choose(page, "First frame", picture)
    expect(page.get_by_role("button", name="Remove first frame")).to_be_visible()
    page.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)


def choose(page: Page | Locator, label: str, picture: Path) -> None:
    """Picks a file for a slot in the browser's own dialog."""
    page.get_by_label(label, exact=True).set_input_files(picture)


def press_generate(page: Page | Locator) -> None:
    """Presses Generate, as soon as it takes a press again."""
    button = page.get_by_role("button", name="Generate", exact=True)
    expect(button).to_have_attribute("aria-disabled", "false")
    button.click()


def generations(page: Page | Locator) -> Locator:
    """The entries of the list."""
    return page.get_by_role("list", name="Generations").get_by_role("listitem")


def assert_plays(video: Locator, size: tuple[int, int]) -> None:
    """A video has data, the right size, and moves."""
    expect(video).to_be_visible(timeout=MADE)
    video.evaluate("video => { video.muted = true; return video.play(); }")
    handle = video.element_handle()
    frame = handle.owner_frame()
    assert frame is not None
    frame.wait_for_function("video => video.readyState >= 3", arg=handle)
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == list(size)
    before = video.evaluate("video => video.currentTime")
    # Not "later": a clip that loops may have begun anew.
    frame.wait_for_function("([video, before]) => video.currentTime !== before", arg=[handle, before])
