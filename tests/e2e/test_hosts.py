"""From a picture of 20 MB to a playing video, by mouse and file picker, in the other hosts (docs/hosts.md)."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from scripts.jupyter import RunningServer
from tests.e2e import hosts
from tests.e2e.conftest import judged, loaded_lab
from tests.e2e.files import digest, photograph
from tests.e2e.lab import LOAD_TIMEOUT, NEWEST, Lab
from tests.e2e.notebook import write_notebook
from tests.e2e.people import IMAGES, MADE, WIDGET, assert_plays, fill_in, generations, press_generate
from tests.e2e.test_side_panel import go_to_folder, icon, panel
from tests.e2e.watched_page import WatchedPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

KEY = "sk-hosts-0123456789"
SIZE = (320, 214)
PROMPT = "The ferry leaves the harbour"
PICTURE = repr(str(IMAGES / "rocket.jpg"))
GENERATE = f"video = kw.generate({PICTURE}, 'asked for in Python')\nvideo"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of about 20 MB."""
    return photograph(tmp_path_factory.mktemp("photo") / "harbour.jpg", seed=3)


@pytest.fixture(scope="module")
def vendor() -> Generator[SimulatorServer]:
    """The simulator over HTTP, in this process. A clip takes four seconds."""
    settings = SimulatorSettings(time_factor=186 / 4, long_edge=SIZE[0], api_keys=frozenset({KEY}))
    with SimulatorServer(settings) as server:
        yield server


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, vendor: SimulatorServer
) -> Generator[RunningServer]:
    """The server of the host that the test names."""
    environment = {"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url}
    server = request.param(tmp_path_factory.mktemp("host"), environment)
    yield server
    server.stop()


@pytest.fixture
def lab(server: RunningServer, browser: Browser, request: pytest.FixtureRequest) -> Generator[Lab]:
    """JupyterLab of that server."""
    yield from loaded_lab(server, browser, request)


@pytest.fixture
def host(server: RunningServer, browser: Browser, request: pytest.FixtureRequest) -> Generator[WatchedPage]:
    """A page of that server, with nothing in it yet."""
    yield from judged(WatchedPage(server, browser, hosts.NOISE), request)


def make_a_video(page: Page | Locator, photo: Path = IMAGES / "rocket.jpg") -> None:
    """What a person does in the widget, until the video is there."""
    fill_in(page, PROMPT, photo)
    press_generate(page)
    expect(generations(page).filter(has_text=PROMPT)).to_contain_text("Ready", timeout=MADE)


def assert_appears(video: Locator) -> None:
    """The one video that a cell ends with appears once the cell has run, and plays."""
    expect(video).to_have_count(1, timeout=LOAD_TIMEOUT)
    assert_plays(video, SIZE)


def assert_plays_in_the_widget(page: Page, source: str) -> None:
    """A press of Play shows the video in the list; `source` is how its address begins."""
    entry = generations(page).filter(has_text=PROMPT)
    entry.get_by_role("button", name="Play").click()
    assert_plays(entry.locator("video"), SIZE)
    address = entry.locator("video").get_attribute("src") or ""
    assert address.startswith(source), address


@pytest.mark.parametrize("server", [hosts.jupyterlab_4_2], indirect=True)
def test_jupyterlab_4_2(lab: Lab, photo: Path) -> None:
    lab.noise = {**lab.noise, **hosts.NOISE}
    assert lab.page.evaluate("() => window.jupyterapp.version").startswith("4.2.")
    notebook = lab.notebook([WIDGET, GENERATE])
    notebook.run(0)
    make_a_video(lab.page, photo)
    assert hosts.kept_digests(lab.folder / "kling_videos") == [digest(photo)]
    assert_plays(notebook.output(0).locator("figure video"), SIZE)
    assert_plays_in_the_widget(lab.page, f"{lab.server.url}files/")
    running = notebook.start(1)
    expect(notebook.output(1)).to_contain_text("Generating")
    notebook.wait(running)
    notebook.check(1)
    assert_plays(notebook.output(1).locator("figure video"), SIZE)
    notebook.save()
    notebook.shutdown()
    notebook = lab.reload(notebook)
    for cell in (0, 1):
        assert_plays(notebook.output(cell).locator("figure video"), SIZE)


@pytest.mark.parametrize("server", [hosts.jupyterlab_4_2], indirect=True)
def test_the_side_panel_in_jupyterlab_4_2(lab: Lab) -> None:
    lab.noise = {**lab.noise, **hosts.NOISE}
    go_to_folder(lab)
    icon(lab.page).click()
    make_a_video(panel(lab.page))
    panel(lab.page).get_by_role("button", name="Insert into notebook").click()
    assert_plays(lab.page.locator(".jp-Notebook figure video"), SIZE)


HAS_KERNEL = """() => {
    const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
    return kernel?.connectionStatus === "connected";
}"""


def open_in_notebook_7(host: WatchedPage, cells: list[str]) -> Path:
    """Opens a new notebook; returns its file.

    Once it has a kernel: until then a cell that is run is only emptied, and the notebook then takes the focus, with
    which goes a menu that is open. That the page says idle is no sign of it: it does so from the first.
    """
    path = host.server.root / "notebook.ipynb"
    write_notebook(path, cells, NEWEST)
    host.page.goto(host.server.address("notebooks/notebook.ipynb"), timeout=LOAD_TIMEOUT)
    host.page.wait_for_function(HAS_KERNEL, timeout=LOAD_TIMEOUT)
    return path


@pytest.mark.parametrize("server", [hosts.notebook_7], indirect=True)
def test_the_side_panel_in_notebook_7(host: WatchedPage) -> None:
    page = host.page
    open_in_notebook_7(host, [""])
    page.locator(".lm-MenuBar-item", has_text="View").click()
    page.locator(".lm-Menu-item", has_text="Right Sidebar").hover()
    page.locator(".lm-Menu-item", has_text="Image to video with Kling").click()
    make_a_video(panel(page))
    panel(page).get_by_role("button", name="Insert into notebook").click()
    assert_plays(page.locator(".jp-Notebook figure video"), SIZE)


@pytest.mark.parametrize("server", [hosts.notebook_7], indirect=True)
def test_notebook_7(host: WatchedPage, photo: Path) -> None:
    page = host.page
    path = open_in_notebook_7(host, [WIDGET, GENERATE])
    cells, outputs = page.locator(".jp-CodeCell"), page.locator(".jp-CodeCell .jp-Cell-outputArea")
    cells.nth(0).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    make_a_video(page, photo)
    assert hosts.kept_digests(host.server.root / "kling_videos") == [digest(photo)]
    assert_plays(outputs.nth(0).locator("figure video"), SIZE)
    assert_plays_in_the_widget(page, f"{host.server.url}files/")
    cells.nth(1).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(outputs.nth(1)).to_contain_text("Generating")
    assert_appears(outputs.nth(1).locator("figure video"))
    page.keyboard.press("Control+s")
    wait_for_saved(page, path)
    page.reload()  # its new kernel runs nothing
    for cell in (0, 1):
        assert_appears(outputs.nth(cell).locator("figure video"))


def wait_for_saved(page: Page, notebook: Path) -> None:
    """Until both videos are in the file."""
    for _ in range(LOAD_TIMEOUT // 100):
        if notebook.read_text(encoding="utf-8").count("<figure") == 2:
            return
        page.wait_for_timeout(100)
    raise AssertionError("not saved")


@pytest.mark.parametrize("server", [hosts.voila], indirect=True)
def test_voila(host: WatchedPage, photo: Path) -> None:
    write_notebook(host.server.root / "app.ipynb", [WIDGET, GENERATE], NEWEST)
    page = host.page
    page.goto(host.server.address("voila/render/app.ipynb"), timeout=LOAD_TIMEOUT)
    assert_appears(page.locator("figure video"))
    make_a_video(page, photo)
    assert_plays_in_the_widget(page, "blob:")
    assert hosts.kept_digests(host.server.root / "kling_videos") == [digest(IMAGES / "rocket.jpg"), digest(photo)]


MARIMO_EDIT = f"""
import marimo
app = marimo.App()

@app.cell
def _():
    import kling_widget as kw
    kw.KlingWidget()
    return (kw,)

@app.cell
def _(kw):
    video = kw.generate({PICTURE}, "asked for in Python <img src=x>")
    return (video,)

@app.cell
def _(kw, video):
    padded = video.bytes() + (9_000_000).to_bytes(4, "big") + b"free" + bytes(8_999_992)
    with open("large.mp4", "wb") as file:
        file.write(padded)
    kw.Video("large.mp4", metadata={{"prompt": "more than marimo shows of a page"}})
    return

@app.cell
def _(kw):
    try:
        kw.generate({PICTURE}, "no time for it", timeout=0.7)
    except kw.StoppedWatchingError as error:
        told = error.message
    told
    return

@app.cell
def _(kw):
    kw.submit({PICTURE}, "asked for as the last line")
    return

@app.cell
def _(kw, video):
    kw.submit({PICTURE}, "asked for in Python <img src=x>")
    return
"""
"""Cells that end with a widget, an assignment, a video of 9 MB, what a deadline is told, a generation under way, and
one whose video is there."""

MARIMO_RUN = f"""
import marimo
app = marimo.App()

@app.cell
def _():
    import kling_widget as kw
    import marimo as mo
    panel = mo.ui.anywidget(kw.KlingWidget(prompt="set in Python"))
    panel
    return kw, mo, panel

@app.cell
def _(mo, panel):
    mo.md(f"It says *{{panel.value['prompt']}}*")
    return

@app.cell
def _(kw):
    generation = kw.submit({PICTURE}, "awaited in Python")
    return (generation,)

@app.cell
async def _(generation):
    video = await generation
    video
    return
"""
"""Cells that end with a widget wrapped by marimo, with its value, with an assignment, and with an awaited video."""


@pytest.mark.parametrize("server", [hosts.marimo("edit", MARIMO_EDIT)], indirect=True, ids=["edit"])
def test_marimo_notebook(host: WatchedPage, photo: Path) -> None:
    page = host.page
    page.goto(f"{host.server.url}?access_token={host.server.token}", timeout=LOAD_TIMEOUT)
    shown = re.compile(r"asked for in Python <img src=x>.*Generating · 0:0")
    expect(page.locator("marimo-progress").locator("div").first).to_contain_text(shown, timeout=LOAD_TIMEOUT)
    asked_for = page.locator("figure", has_text="asked for in Python").locator("video")
    expect(asked_for).to_have_count(2, timeout=LOAD_TIMEOUT)  # of generate(), and of the last cell, which waits for it
    for video in asked_for.all():
        assert_plays(video, SIZE)
    assert_appears(page.locator("figure", has_text="more than marimo shows of a page").locator("video"))
    expect(page.get_by_text("Not ready after 0.7 s.")).to_be_visible(timeout=LOAD_TIMEOUT)
    under_way = page.get_by_text("asked for as the last line")
    expect(under_way.get_by_text("It is being made. marimo shows it below")).to_be_visible(timeout=LOAD_TIMEOUT)
    make_a_video(page, photo)
    assert_plays_in_the_widget(page, "blob:")
    assert hosts.kept_digests(host.server.root / "kling_videos")[-1] == digest(photo)


MARIMO_BATCH = f"""
import marimo
app = marimo.App()

@app.cell
def _():
    import kling_widget as kw
    batch = kw.sweep(image={PICTURE}, prompt=["dolly in", "pan left <img src=x>", "zoom [fail]"])
    batch
    return (batch,)

@app.cell
def _(batch):
    results = batch.wait()
    return (results,)

@app.cell
def _(batch, results):
    batch
    return
"""
"""Cells that end with a batch just begun, with waiting for it, and with the batch when it is over."""
MARIMO_AWAITED_BATCH = MARIMO_BATCH.replace("def _(batch):", "async def _(batch):").replace(
    "batch.wait()", "await batch"
)


@pytest.mark.parametrize(
    "server",
    [hosts.marimo("edit", MARIMO_BATCH), hosts.marimo("edit", MARIMO_AWAITED_BATCH)],
    indirect=True,
    ids=["wait", "await"],
)
def test_marimo_batch(host: WatchedPage) -> None:
    page = host.page
    page.goto(f"{host.server.url}?access_token={host.server.token}", timeout=LOAD_TIMEOUT)
    question = page.get_by_test_id("console-input")
    expect(page.get_by_text("3 clips to make")).to_be_visible(timeout=LOAD_TIMEOUT)
    question.fill("y")
    question.press("Enter")
    still = page.locator(".output-area").filter(has_text="0 of 3 made")
    expect(still.filter(has_text="below a cell that waits for it")).to_be_visible(timeout=LOAD_TIMEOUT)
    sheets = page.locator(".output-area").filter(has_text="under way")
    expect(sheets.filter(has_text="pan left <img src=x>").first).to_be_visible(timeout=LOAD_TIMEOUT)
    over = page.locator(".output-area").filter(has_text="2 of 3 made · 1 failed")
    expect(over).to_have_count(2, timeout=LOAD_TIMEOUT)  # of the cell that waits, and of the last one
    for sheet in over.all():
        expect(sheet).to_contain_text("content filter")
        expect(sheet.locator("img")).to_have_count(2)


@pytest.mark.parametrize("server", [hosts.marimo("run", MARIMO_RUN)], indirect=True, ids=["run"])
def test_marimo_app(host: WatchedPage) -> None:
    page = host.page
    page.goto(f"{host.server.url}?access_token={host.server.token}", timeout=LOAD_TIMEOUT)
    expect(page.get_by_text("It is being made. marimo shows it below")).to_be_visible(timeout=LOAD_TIMEOUT)
    assert_appears(page.locator("figure", has_text="awaited in Python").locator("video"))
    expect(page.get_by_text("It says set in Python")).to_be_visible()
    make_a_video(page, IMAGES / "rocket.jpg")
    expect(page.get_by_text(f"It says {PROMPT}")).to_be_visible()
    assert_plays_in_the_widget(page, "blob:")
