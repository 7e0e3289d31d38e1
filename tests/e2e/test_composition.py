"""The widget among other things: traits observed and linked, boxes, two views, close, re-run, restart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook
from tests.e2e.people import IMAGES, MADE, WIDGET, assert_plays, fill_in, generations, press_generate
from tests.integration.simulator_fixtures import Clock

KEY = "sk-composition-0123456789"
SIZE = (320, 214)
"""Width and height in pixels of the simulator's clips of rocket.jpg at a long edge of 320."""

PICTURE = repr(str(IMAGES / "rocket.jpg"))
BOX = f"""
import ipywidgets
import kling_widget as kw
w, w2 = kw.KlingWidget({PICTURE}, "in the first"), kw.KlingWidget({PICTURE}, "in the second")
ipywidgets.HBox([w, w2])
"""
LINKED = """
import ipywidgets
import kling_widget as kw
w, text, seen = kw.KlingWidget(), ipywidgets.Text(description="Linked"), []
ipywidgets.link((w, "prompt"), (text, "value"))
w.observe(lambda change: seen.append([change.name, change.new]), ["prompt", "duration", "cfg_scale", "generations"])
ipywidgets.VBox([text, w])
"""


@pytest.fixture
def vendor() -> Iterator[SimulatorServer]:
    """The simulator over HTTP, in this process: it counts what is submitted. A clip takes six seconds."""
    with SimulatorServer(SimulatorSettings(time_factor=31, long_edge=320, api_keys=frozenset({KEY}))) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held_vendor(clock: Clock) -> Iterator[SimulatorServer]:
    """The same, by a clock of the test's: however slow the machine is, a clip is where the test wants it."""
    settings = SimulatorSettings(time_factor=31, long_edge=320, api_keys=frozenset({KEY}))
    with SimulatorServer(settings, clock=clock) as server:
        yield server


def open_notebook(lab: Lab, vendor: SimulatorServer, cells: list[str]) -> Notebook:
    notebook = lab.notebook(cells, env={"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url})
    notebook.run(0)
    return notebook


def prompt_in(where: Locator) -> Locator:
    return where.get_by_role("textbox", name="Prompt", exact=True)


def submitted(vendor: SimulatorServer) -> list[str]:
    return [task.prompt for task in vendor.simulator.tasks]


def test_traits_are_observed_and_linked_from_python_to_the_page_and_back(lab: Lab, vendor: SimulatorServer) -> None:
    notebook = open_notebook(lab, vendor, [LINKED])
    prompt, text = prompt_in(lab.page), lab.page.get_by_role("textbox", name="Linked")
    prompt.fill("typed in the widget")
    expect(text).to_have_value("typed in the widget")
    assert notebook.kernel_eval("w.prompt") == "typed in the widget"
    prompt.blur()
    text.fill("typed in the other")
    expect(prompt).to_have_value("typed in the other")
    notebook.kernel_eval("w.prompt, w.duration, w.cfg_scale = 'said in Python', 10, 0.25")
    expect(prompt).to_have_value("said in Python")
    expect(text).to_have_value("said in Python")
    expect(lab.page.get_by_role("radio", name="10 s")).to_be_checked()
    expect(lab.page.get_by_role("slider", name="CFG scale")).to_have_value("0.25")
    lab.page.get_by_text("5 s", exact=True).click()
    expect(lab.page.get_by_role("radio", name="5 s", exact=True)).to_be_checked()
    lab.page.wait_for_timeout(500)  # longer than typing rests before it is sent
    assert notebook.kernel_eval("w.duration") == 5
    seen = notebook.kernel_eval("seen")
    assert ["prompt", "typed in the widget"] in seen
    assert seen[-4:] == [["prompt", "said in Python"], ["duration", 10], ["cfg_scale", 0.25], ["duration", 5]]
    assert notebook.kernel_eval(
        "import traitlets\ntry:\n    w.duration = 7\nexcept Exception as error:\n"
        "    refused = type(error).__name__\nrefused, w.duration"
    ) == ["InvalidRequestError", 5]


def test_two_widgets_in_a_box_play_their_videos_inside_themselves(lab: Lab, vendor: SimulatorServer) -> None:
    notebook = open_notebook(lab, vendor, [BOX])
    buttons = lab.page.get_by_role("button", name="Generate")
    expect(buttons).to_have_count(2)
    buttons.nth(0).click()
    buttons.nth(1).click()
    lists = lab.page.get_by_role("list", name="Generations")
    for number, prompt in enumerate(("in the first", "in the second")):
        made = lists.nth(number).get_by_role("listitem").filter(has_text=prompt)
        expect(made).to_contain_text("Ready", timeout=MADE)
        expect(made).to_have_count(1)
    assert sorted(submitted(vendor)) == ["in the first", "in the second"]
    expect(notebook.output(0).locator("figure video")).to_have_count(0)
    made.get_by_role("button", name="Play").click()
    assert_plays(made.locator("video"), SIZE)


def test_two_views_of_one_widget_are_one_form_and_one_button(lab: Lab, vendor: SimulatorServer) -> None:
    notebook = open_notebook(lab, vendor, [WIDGET, "display(w)"])
    notebook.run(1)
    one, two = notebook.output(0), notebook.output(1)
    one.get_by_label("First frame", exact=True).set_input_files(IMAGES / "rocket.jpg")
    for view in (one, two):
        expect(view.get_by_role("button", name="Remove first frame")).to_be_visible()
    prompt_in(one).fill("typed in one view")
    expect(prompt_in(two)).to_have_value("typed in one view")
    prompt_in(two).fill("typed in the other")
    expect(prompt_in(one)).to_have_value("typed in the other", timeout=10_000)
    buttons = lab.page.get_by_role("button", name="Generate").element_handles()
    lab.page.evaluate("buttons => buttons.forEach(button => button.click())", buttons)
    for view in (one, two):
        expect(view.get_by_role("listitem")).to_contain_text("Ready", timeout=MADE)
        assert_plays(view.locator("figure video"), SIZE)
    assert submitted(vendor) == ["typed in the other"]


def test_closing_ends_the_display_and_not_the_generation(lab: Lab, clock: Clock, held_vendor: SimulatorServer) -> None:
    notebook = open_notebook(
        lab, held_vendor, ["import logging\nlogging.getLogger().setLevel(10)\n" + WIDGET, "w.close()"]
    )
    notebook.kernel_eval(
        "said = []\nhandler = logging.Handler(logging.WARNING)\n"
        "handler.emit = lambda record: said.append(record.getMessage())\nlogging.getLogger().addHandler(handler)\n"
        "comm = w.comm"
    )
    fill_in(lab.page, "closed meanwhile")
    press_generate(lab.page)
    expect(generations(lab.page)).to_contain_text("Queued")
    clock.forward(3)
    expect(generations(lab.page)).to_contain_text("Generating")
    assert notebook.kernel_eval("generation = w.generations[0]\ngeneration.status") == "generating"
    notebook.run(1)
    expect(lab.page.get_by_role("button", name="Generate")).to_have_count(0)
    assert notebook.kernel_eval("import time\ntime.sleep(0.5)\n[generation.active, generation.error]") == [True, None]
    clock.forward(60)
    assert notebook.kernel_eval("generation.wait(60).path.exists()") is True
    assert notebook.kernel_eval("[w.comm is None, w.generations[0].status, said]") == [True, "completed", []]
    notebook.run(1)  # closing twice is harmless
    assert submitted(held_vendor) == ["closed meanwhile"]


def test_a_new_run_of_the_cell_and_a_new_kernel_take_up_what_is_under_way(lab: Lab, vendor: SimulatorServer) -> None:
    notebook = open_notebook(lab, vendor, [WIDGET])
    fill_in(lab.page, "goes on")
    press_generate(lab.page)
    expect(generations(lab.page)).to_contain_text(re.compile("Queued|Generating"))
    notebook.run(0)
    expect(generations(lab.page)).to_contain_text("goes on")
    expect(generations(lab.page)).to_contain_text(re.compile("Queued|Generating"))
    notebook.restart()
    press_generate(lab.page)
    expect(lab.page.get_by_text("The kernel is gone: run the cell again")).to_be_visible()
    notebook.run(0)
    expect(generations(lab.page)).to_have_count(1)
    expect(generations(lab.page)).to_contain_text("goes on")
    expect(generations(lab.page)).to_contain_text("Ready", timeout=MADE)
    assert_plays(notebook.output(0).locator("figure video"), SIZE)
    assert submitted(vendor) == ["goes on"]


def test_the_widgets_state_stays_small_and_holds_no_bytes(lab: Lab, vendor: SimulatorServer) -> None:
    notebook = open_notebook(lab, vendor, [WIDGET.replace("()", f"({PICTURE}, 'small')")])
    notebook.kernel_eval("made = [w.generate() for _ in range(5)]\nfor each in made:\n    each.wait(60)")
    expect(generations(lab.page).get_by_text("Ready")).to_have_count(5, timeout=MADE)
    state = notebook.kernel_eval(
        "import json\nstate = {k: v for k, v in w.get_state().items() if k not in ('_esm', '_css')}\n"
        "def kinds(value):\n"
        "    if isinstance(value, dict):\n        return set().union({'dict'}, *map(kinds, value.values()))\n"
        "    if isinstance(value, (list, tuple)):\n        return set().union({'list'}, *map(kinds, value))\n"
        "    return {type(value).__name__}\n"
        "[len(json.dumps(state)), sorted(kinds(state)), json.dumps(state)]"
    )
    size, kinds, text = state
    assert size < 6_000, text
    assert not {"bytes", "memoryview", "bytearray"} & set(kinds)
    assert "base64" not in text
    assert "data:" not in text
    assert len(json.loads(text)["entries"]) == 5
