"""What is wrong is told in one clear sentence beside it; nothing is submitted, and the form keeps what it had."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook
from tests.e2e.people import IMAGES, MADE, WIDGET, choose, fill_in, generations, press_generate
from tests.integration.test_bad_input import png_header

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

KEY = "sk-test-of-bad-input"
PROMPT = "The rocket clears the tower"
FORM = "[w.image and w.image.name, w.prompt, w.duration, w.cfg_scale]"
FILLED = ["rocket.jpg", PROMPT, 10, 0.3]
LONG = "slow dolly " * 909 + "!"

PICTURES = [
    ("empty.png", "empty.png is empty. Choose another picture."),
    (
        "notes.png",
        "notes.png is not a picture: it holds text. "
        "JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF, BMP and JPEG 2000 can be read.",
    ),
    (
        "huge.png",
        "huge.png is too large to open safely: 40,000 × 40,000 px are 1,600 megapixels, and 179 is the most. "
        "Scale it down first; the video is 1920 px long at most.",
    ),
]
ADDRESSES = [
    ("htps://example.org/cat.png", "htps://example.org/cat.png is not a web address. It begins with https://."),
    ("example.org/cat.png", "example.org/cat.png is not a web address. It begins with https://."),
    (
        "https://exa mple.org/cat.png",
        "https://exa mple.org/cat.png is not a web address: it has spaces or quotes in it. Write a space as %20.",
    ),
]
CODE = [
    ("w.duration = 7", "InvalidRequestError: duration must be 5 or 10 seconds, not 7."),
    ("w.cfg_scale = 1.2", "InvalidRequestError: cfg_scale must be a number from 0 to 1, not 1.2."),
    ("w.image = 'pictures/gone.png'", "ImageError: There is no file pictures/gone.png in "),
    ("w.image = 'pictures'", "ImageError: pictures is a folder, not a picture. Give one file in it."),
]
FORGED = [
    ("duration", 7, "duration must be 5 or 10 seconds, not 7."),
    ("cfg_scale", 1.2, "cfg_scale must be a number from 0 to 1, not 1.2."),
    (
        "camera_control",
        {"type": "sideways"},
        "camera_control is not valid: Invalid enum value 'sideways' - at `$.type`.",
    ),
    ("prompt", "", "The prompt is empty: write what should happen in the video."),
]
FORGE = """({path, comm, content}) => {
    window.lab.panel(path).sessionContext.session.kernel._comms.get(comm).send({method: 'custom', content});
}"""
"""Sends a message as if the widget's front end had: its own controls cannot say what these say."""


@pytest.fixture(scope="module")
def vendor() -> Generator[SimulatorServer]:
    """The vendor's API over real HTTP, with one good key."""
    with SimulatorServer(SimulatorSettings(long_edge=160, time_factor=100, api_keys=frozenset({KEY}))) as server:
        yield server


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are no good."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    (folder / "empty.png").touch()
    (folder / "notes.png").write_text("Buy milk.\n")
    (folder / "huge.png").write_bytes(png_header(40_000))
    Image.new("RGB", (100, 100), "teal").save(folder / "small.png")
    return folder


def problem(page: Page) -> Locator:
    """What is told as a problem of the form; an alert to screen readers, too."""
    return page.locator(".kling-widget").get_by_role("alert")


def problem_of(control: Locator) -> Locator:
    """The problem that a control is said to have, by the names that tie them together."""
    expect(control).to_have_attribute("aria-invalid", "true")
    return control.page.locator(f"[id='{control.get_attribute('aria-describedby')}']")


def prompt_of(page: Page) -> Locator:
    """The prompt's text box."""
    return page.get_by_role("textbox", name="Prompt", exact=True)


def open_filled(lab: Lab, vendor_url: str, *, name: str = "notebook.ipynb", **variables: str) -> Notebook:
    """A widget with everything filled in, ready for Generate."""
    cells = [WIDGET, *(code for code, _ in CODE)]
    env = {"KLING_WIDGET_BASE_URL": vendor_url, **variables}
    notebook = lab.notebook(cells, env=env, name=name)
    notebook.run(0)
    fill_in(lab.page, PROMPT)
    lab.page.get_by_text("10 s", exact=True).click()
    lab.page.get_by_role("slider", name="CFG scale").fill("0.3")
    prompt_of(lab.page).focus()  # leaving the slider sends it
    assert_form_kept(lab.page, notebook)
    return notebook


def assert_form_kept(page: Page, notebook: Notebook, expected: list[Any] = FILLED) -> None:
    """The form holds, for the person and in Python, what was filled in."""
    name, prompt, duration, cfg_scale = expected
    expect(prompt_of(page)).to_have_value(prompt)
    expect(page.get_by_role("radio", name=f"{duration} s", exact=True)).to_be_checked()
    expect(page.get_by_role("slider", name="CFG scale")).to_have_value(str(cfg_scale))
    expect(page.get_by_role("button", name="Remove first frame")).to_have_count(1 if name else 0)
    deadline = time.monotonic() + 5
    while notebook.kernel_eval(FORM) != expected and time.monotonic() < deadline:
        page.wait_for_timeout(50)  # typing is sent once it pauses
    assert notebook.kernel_eval(FORM) == expected


def test_what_cannot_be_used_is_told_beside_it_and_the_form_keeps_what_it_had(
    lab: Lab, vendor: SimulatorServer, pictures: Path
) -> None:
    page = lab.page
    before = len(vendor.simulator.requests)
    notebook = open_filled(lab, vendor.url, AIMLAPI_KEY=KEY)

    first = page.get_by_label("First frame", exact=True)
    for name, sentence in PICTURES:
        choose(page, "First frame", pictures / name)
        expect(problem(page)).to_have_text(sentence)
        expect(problem_of(first)).to_have_text(sentence)
        assert_form_kept(page, notebook)

    choose(page, "First frame", IMAGES / "rocket.jpg")
    expect(problem(page)).to_have_count(0)
    last = page.get_by_label("Last frame", exact=True)
    for address, sentence in ADDRESSES:
        page.locator("[data-slot=last_frame]").get_by_role("button", name="URL").click()
        page.get_by_label("Picture URL").fill(address)
        page.get_by_label("Picture URL").press("Enter")
        expect(problem(page)).to_have_text(sentence)
        expect(problem_of(last)).to_have_text(sentence)
        assert_form_kept(page, notebook)

    (lab.folder / "pictures").mkdir()
    for index, (_, sentence) in enumerate(CODE, start=1):
        notebook.run(index, may_fail=True)
        expect(notebook.output(index)).to_contain_text(sentence)
        assert_form_kept(page, notebook)

    comm = notebook.kernel_eval("w.comm.comm_id")
    for field, value, sentence in FORGED:
        form = {"prompt": PROMPT, "negative_prompt": "", "duration": 10, "cfg_scale": 0.3, field: value}
        content = {"type": "generate", "id": f"forged-{field}", "form": form, "anyway": False}
        page.evaluate(FORGE, {"path": notebook.name, "comm": comm, "content": content})
        expect(problem(page)).to_have_text(sentence)
        assert_form_kept(page, notebook)

    page.get_by_role("button", name="Remove first frame").click()
    press_generate(page)
    expect(problem_of(first)).to_have_text("There is no first frame. Choose a picture to start from.")
    assert_form_kept(page, notebook, [None, *FILLED[1:]])
    expect(generations(page)).to_have_count(0)
    assert len(vendor.simulator.requests) == before


def test_what_the_model_may_refuse_is_told_and_sent_when_the_person_insists(
    lab: Lab, vendor: SimulatorServer, pictures: Path
) -> None:
    page = lab.page
    notebook = open_filled(lab, vendor.url, AIMLAPI_KEY=KEY)
    before = len(vendor.simulator.tasks)
    anyway = page.get_by_role("button", name="Send anyway")

    choose(page, "First frame", pictures / "small.png")
    expect(page.locator(".kw-note")).to_have_text(
        "First frame: 100 × 100 px is below the 300 px the model needs on each side."
    )
    press_generate(page)
    expect(problem(page)).to_contain_text("The first frame may be refused: 100 × 100 px is below the 300 px the model")
    expect(page.locator(".kw-note")).to_have_count(0)  # not told twice
    assert_form_kept(page, notebook, ["small.png", *FILLED[1:]])
    assert len(vendor.simulator.tasks) == before
    anyway.click()
    expect(generations(page)).to_contain_text("Ready", timeout=MADE)
    expect(problem(page)).to_have_count(0)
    assert len(vendor.simulator.tasks) == before + 1

    choose(page, "First frame", IMAGES / "rocket.jpg")
    expect(page.locator(".kw-note")).to_have_count(0)
    prompt_of(page).fill(LONG)
    press_generate(page)
    sentence = "The prompt has 10,000 characters; the model takes at most 2,500."
    expect(problem(page)).to_contain_text(sentence)
    expect(problem_of(prompt_of(page))).to_contain_text(sentence)
    assert_form_kept(page, notebook, ["rocket.jpg", LONG, *FILLED[2:]])
    assert len(vendor.simulator.tasks) == before + 1
    anyway.click()
    expect(generations(page)).to_have_count(2)
    expect(generations(page).first).to_contain_text("Ready", timeout=MADE)
    assert len(vendor.simulator.tasks) == before + 2


def test_without_a_key_it_opens_on_the_simulator_or_asks_for_one(lab: Lab, vendor: SimulatorServer) -> None:
    before = len(vendor.simulator.tasks)
    open_it = WIDGET.replace("KlingWidget()", "KlingWidget(simulate=False)")
    notebook = lab.notebook([WIDGET, open_it], env={"KLING_WIDGET_BASE_URL": vendor.url})
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("Simulator. No key found: clips are made on this machine and")
    notebook.run(1)
    output = notebook.output(1)
    output.get_by_label("First frame", exact=True).set_input_files(IMAGES / "rocket.jpg")
    output.get_by_role("textbox", name="Prompt", exact=True).fill(PROMPT)
    output.get_by_role("button", name="Generate", exact=True).click()
    expect(output.get_by_role("alert")).to_have_text(
        "No API key was found. Nothing was submitted. Enter one here, or set AIMLAPI_KEY before you open the widget."
    )
    expect(output).not_to_contain_text("Simulator")
    assert len(vendor.simulator.tasks) == before
    output.get_by_role("button", name="Enter a key").click()
    output.get_by_label("API key").fill("my key")
    output.get_by_label("API key").press("Enter")
    expect(output.get_by_role("alert")).to_have_text(
        "This does not look like an API key: it is empty or has spaces or unusual characters. "
        "Copy the key once more from the vendor's key page."
    )
    output.get_by_label("API key").fill(KEY)
    output.get_by_label("API key").press("Enter")
    expect(output.get_by_role("alert")).to_have_count(0)
    expect(output.get_by_role("textbox", name="Prompt", exact=True)).to_have_value(PROMPT)
    output.get_by_role("button", name="Generate", exact=True).click()
    expect(output.get_by_role("listitem")).to_contain_text("Ready", timeout=MADE)
    assert len(vendor.simulator.tasks) == before + 1


def test_a_wrong_key_is_told_at_the_key_and_can_be_replaced_there(lab: Lab, vendor: SimulatorServer) -> None:
    page = lab.page
    before = len(vendor.simulator.tasks)
    notebook = open_filled(lab, vendor.url, AIMLAPI_KEY="sk-wrong")
    press_generate(page)
    expect(problem(page)).to_have_text("The API key was refused (401). Nothing was charged. Check or replace the key.")
    expect(generations(page)).to_contain_text("Not accepted: The key was refused.")
    assert_form_kept(page, notebook)
    assert len(vendor.simulator.tasks) == before
    page.get_by_role("button", name="Enter a key").click()
    page.get_by_label("API key").fill(KEY)
    page.get_by_label("API key").press("Enter")
    expect(problem(page)).to_have_count(0)
    press_generate(page)
    expect(generations(page)).to_have_count(2)
    expect(generations(page).first).to_contain_text("Ready", timeout=MADE)
    assert len(vendor.simulator.tasks) == before + 1


def test_no_credits_are_told_with_what_to_do(lab: Lab) -> None:
    page = lab.page
    with SimulatorServer(SimulatorSettings(credits=0)) as poor:
        notebook = open_filled(lab, poor.url, AIMLAPI_KEY=KEY)
        press_generate(page)
        entry = generations(page)
        expect(entry).to_contain_text(
            "Not accepted: The account is out of credits or may not use this model (403). "
            "Nothing was charged. Top up the account, then try again."
        )
        expect(entry.get_by_role("button", name="Use these settings")).to_be_visible()
        expect(problem(page)).to_have_count(0)
        assert_form_kept(page, notebook)
        assert poor.simulator.tasks == []


def test_a_server_that_is_down_is_told_while_it_is_tried_again_and_when_it_is_given_up(lab: Lab) -> None:
    page = lab.page
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        notebook = open_filled(lab, f"http://{host}", AIMLAPI_KEY=KEY)
        press_generate(page)
        entry = generations(page)
        expect(entry).to_contain_text("The server cannot be reached or is busy; trying again.")
        expect(entry).to_contain_text(
            f"Not accepted: The server {host} cannot be reached. "
            "Nothing was charged. Check the network, then try again.",
            timeout=20_000,  # five tries, at most 7.5 s between them
        )
    expect(entry).not_to_contain_text("trying again")
    prompt_of(page).fill("Something else")
    entry.get_by_role("button", name="Use these settings").click()
    assert_form_kept(page, notebook)
    expect(problem(page)).to_have_count(0)
