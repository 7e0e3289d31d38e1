"""Takes compared: two videos beside each other, in step, whichever of them is longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.lab import Lab
from tests.e2e.people import IMAGES, MADE, generations

KEY = "sk-comparison-0123456789"
MADE_BEFORE = f"""
import kling_widget as kw
made = [kw.submit({str(IMAGES / "rocket.jpg")!r}, "takes", duration=d, progress=False) for d in (5, 10)]
w = kw.KlingWidget()
w
"""
IN_STEP = "([one, other]) => Math.abs(one.currentTime - other.currentTime) < 0.3 && one.paused === other.paused"


@pytest.fixture
def vendor() -> Iterator[SimulatorServer]:
    """The simulator over HTTP: a clip takes a second or two."""
    with SimulatorServer(SimulatorSettings(time_factor=200, long_edge=320, api_keys=frozenset({KEY}))) as server:
        yield server


def test_two_takes_play_pause_and_seek_together(lab: Lab, vendor: SimulatorServer) -> None:
    notebook = lab.notebook([MADE_BEFORE], env={"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url})
    notebook.run(0)
    output = notebook.output(0)
    expect(generations(output).filter(has_text="Ready")).to_have_count(2, timeout=MADE)
    for entry in generations(output).all():
        entry.get_by_role("button", name="Compare").press("Enter")
    comparison = output.get_by_role("region", name="Comparison")
    videos = comparison.locator("video")
    expect(videos).to_have_count(2)
    long, short = comparison.locator("video[controls]"), comparison.locator("video:not([controls])")
    both = [video.element_handle() for video in (long, short)]

    def settled(condition: str) -> None:
        lab.page.wait_for_function(condition, arg=both)

    settled("([long, short]) => long.currentTime > 1 && short.currentTime > 1")  # it plays by itself
    settled(IN_STEP)
    pause(short)
    settled("([long, short]) => long.paused && short.paused")
    long.evaluate("video => { video.currentTime = 3; }")
    settled("([long, short]) => Math.abs(short.currentTime - 3) < 0.2")
    long.evaluate("video => { video.currentTime = 8; }")
    settled("([long, short]) => short.currentTime > short.duration - 0.2")  # the shorter one waits at its end
    long.evaluate("video => { video.currentTime = 9.5; return video.play(); }")
    settled("([long, short]) => long.currentTime < 4 && !short.paused")  # both begin anew
    settled(IN_STEP)

    comparison.get_by_role("button", name="Close").press("Enter")
    expect(videos).to_have_count(0)


def pause(video: Locator) -> None:
    """A click on the one without controls is one on both."""
    video.click()
