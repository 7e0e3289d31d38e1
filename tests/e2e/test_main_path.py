"""The main job: picture, prompt, Generate; the video plays in the widget's cell, and still does without a kernel."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.lab import Lab
from tests.e2e.people import MADE, WIDGET, assert_plays, fill_in, generations, press_generate


def test_from_a_picture_to_a_playing_video_that_outlives_the_kernel(lab: Lab) -> None:
    notebook = lab.notebook([WIDGET])
    notebook.save()
    before = notebook.path.stat().st_size
    notebook.run(0)
    fill_in(lab.page)
    press_generate(lab.page)
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
