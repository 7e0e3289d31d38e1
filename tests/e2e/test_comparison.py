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
picture = {str(IMAGES / "rocket.jpg")!r}
made = [kw.submit(picture, f"take {{n}}", duration=d, progress=False) for n, d in enumerate(DURATIONS)]
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
    output = compared(lab, vendor, 5, 10)
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
    expect(generations(output).first.get_by_role("button", name="Compare")).to_be_focused()


def test_a_longer_one_that_joins_leads_and_all_of_them_play(lab: Lab, vendor: SimulatorServer) -> None:
    comparison = compared(lab, vendor, 10, 5, 5).get_by_role("region", name="Comparison")
    expect(comparison.locator("video")).to_have_count(3)
    for video in comparison.locator("video").all():
        lab.page.wait_for_function("video => video.currentTime > 0.5 && !video.paused", arg=video.element_handle())
    assert comparison.locator("video[controls]").evaluate("video => video.duration") > 9


def compared(lab: Lab, vendor: SimulatorServer, *durations: int) -> Locator:
    """A widget that compares clips of so many seconds; the one made last is chosen first."""
    environment = {"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url}
    notebook = lab.notebook([f"DURATIONS = {durations}", MADE_BEFORE], env=environment)
    notebook.run(0)
    notebook.run(1)
    output = notebook.output(1)
    expect(generations(output).filter(has_text="Ready")).to_have_count(len(durations), timeout=MADE)
    for entry in generations(output).all():
        entry.get_by_role("button", name="Compare").press("Enter")
    return output


def pause(video: Locator) -> None:
    """A click on the one without controls is one on both."""
    video.click()
