"""A busy kernel, Ctrl-C and asyncio beside a generation: the same on the oldest, the odd and the newest ipykernel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Page, expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.lab import KERNELS, Lab
from tests.e2e.notebook import ASLEEP, SLEEP, CellFailed, Notebook
from tests.e2e.people import IMAGES, WIDGET, assert_plays, fill_in, generations, press_generate

KEY = "sk-kernels-0123456789"
PICTURE = repr(str(IMAGES / "rocket.jpg"))
GENERATE = f"import kling_widget as kw\nvideo = kw.generate({PICTURE}, 'interrupted in generate')"
SUBMIT = f"generation = kw.submit({PICTURE}, 'interrupted in wait', progress=False)\ngeneration.wait()"

TICK = """
import asyncio
import kling_widget as kw

ticks = 0

async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.05)

ticking = asyncio.create_task(tick())
"""
AWAIT = f"""
before = ticks
video = await kw.submit({PICTURE}, "awaited", progress=False)
ticks - before
"""
WAIT = f"""
before = ticks
video = kw.submit({PICTURE}, "waited for", progress=False).wait()
during = ticks - before
during
"""
AFTER = """
before = ticks
await asyncio.sleep(0.5)
done = await asyncio.gather(asyncio.sleep(0, "plain"), asyncio.to_thread(lambda: "thread"))
ticks - before, done
"""
CANCEL = f"""
generation = kw.submit({PICTURE}, "its awaiting is cancelled", progress=False)

async def wait_for_it():
    return await generation

waiting = asyncio.create_task(wait_for_it())
await asyncio.sleep(0.2)
waiting.cancel()
try:
    await waiting
except asyncio.CancelledError:
    print("cancelled;", (await generation).path.exists(), ticking.cancel())
"""


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> Iterator[SimulatorServer]:
    """The simulator over HTTP, in this process: it counts what is submitted. A clip takes four seconds, or as asked."""
    seconds = getattr(request, "param", 4)
    settings = SimulatorSettings(time_factor=186 / seconds, long_edge=320, api_keys=frozenset({KEY}))
    with SimulatorServer(settings) as server:
        yield server


def environment(vendor: SimulatorServer) -> Mapping[str, str]:
    return {"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url}


def prompts(vendor: SimulatorServer) -> list[str]:
    return [task.prompt for task in vendor.simulator.tasks]


MOVED = """([share, time]) => {
    const bar = document.querySelector("[role=progressbar][aria-label=Progress]");
    const shown = [Number(bar.getAttribute("aria-valuenow")), bar.closest("li").innerText.match(/\\d+:\\d\\d/)[0]];
    return shown[0] > share && shown[1] > time && shown;
}"""


def assert_moves(page: Page) -> None:
    """The bar fills and the time goes on, both more than once."""
    seen = [0, "0:00"]
    for _ in range(3):
        seen = page.wait_for_function(MOVED, arg=seen).json_value()
    assert 0 < seen[0] < 100


@pytest.mark.parametrize("vendor", [10], indirect=True)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_generation_goes_on_in_the_widget_while_another_cell_runs(
    lab: Lab, vendor: SimulatorServer, kernel: str
) -> None:
    notebook = lab.notebook([WIDGET, SLEEP], kernel=kernel, env=environment(vendor))
    notebook.run(0)
    fill_in(lab.page, "before the cell")
    press_generate(lab.page)
    entry = generations(lab.page)
    expect(entry).to_contain_text(re.compile("Sending|Queued"))
    sleeping = notebook.start(1)
    expect(notebook.output(1)).to_contain_text(ASLEEP)
    expect(entry).to_contain_text("Generating")
    assert_moves(lab.page)
    expect(entry).to_contain_text("Ready", timeout=15_000)
    assert_plays(notebook.output(0).locator("figure video"), (320, 214))
    assert_still_running(notebook, sleeping)

    lab.page.get_by_role("textbox", name="Prompt", exact=True).fill("during the cell")
    press_generate(lab.page)
    waits = lab.page.get_by_text("Waiting for the running cell…")
    both = lab.page.get_by_role("list", name="Generations").get_by_text("during the cell")
    if kernel == "ipykernel-6.29":  # hears it after the cell
        expect(waits).to_be_visible()
        expect(both).to_be_hidden()
    else:  # hears it on another thread, on a machine with other things to do after the half second of "waiting", too
        expect(both).to_be_visible()
        expect(waits).to_be_hidden()
    assert_still_running(notebook, sleeping)
    notebook.interrupt()
    notebook.wait(sleeping)
    expect(both).to_be_visible()
    expect(entry.first).to_contain_text(re.compile("Queued|Generating"))
    assert prompts(vendor) == ["before the cell", "during the cell"]


def assert_still_running(notebook: Notebook, run: str) -> None:
    """What was seen so far did not have to wait for the end of this cell.

    Not the kernel's status: on 7.x a message heard on another thread ends with "idle", cell or no cell.
    """
    assert not notebook.page.evaluate("run => window.lab.finished(run)", run)


@pytest.mark.parametrize("kernel", KERNELS)
def test_ctrl_c_ends_the_waiting_and_says_the_id_and_the_generation_goes_on(
    lab: Lab, vendor: SimulatorServer, kernel: str
) -> None:
    notebook = lab.notebook(
        [GENERATE, SUBMIT, "resumed = kw.resume(_id).wait()"], kernel=kernel, env=environment(vendor)
    )
    for cell, shown in ((0, True), (1, False)):
        waiting = notebook.start(cell)
        if shown:
            expect(notebook.output(cell)).to_contain_text("Generating")
        else:
            wait_for_task(lab.page, vendor, cell + 1)
        notebook.interrupt()
        notebook.wait(waiting)
        with pytest.raises(CellFailed, match="KeyboardInterrupt"):
            notebook.check(cell)
        task = vendor.simulator.tasks[cell]
        expect(notebook.output(cell)).to_contain_text(f"Stopped waiting. Generation {task.id} goes on")
    # The bar of the interrupted cell becomes the video, by itself.
    assert_plays(notebook.output(0).locator("figure video"), (320, 214))
    notebook.kernel_eval(f"_id = {vendor.simulator.tasks[1].id!r}")
    notebook.run(2)
    assert notebook.kernel_eval("[str(resumed.path) == str(generation.video.path), resumed.size > 0]") == [True, True]
    assert prompts(vendor) == ["interrupted in generate", "interrupted in wait"]


def wait_for_task(page: Page, vendor: SimulatorServer, count: int) -> None:
    """Until the vendor was asked how the newest of `count` generations is doing."""
    for _ in range(300):
        tasks = vendor.simulator.tasks
        asked = [request.query.get("generation_id") for request in vendor.simulator.requests]
        if len(tasks) == count and tasks[-1].id in asked:
            return
        page.wait_for_timeout(100)
    raise AssertionError("not submitted")


@pytest.mark.parametrize("vendor", [2], indirect=True)
@pytest.mark.parametrize("kernel", KERNELS)
def test_tasks_of_the_notebook_run_beside_a_generation_that_is_awaited_or_waited_for(
    lab: Lab, vendor: SimulatorServer, kernel: str
) -> None:
    notebook = lab.notebook([TICK, AWAIT, WAIT, AFTER, CANCEL], kernel=kernel, env=environment(vendor))
    notebook.run_all()
    # 2 seconds of one tick in 50 ms are 40; a quarter of that on a machine with other things to do.
    assert int(notebook.output(1).inner_text().split()[-1]) > 10
    assert int(notebook.output(2).inner_text().split()[-1]) > 10
    expect(notebook.output(3)).to_have_text(re.compile(r"\((?:[5-9]|1\d), \['plain', 'thread'\]\)"))
    expect(notebook.output(4)).to_contain_text("cancelled; True True")
    assert prompts(vendor) == ["awaited", "waited for", "its awaiting is cancelled"]
