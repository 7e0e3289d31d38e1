"""The camera: chosen in the form, sent as the API has it, told in the list, and put back into the form from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.lab import Lab
from tests.e2e.people import IMAGES, MADE, generations, press_generate

KEY = "sk-camera-0123456789"
PICTURE = str(IMAGES / "rocket.jpg")
CELL = f"import kling_widget as kw\nw = kw.KlingWidget({PICTURE!r}, 'The rocket lifts off')\nw"
MASKED = f"kw.submit({PICTURE!r}, 'masked', static_mask={PICTURE!r}, progress=False).key"


@pytest.fixture
def vendor() -> Iterator[SimulatorServer]:
    """The simulator over HTTP, which keeps what it is asked for. A clip takes a second or two."""
    settings = SimulatorSettings(time_factor=200, long_edge=320, api_keys=frozenset({KEY}))
    with SimulatorServer(settings) as server:
        yield server


def asked(vendor: SimulatorServer) -> list[Any]:
    """What every submission said of the camera."""
    posted = [request for request in vendor.simulator.requests if request.method == "POST"]
    return [json.loads(request.body).get("camera_control") for request in posted]


def test_the_camera_is_chosen_sent_told_and_used_again(lab: Lab, vendor: SimulatorServer) -> None:
    notebook = lab.notebook([CELL], env={"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url})
    notebook.run(0)
    widget = notebook.output(0)
    camera, amount = widget.get_by_role("combobox", name="Camera"), widget.get_by_role("slider", name="Amount")
    widget.get_by_text("Negative prompt, camera").click()
    expect(amount).to_have_count(0)
    camera.select_option("zoom")
    expect(amount).to_have_value("-5")
    expect(amount).to_have_attribute("aria-valuetext", "-5 in")
    for _ in range(23):
        amount.press("ArrowRight")
    expect(amount).to_have_attribute("aria-valuetext", "6.5 out")
    press_generate(widget)
    first = generations(widget).filter(has_text="zoom 6.5")
    expect(first).to_contain_text("Ready · 5 s · zoom 6.5", timeout=MADE)
    assert notebook.kernel_eval("w.camera_control") == {"type": "simple", "config": {"zoom": 6.5}}

    camera.select_option("down_back")
    expect(amount).to_have_count(0)
    press_generate(widget)
    expect(generations(widget).filter(has_text="camera down back")).to_contain_text("Ready", timeout=MADE)

    notebook.kernel_eval("w.camera_control = {'type': 'simple', 'config': {'pan': 2, 'zoom': -3}}")
    expect(camera.locator("option:checked")).to_have_text("Pan 2, zoom -3")
    press_generate(widget)
    expect(widget.get_by_text("The model may refuse pan 2 and zoom -3 together: Kling takes one")).to_be_visible()
    widget.get_by_role("button", name="Send anyway").click()
    expect(generations(widget).filter(has_text="pan 2, zoom -3")).to_contain_text("Ready", timeout=MADE)

    camera.select_option("")
    first.get_by_role("button", name="Use these settings").click()
    expect(camera).to_have_value("zoom")
    expect(amount).to_have_value("6.5")
    assert asked(vendor) == [
        {"type": "simple", "config": {"zoom": 6.5}},
        {"type": "down_back"},
        {"type": "simple", "config": {"pan": 2, "zoom": -3}},
    ]


def test_a_last_frame_and_a_camera_are_advised_against_until_one_goes(lab: Lab, vendor: SimulatorServer) -> None:
    both = CELL.replace("lifts off'", f"lifts off', tail_image={PICTURE!r}, camera_control={{'type': 'down_back'}}")
    notebook = lab.notebook([both], env={"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url})
    notebook.run(0)
    widget = notebook.output(0)
    expect(widget.get_by_role("combobox", name="Camera")).to_have_value("down_back")
    press_generate(widget)
    advice = widget.get_by_text("The model may refuse a last frame and a camera together: Kling takes one of them.")
    expect(advice).to_be_visible()
    assert asked(vendor) == []
    widget.get_by_role("button", name="Remove last frame").click()
    expect(advice).to_have_count(0)
    press_generate(widget)
    expect(generations(widget)).to_contain_text("Ready", timeout=MADE)
    assert asked(vendor) == [{"type": "down_back"}]


def test_what_the_form_does_not_have_is_said_where_settings_are_used_again(lab: Lab, vendor: SimulatorServer) -> None:
    notebook = lab.notebook([CELL], env={"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url})
    notebook.run(0)
    widget = notebook.output(0)
    notebook.kernel_eval(MASKED)
    press_generate(widget)
    masked = generations(widget).filter(has_text="masked")
    expect(generations(widget).filter(has_text="Ready")).to_have_count(2, timeout=MADE)
    masked.get_by_role("button", name="Use these settings").click()
    told = widget.get_by_text("It was made with static_mask, which kw.generate() takes and this form does not.")
    expect(told).to_be_visible()
    generations(widget).filter(has_text="lifts off").get_by_role("button", name="Use these settings").click()
    expect(told).to_have_count(0)
