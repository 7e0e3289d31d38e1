"""The side panel by mouse and from Python, in a real JupyterLab: `js/extension` and `kling_widget/side_panel.py`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from scripts.jupyter import RunningServer
from tests.e2e.lab import LOAD_TIMEOUT, Lab
from tests.e2e.notebook import ASLEEP, SLEEP, Notebook
from tests.e2e.people import MADE, assert_plays, fill_in, generations, press_generate

SHOWN = 60_000
"""Milliseconds until a kernel has started, imported kling_widget and shown it; a few seconds are usual."""

LABEL = "Turn an image into a video"
KEY = "sk-side-panel-0123456789"
IN_PANEL = "import kling_widget as kw\nw = kw.KlingWidget(prompt='from Python', side_panel=True)\nw"
WIDGETS = "import ipywidgets\n[w.prompt for w in ipywidgets.Widget.widgets.values() if hasattr(w, 'cfg_scale')]"
"""Prompts of all KlingWidgets that a kernel ever made."""

OTHER_LANGUAGE = """
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

class Echo(Kernel):
    implementation = banner = "echo"
    implementation_version = "1"
    language_info = {"name": "echo", "mimetype": "text/plain", "file_extension": ".txt"}

    def do_execute(self, code, silent, *arguments, **more):
        return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}

IPKernelApp.launch_instance(kernel_class=Echo)
"""


@pytest.fixture
def vendor() -> Iterator[SimulatorServer]:
    """The simulator over HTTP, in this process: it counts what is submitted. A clip takes two seconds."""
    with SimulatorServer(SimulatorSettings(time_factor=93, long_edge=320, api_keys=frozenset({KEY}))) as server:
        yield server


def icon(page: Page) -> Locator:
    """The panel's icon in the sidebar."""
    return page.get_by_role("tab", name="Image to video with Kling")


def panel(page: Page) -> Locator:
    """The side panel itself."""
    return page.locator("#kling-widget")


def prompt(page: Page) -> Locator:
    """The text box in the panel; nothing may be shown anywhere else."""
    expect(page.get_by_role("textbox", name="Prompt", exact=True)).to_have_count(1, timeout=SHOWN)
    return panel(page).get_by_role("textbox", name="Prompt", exact=True)


def tab(page: Page, name: str) -> Locator:
    """A notebook's tab."""
    return page.locator(".lm-DockPanel-tabBar").get_by_role("tab", name=name)


def go_to_folder(lab: Lab) -> None:
    """The file browser shows this test's folder, so that new notebooks come there."""
    path = lab.folder.relative_to(lab.server.root).as_posix()
    lab.page.evaluate("path => window.jupyterapp.commands.execute('filebrowser:go-to-path', { path })", path)


def notebooks(lab: Lab) -> list[str]:
    return sorted(path.name for path in lab.folder.glob("*.ipynb"))


# By mouse


def test_from_a_fresh_lab_without_a_notebook_to_a_video_in_a_new_one(lab: Lab) -> None:
    go_to_folder(lab)
    icon(lab.page).click()
    fill_in(lab.page)
    press_generate(lab.page)
    expect(generations(lab.page)).to_contain_text("Ready", timeout=MADE)
    panel(lab.page).get_by_role("button", name="Play").click()
    assert_plays(panel(lab.page).locator("video"), (960, 640))
    assert notebooks(lab) == ["Untitled.ipynb"]

    panel(lab.page).get_by_role("button", name="Insert into notebook").click()
    assert_plays(lab.page.locator(".jp-Notebook figure video"), (960, 640))
    expect(lab.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(1)  # the empty cell was used


def test_launcher_palette_and_a_reload_lead_to_the_same_panel_and_widget(lab: Lab) -> None:
    go_to_folder(lab)
    lab.page.locator(".jp-LauncherCard").get_by_text(LABEL).click()
    prompt(lab.page).fill("typed")
    icon(lab.page).click()
    expect(panel(lab.page)).to_be_hidden()
    lab.page.evaluate("() => window.jupyterapp.commands.execute('apputils:activate-command-palette')")
    lab.page.locator(".lm-CommandPalette-input").fill(LABEL)
    lab.page.locator(".lm-CommandPalette-item", has_text=LABEL).click()
    expect(prompt(lab.page)).to_have_value("typed")
    prompt(lab.page).blur()

    wait_until_layout_is_saved(lab)
    lab.page.goto(lab.server.address("lab"), timeout=LOAD_TIMEOUT)
    expect(prompt(lab.page)).to_have_value("typed")
    notebook = Notebook(lab.page, lab.server.root, lab.folder / "Untitled.ipynb", None, {})
    assert notebook.kernel_eval(WIDGETS) == ["typed"]
    assert notebooks(lab) == ["Untitled.ipynb"]


def test_each_notebooks_kernel_has_its_own_widget_made_once_and_kept(lab: Lab) -> None:
    one, two = lab.notebook([""], name="one.ipynb"), lab.notebook([""], name="two.ipynb")
    assert two.kernel_eval("import sys\n'kling_widget' in sys.modules") is False
    icon(lab.page).click()
    prompt(lab.page).fill("in two")
    tab(lab.page, "one.ipynb").click()
    expect(prompt(lab.page)).to_have_value("")
    prompt(lab.page).fill("in one")
    tab(lab.page, "two.ipynb").click()
    expect(prompt(lab.page)).to_have_value("in two")
    prompt(lab.page).blur()
    assert (one.kernel_eval(WIDGETS), two.kernel_eval(WIDGETS)) == (["in one"], ["in two"])

    two.restart()  # another kernel, another widget
    expect(prompt(lab.page)).to_have_value("")
    two.close()
    one.close()
    expect(panel(lab.page)).to_contain_text("No notebook is open.")
    assert notebooks(lab) == ["one.ipynb", "two.ipynb"]  # none is made unless a person asks
    go_to_folder(lab)
    panel(lab.page).get_by_role("button", name="New notebook").click()
    expect(prompt(lab.page)).to_have_value("")
    assert notebooks(lab) == ["Untitled.ipynb", "one.ipynb", "two.ipynb"]


def test_results_go_below_the_active_cell_cost_nothing_there_and_say_where_they_are_from(
    lab: Lab, vendor: SimulatorServer
) -> None:
    settings = {"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url}
    notebook = lab.notebook(["first = 1", "second = 2", IN_PANEL], env=settings)
    lab.page.evaluate("path => { window.lab.panel(path).content.activeCellIndex = 0; }", notebook.name)
    icon(lab.page).click()
    hostile = 'it\'s "quoted"\nraise SystemExit  # not a line of its own'
    fill_in(lab.page, hostile)
    press_generate(lab.page)
    panel(lab.page).get_by_role("button", name="Insert into notebook").click(timeout=MADE)
    assert_plays(notebook.output(1).locator("figure video"), (320, 214))
    notebook.save()
    sources = [cell.source for cell in notebook.read().cells]
    task = vendor.simulator.tasks[0]
    written = f"import kling_widget as kw\n\n# {hostile!r}\nvideo = kw.resume({task.id!r}).wait()"
    assert sources == ["first = 1", written, "second = 2", IN_PANEL]
    notebook.restart()
    notebook.run(1)
    assert_plays(notebook.output(1).locator("figure video"), (320, 214))
    assert [each.prompt for each in vendor.simulator.tasks] == [hostile]

    notebook.run(3)  # what Python put there shows its videos below its cell, too
    fill_in(lab.page, "below the cell")
    press_generate(lab.page)
    assert_plays(notebook.output(3).locator("figure video"), (320, 214))


def wait_until_layout_is_saved(lab: Lab) -> None:
    """JupyterLab writes its layout some time after a change: until what it wrote has the panel open."""
    for _ in range(600):
        workspaces = lab.server.ask("lab/api/workspaces")["workspaces"]["values"]
        right = [each["data"].get("layout-restorer:data", {}).get("right", {}) for each in workspaces]
        if any(side.get("current") == "kling-widget" and not side.get("collapsed") for side in right):
            return
        lab.page.wait_for_timeout(100)
    raise AssertionError(f"the layout was not saved: {right}")


# From Python


def test_from_python_there_is_one_panel_however_often_it_is_asked_for(lab: Lab) -> None:
    notebook = lab.notebook([IN_PANEL, "kw.KlingWidget(prompt='another').side_panel()", "w.close()"])
    for _ in range(2):
        notebook.run(0)
        expect(prompt(lab.page)).to_have_value("from Python")
        expect(notebook.output(0)).to_have_text("In the side panel. Show")
    notebook.run(1)
    expect(prompt(lab.page)).to_have_value("another")

    icon(lab.page).click()
    expect(panel(lab.page)).to_be_hidden()
    notebook.output(0).get_by_role("button", name="Show").click()
    expect(prompt(lab.page)).to_have_value("from Python")
    notebook.output(1).get_by_role("button", name="Show").click()
    expect(prompt(lab.page)).to_have_value("another")
    assert notebook.kernel_eval(WIDGETS) == ["from Python", "from Python", "another"]

    notebook.output(0).get_by_role("button", name="Show").click()
    expect(prompt(lab.page)).to_have_value("from Python")
    notebook.run(2)  # the panel shows what was there before, also to who asks for what is closed
    expect(prompt(lab.page)).to_have_value("another")
    notebook.output(0).get_by_role("button", name="Show").click()
    expect(prompt(lab.page)).to_have_value("another")


@pytest.fixture
def extension_off(server: RunningServer) -> Iterator[None]:
    """What `jupyter labextension disable kling-widget` writes; for pages loaded from now on."""
    config = server.home / "config" / "labconfig" / "page_config.json"
    config.write_text(json.dumps({"disabledExtensions": {"kling-widget": True}}), encoding="utf-8")
    yield
    config.unlink()


@pytest.mark.usefixtures("extension_off")
def test_where_the_extension_is_off_the_widget_is_in_its_cell_and_says_why(lab: Lab) -> None:
    notebook = lab.notebook([IN_PANEL])
    notebook.run(0)
    expect(icon(lab.page)).to_have_count(0)
    expect(notebook.output(0).get_by_role("textbox", name="Prompt", exact=True)).to_have_value("from Python")
    expect(notebook.output(0).locator(".kling-widget")).to_have_count(1)
    expect(notebook.output(0)).to_contain_text("This page has no side panel, so the widget is here.")


# What keeps it from showing


@pytest.fixture
def other_language(server: RunningServer) -> None:
    """A kernel called `echo`, known to pages loaded from now on."""
    folder = server.home / "data" / "kernels" / "echo"
    folder.mkdir(parents=True)
    (folder / "echo.py").write_text(OTHER_LANGUAGE, encoding="utf-8")
    argv = [sys.executable, str(folder / "echo.py"), "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Echo", "language": "echo"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


@pytest.mark.usefixtures("other_language")
def test_what_keeps_the_widget_from_showing_is_said_in_words(lab: Lab) -> None:
    notebook = lab.notebook([SLEEP])
    notebook.kernel_eval("import sys\nsys.modules['kling_widget'] = None")  # so that importing it fails
    sleeping = notebook.start(0)
    expect(notebook.output(0)).to_contain_text(ASLEEP)
    icon(lab.page).click()
    expect(panel(lab.page)).to_contain_text("Waiting for the running cell…")
    notebook.interrupt()
    notebook.wait(sleeping)
    expect(panel(lab.page)).to_contain_text("kling_widget is not installed in this notebook's kernel.", timeout=SHOWN)
    notebook.kernel_eval("del sys.modules['kling_widget']")
    panel(lab.page).get_by_role("button", name="Try again").click()
    expect(prompt(lab.page)).to_have_value("")

    lab.notebook([""], kernel="echo", name="echo.ipynb")
    expect(panel(lab.page)).to_contain_text("This notebook's kernel speaks echo, and the widget needs Python.")
