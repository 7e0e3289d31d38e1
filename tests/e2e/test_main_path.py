"""The main job: picture, prompt, Generate; the video plays in the widget's cell, and still does without a kernel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.lab import KERNELS, Lab

IMAGES = Path(__file__).parent.parent.parent / "notebooks" / "images"
WIDGET = "import kling_widget as kw\nw = kw.KlingWidget()\nw"
MADE = 60_000
"""Milliseconds a simulated 5 s clip may take on a busy machine; about 8,000 is usual."""


def fill_in(page: Page, prompt: str = "The rocket clears the tower", picture: Path = IMAGES / "rocket.jpg") -> None:
    """What a person does before pressing Generate."""
    page.get_by_label("First frame", exact=True).set_input_files(picture)
    expect(page.get_by_role("button", name="Remove first frame")).to_be_visible()
    page.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)


def generations(page: Page) -> Locator:
    """The entries of the list."""
    return page.get_by_role("list", name="Generations").get_by_role("listitem")


def assert_plays(video: Locator, size: tuple[int, int]) -> None:
    """A video has data, the right size, and moves."""
    expect(video).to_be_visible()
    video.evaluate("video => { video.muted = true; return video.play(); }")
    video.page.wait_for_function("video => video.readyState >= 3", arg=video.element_handle())
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == list(size)
    before = video.evaluate("video => video.currentTime")
    video.page.wait_for_function(
        "([video, before]) => video.currentTime > before", arg=[video.element_handle(), before]
    )


def test_from_a_picture_to_a_playing_video_that_outlives_the_kernel(lab: Lab) -> None:
    notebook = lab.notebook([WIDGET])
    notebook.save()
    before = notebook.path.stat().st_size
    notebook.run(0)
    fill_in(lab.page)
    lab.page.get_by_role("button", name="Generate").click()
    expect(generations(lab.page)).to_contain_text("Ready", timeout=MADE)
    video = notebook.output(0).locator("figure video")
    assert_plays(video, (960, 640))
    expect(notebook.output(0).locator("figcaption")).to_contain_text("The rocket clears the tower")
    expect(notebook.output(0).locator("figcaption")).to_contain_text("simulated")
    notebook.save()
    assert notebook.path.stat().st_size - before < 100_000
    notebook.shutdown()
    notebook = lab.reload(notebook)
    assert_plays(notebook.output(0).locator("figure video"), (960, 640))
