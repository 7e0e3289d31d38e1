"""The key a person enters is used, and is in no byte of what stays: notebook, state, workspace, logs, page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook
from tests.e2e.people import IMAGES, MADE, WIDGET, assert_plays, fill_in, generations, press_generate

PARTS = ("sk-banNerKEY", "4b81d6e7aa03")
"""The key in two halves: neither may be found anywhere."""

KEY = "-".join(PARTS)
PICTURE = repr(str(IMAGES / "rocket.jpg"))

LISTEN = """
import logging
handler = logging.FileHandler({path!r})
kernel = get_ipython().kernel
for logger in [logging.getLogger(), kernel.log, *map(logging.getLogger, list(logging.root.manager.loggerDict))]:
    logger.setLevel(logging.DEBUG)
    if logger.parent is None or not logger.propagate:
        logger.addHandler(handler)
"""

LOOK = """
import json, traceback
import kling_widget as kw
studio = w._studio
client = studio.client
things = [w, w.generations, [vars(each) for each in w.generations], [each.error for each in w.generations],
          studio, vars(studio), client, vars(client), vars(client._http), w.keys, w.get_state(), repr(kw)]
shown = [repr(things)]
for each in w.generations:
    try:
        each.wait()
    except kw.KlingError as error:
        while error is not None:
            shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
            error = error.__cause__ or error.__context__
shown
"""


@pytest.fixture
def vendor() -> Iterator[SimulatorServer]:
    """The simulator over HTTP, in this process, which takes this one key. A clip takes two seconds."""
    with SimulatorServer(SimulatorSettings(time_factor=93, long_edge=320, api_keys=frozenset({KEY}))) as server:
        yield server


def listen(notebook: Notebook, path: Path) -> None:
    """From now on every logger of the kernel, its own too, writes at DEBUG into a file."""
    notebook.kernel_eval(LISTEN.format(path=str(path)))


def save_with_state(lab: Lab, notebook: Notebook) -> None:
    """Saves the notebook with the state of its widgets, as the Settings menu offers."""
    lab.page.evaluate("() => jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState')")
    notebook.save()
    state = notebook.read().metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    assert any("prompt" in model.state for model in state.values())


def assert_nowhere(lab: Lab, notebook: Notebook, log: Path) -> None:
    """No byte of the key in any file of the server's, the notebook's or the workspace's, in reprs or in the page."""
    shown = notebook.kernel_eval(LOOK)
    files = [path for path in lab.server.home.rglob("*") if path.is_file() and path.name != "key.txt"]
    names = {path.name for path in files if lab.folder in path.parents}
    assert {notebook.path.name, "ledger.sqlite"} <= names
    assert log in files
    page = lab.page.evaluate(
        "() => JSON.stringify([document.documentElement.outerHTML, {...localStorage}, {...sessionStorage}])"
    )
    for part in PARTS:
        assert not [path for path in files if part.encode() in path.read_bytes()]
        assert not [text for text in shown if part in text]
        assert part not in page


def enter_key(page: Page, key: str) -> None:
    field = page.get_by_label("API key", exact=True)
    if not field.is_visible():
        page.get_by_role("button", name="key").click()
    field.fill(key)
    field.press("Enter")


def test_a_key_entered_in_the_banner_is_used_and_written_nowhere(lab: Lab, vendor: SimulatorServer) -> None:
    verbose = "%xmode Verbose\nw.generations[-1].wait()"
    notebook = lab.notebook([WIDGET, verbose], env={"KLING_WIDGET_BASE_URL": vendor.url})
    log = lab.folder / "kernel.log"
    listen(notebook, log)
    notebook.run(0)
    expect(lab.page.get_by_text("Simulator.", exact=True)).to_be_visible()
    enter_key(lab.page, KEY + "-mistyped")
    expect(lab.page.get_by_text("Simulator.", exact=True)).to_have_count(0)
    fill_in(lab.page, "with a wrong key")
    press_generate(lab.page)
    expect(generations(lab.page)).to_contain_text("The key was refused")
    notebook.run(1, may_fail=True)
    expect(notebook.output(1)).to_contain_text("AuthenticationError")

    enter_key(lab.page, KEY)
    expect(lab.page.get_by_label("API key", exact=True)).to_have_count(0)
    lab.page.get_by_role("textbox", name="Prompt", exact=True).fill("with the right key")
    press_generate(lab.page)
    expect(generations(lab.page).first).to_contain_text("Ready", timeout=MADE)
    assert_plays(notebook.output(0).locator("figure video"), (320, 214))
    assert [task.prompt for task in vendor.simulator.tasks] == ["with the right key"]

    save_with_state(lab, notebook)
    said = log.read_text(encoding="utf-8")
    assert "handle_msg" in said  # the kernel did write down the messages of the page
    assert "'type': 'key'" in said
    assert "send_request_headers" in said
    assert_nowhere(lab, notebook, log)


@pytest.mark.parametrize("given", ["environment", "argument"])
def test_a_key_given_to_python_is_used_and_written_nowhere(lab: Lab, vendor: SimulatorServer, given: str) -> None:
    form = f"{PICTURE}, 'by {given}'"
    environment = {"KLING_WIDGET_BASE_URL": vendor.url}
    if given == "environment":
        environment["AIMLAPI_KEY"] = KEY
    else:
        (lab.folder / "key.txt").write_text(KEY, encoding="utf-8")
        form += ", api_key=open('key.txt').read()"
    wrong = "%xmode Verbose\nkw.generate(w.image, 'too long', duration=7, take='new')"
    notebook = lab.notebook([f"import kling_widget as kw\nw = kw.KlingWidget({form})\nw", wrong], env=environment)
    log = lab.folder / "kernel.log"
    listen(notebook, log)
    notebook.run(0)
    expect(lab.page.get_by_text("Simulator.", exact=True)).to_have_count(0)
    press_generate(lab.page)
    expect(generations(lab.page)).to_contain_text("Ready", timeout=MADE)
    assert [task.prompt for task in vendor.simulator.tasks] == [f"by {given}"]
    notebook.run(1, may_fail=True)
    expect(notebook.output(1)).to_contain_text("Error")
    save_with_state(lab, notebook)
    assert_nowhere(lab, notebook, log)
