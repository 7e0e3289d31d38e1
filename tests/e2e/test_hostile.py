"""Texts that would run as script if they were put into a page unescaped: none does, wherever they are shown."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

import kling_widget as kw
from tests.e2e.lab import Lab
from tests.e2e.people import IMAGES, MADE, WIDGET, fill_in, generations, press_generate
from tests.integration.hostile_servers import Scripted, whole
from tests.unit.media_samples import make_clip

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEY = "sk-test-of-hostile-texts"
PAYLOAD = """'"><img src='data:,' onerror='window.__pwned=1'><script>window.__pwned=1</script>"""
"""Sets `__pwned` where it becomes part of a page; `test_the_payload_is_live` shows that it does."""
FILE = """'"><img src=x onerror=window.__pwned=1>.png"""
CELL = f"""import kling_widget as kw
try:
    kw.generate("rocket.jpg", {PAYLOAD!r}, negative_prompt={PAYLOAD!r})
except kw.KlingError as error:
    told = str(error)"""
VIDEO = f"""facts = dict.fromkeys(["prompt", "negative_prompt", "take", "generation_id", "provider"], {PAYLOAD!r})
kw.Video("clip<img src=x onerror=window.__pwned=1>.mp4", url="javascript:window.__pwned=1", metadata=facts)"""


class Vendor:
    """What the vendor says at the moment."""

    refusal = False

    def answer(self, request: bytes) -> Iterator[bytes]:
        if request.startswith(b"POST") and self.refusal:
            body, status = {"message": PAYLOAD, "hint": PAYLOAD}, 400
        elif request.startswith(b"POST"):
            body, status = {"id": PAYLOAD, "status": PAYLOAD}, 201
        else:
            error = {"name": PAYLOAD, "message": PAYLOAD}
            body, status = {"id": PAYLOAD, "status": "error", "error": error, "video": {"url": "javascript:1"}}, 200
        yield whole(json.dumps(body).encode(), status, Content_Type="application/json", x_simulator_time_factor="100")


@pytest.fixture
def vendor() -> Generator[tuple[Vendor, str]]:
    """A vendor whose every text is a payload."""
    says = Vendor()
    with Scripted(says.answer) as server:
        yield says, server.url


def assert_nothing_ran(page: Page) -> None:
    """Also not a moment later: an image that cannot be loaded says so when it has been tried."""
    page.evaluate("() => new Promise((done) => setTimeout(done, 300))")
    assert page.evaluate("() => window.__pwned") is None


def test_the_payload_is_live(browser: Browser) -> None:
    page = browser.new_page()
    for payload in (PAYLOAD, FILE):
        page.goto("about:blank")
        page.evaluate("payload => { document.body.innerHTML = `<p title='${payload}'>${payload}</p>`; }", payload)
        page.wait_for_function("() => window.__pwned === 1")
    page.close()


def test_no_text_of_the_vendor_or_of_people_runs_in_widget_output_or_exported_page(
    lab: Lab, browser: Browser, vendor: tuple[Vendor, str]
) -> None:
    page, (says, url) = lab.page, vendor
    shutil.copy(IMAGES / "rocket.jpg", lab.folder / "rocket.jpg")
    shutil.copy(IMAGES / "rocket.jpg", lab.folder / FILE)
    make_clip(lab.folder / "clip<img src=x onerror=window.__pwned=1>.mp4")
    env = {"KLING_WIDGET_BASE_URL": url, "AIMLAPI_KEY": KEY}
    notebook = lab.notebook([WIDGET, CELL, VIDEO], env=env)

    notebook.run(0)
    fill_in(page, PAYLOAD, lab.folder / FILE)
    notebook.kernel_eval(f"w.negative_prompt = {PAYLOAD!r}")
    press_generate(page)
    entry = generations(page).first
    expect(entry).to_contain_text("onerror", timeout=MADE)  # the error, as text
    expect(entry).to_contain_text("Not made", timeout=MADE)

    says.refusal = True
    page.get_by_role("textbox", name="Prompt", exact=True).fill(f"{PAYLOAD} again")
    press_generate(page)
    expect(generations(page).first).to_contain_text("did not take the request", timeout=MADE)
    expect(generations(page).first).to_contain_text("onerror")

    notebook.run(1)
    assert "onerror" in notebook.kernel_eval("told")
    expect(notebook.output(1)).to_contain_text("onerror")
    notebook.run(2)
    expect(notebook.output(2).locator("figcaption")).to_contain_text("onerror")
    expect(notebook.output(2).locator("figure video")).to_be_visible()
    assert_nothing_ran(page)

    notebook.save()
    notebook.shutdown()
    notebook = lab.reload(notebook)  # without a kernel
    expect(notebook.output(2).locator("figcaption")).to_contain_text("onerror")
    assert_nothing_ran(page)

    exported = lab.folder / "notebook.html"
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--output", str(exported), notebook.path]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    ours = kw.export_html(notebook.path, lab.folder / "ours.html", scripts=True)  # with them: nothing else may hold it
    page = browser.new_page()
    for made in (exported, ours):
        page.goto(made.as_uri())
        expect(page.locator("figcaption")).to_contain_text("onerror")
        assert_nothing_ran(page)
    page.close()


FILE_OR_NOTHING = r"^(#$|http://127\.0\.0\.1:\d+/files/)"
"""What JupyterLab does not take for an address it takes for a file name, on its own server."""
SAFE = {
    "https://example.org/clip.mp4": True,
    "http://127.0.0.1:1/clip.mp4": True,
    "files/clip.mp4": True,
    "javascript:window.__pwned=1": False,
    " java\nscript:window.__pwned=1": False,
    "data:text/html,<script>window.__pwned=1</script>": False,
    "data:video/mp4;base64,AAAA": False,
    "blob:https://example.org/0a1b": False,
    "file:///etc/passwd": False,
    "ftp://example.org/clip.mp4": False,
    "vscode://file/etc/passwd": False,
    "https://name:word@example.org/clip.mp4": False,
}


def test_the_panel_loads_nothing_from_an_address_that_is_no_web_address(lab: Lab) -> None:
    """As a kernel gone bad, or a ledger that somebody edited, would tell it of pictures and videos."""
    page = lab.page
    notebook = lab.notebook([WIDGET])
    notebook.run(0)
    unknown = dict.fromkeys(["width", "height", "size", "media_type"])
    entry = {
        "status": "completed",
        "text": "Ready",
        "prompt": "p",
        "active": False,
        "expected": None,
        "late": None,
        "simulated": False,
    }
    entry |= {"generation_id": "g", "duration": 5, "take": 1, "started": 0, "elapsed": 1, "problem": None, "hint": ""}
    for number, (address, good) in enumerate(SAFE.items()):
        frame = {"name": "cat", "url": address, "key": f"k{number}", "changes": [], "warnings": [], **unknown}
        video = {"url": address, "path": f"{number}.mp4", "width": 4, "height": 3, "size": 9, "duration": 5}
        told = {**entry, "key": f"e{number}", "video": video}
        notebook.kernel_eval(f"w.first_frame = {frame!r}\nw.entries = [{told!r}]")
        link = page.locator(f"a[download='{number}.mp4']")
        expect(link).to_have_attribute("href", re.compile("^http" if good else FILE_OR_NOTHING))
        expect(page.locator("[data-slot=first_frame] .kw-name")).to_have_text(address)
        if not good:
            expect(page.locator("[data-slot=first_frame] img")).to_have_count(0)
            assert_nothing_ran(page)
    lab.problems = [problem for problem in lab.problems if "Failed to load resource" not in problem]
