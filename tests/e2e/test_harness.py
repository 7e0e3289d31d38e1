"""What the other browser tests stand on, shown with a widget that is not ours: hosts, kernels, threads, videos."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.files import drop_files, paste_files
from tests.e2e.lab import KERNELS, Lab
from tests.e2e.notebook import CellFailed

COUNTER = """
import anywidget, traitlets

class Counter(anywidget.AnyWidget):
    _esm = '''
    function render({ model, el }) {
        const show = () => { el.textContent = `counted to ${model.get("count")}`; };
        model.on("change:count", show);
        show();
    }
    export default { render };
    '''
    count = traitlets.Int(0).tag(sync=True)

counter = Counter()
counter
"""

COUNT_IN_BACKGROUND = """
import contextvars, threading
from IPython.display import HTML, display

handle = display(HTML("line 0"), display_id=True)

def count():
    for number in range(1, 4):
        counter.count = number
        handle.update(HTML(f"line {number}"))

go = threading.Event()
thread = threading.Thread(target=contextvars.copy_context().run, args=(lambda: go.wait() and count(),), daemon=True)
thread.start()
"""

SLEEP = "import time; go.set(); time.sleep(60)"

VIDEO = "from IPython.display import HTML\nHTML('<video src=\"films/clip.mp4\" controls autoplay loop muted></video>')"

DROP_ZONE = """
import anywidget, traitlets

class Zone(anywidget.AnyWidget):
    _esm = '''
    async function told(file) {
        const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
        const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        return `${file.name} ${file.size} ${file.type} ${hex}`;
    }
    function render({ el }) {
        el.innerHTML = '<div tabindex="0" role="button" aria-label="Zone">drop here</div><div>no drop here</div>';
        const [zone, elsewhere] = el.children;
        const take = async (data) => { zone.textContent = (await Promise.all([...data.files].map(told))).join(); };
        zone.addEventListener("dragover", (event) => event.preventDefault());
        zone.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer); });
        zone.addEventListener("paste", (event) => take(event.clipboardData));
        elsewhere.addEventListener("drop", () => { elsewhere.textContent = "dropped all the same"; });
    }
    export default { render };
    '''

Zone()
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264, 64 x 48 px, grey that brightens."""
    import av
    import numpy as np

    path = tmp_path_factory.mktemp("films") / "clip.mp4"
    with av.open(path, "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(20):
            picture = np.full((48, 64, 3), shade * 10, dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_kernel_is_the_ipykernel_it_is_named_for(lab: Lab, kernel: str) -> None:
    notebook = lab.notebook(["import ipykernel; ipykernel.__version__"], kernel=kernel)
    notebook.run(0)
    expected = version("ipykernel") if kernel == "python3" else kernel.removeprefix("ipykernel-")
    expect(notebook.output(0)).to_contain_text(f"'{expected}")
    assert notebook.kernel_eval("import ipykernel\nipykernel.__version__").startswith(expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_news_of_a_background_thread_arrives_while_a_cell_runs(lab: Lab, kernel: str) -> None:
    notebook = lab.notebook([COUNTER, COUNT_IN_BACKGROUND, SLEEP], kernel=kernel)
    notebook.run(0)
    expect(notebook.output(0)).to_contain_text("counted to 0")
    notebook.run(1)
    running = notebook.start(2)
    expect(notebook.output(0)).to_contain_text("counted to 3")
    expect(notebook.output(1)).to_contain_text("line 3")
    notebook.interrupt()
    notebook.wait(running)
    with pytest.raises(CellFailed, match="KeyboardInterrupt"):
        notebook.check(2)


def test_a_saved_notebook_reopens_with_its_outputs_and_no_kernel(lab: Lab) -> None:
    notebook = lab.notebook(["print('kept')"])
    notebook.run_all()
    notebook.save()
    assert notebook.read().cells[0].outputs[0].text == "kept\n"
    notebook.shutdown()
    notebook = lab.reload(notebook)
    expect(notebook.output(0)).to_have_text("kept")
    assert lab.server.ask("api/kernels") == []


def test_a_video_beside_the_notebook_plays_with_and_without_a_kernel(lab: Lab, clip: Path) -> None:
    (lab.folder / "films").mkdir()
    (lab.folder / "films" / "clip.mp4").write_bytes(clip.read_bytes())
    notebook = lab.notebook([VIDEO])
    notebook.run(0)
    assert_plays(lab)
    notebook.save()
    notebook.shutdown()
    lab.reload(notebook)
    assert_plays(lab)


def assert_plays(lab: Lab) -> None:
    """The only video of the page has data, the right size, and moves."""
    lab.page.wait_for_function("() => document.querySelector('video')?.readyState >= 3")
    video = lab.page.locator("video")
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == [64, 48]
    before = video.evaluate("video => video.currentTime")
    lab.page.wait_for_function("before => document.querySelector('video').currentTime !== before", arg=before)


def test_the_environment_of_a_notebook_survives_a_restart_and_leaves_no_trace(lab: Lab) -> None:
    notebook = lab.notebook(["import os; print(os.environ['FLAVOUR'])"], env={"FLAVOUR": "vanilla"})
    notebook.run(0)
    notebook.restart()
    notebook.run(0)
    assert notebook.output(0).inner_text().strip() == "vanilla"
    notebook.save()
    assert [cell.execution_count for cell in notebook.read().cells] == [1]
    assert "vanilla" not in notebook.read().cells[0].source


def test_a_cell_that_raises_fails_the_test_that_runs_it(lab: Lab) -> None:
    notebook = lab.notebook(["1 / 0"])
    with pytest.raises(CellFailed, match="ZeroDivisionError"):
        notebook.run(0)
    with pytest.raises(CellFailed, match="ZeroDivisionError"):
        notebook.kernel_eval("1 / 0")
    notebook.run(0, may_fail=True)


def test_an_error_on_the_console_is_seen(lab: Lab) -> None:
    lab.page.evaluate("() => { console.error('oh'); setTimeout(() => { throw new Error('dear'); }); }")
    lab.page.wait_for_function("() => true")
    lab.expect_problem("oh")
    lab.expect_problem("dear")


def test_nothing_outside_this_machine_can_be_reached_from_the_page(lab: Lab) -> None:
    assert (
        lab.page.evaluate("() => fetch('https://example.org/').then(() => 'reached', () => 'unreachable')")
        == "unreachable"
    )
    lab.expect_problem("ERR_NAME_NOT_RESOLVED")


def test_large_files_dropped_and_pasted_arrive_byte_for_byte(lab: Lab, tmp_path: Path) -> None:
    import hashlib
    import random

    photo = tmp_path / "photo.jpg"
    photo.write_bytes(random.Random(0).randbytes(25_000_000))
    told = f"photo.jpg 25000000 image/jpeg {hashlib.sha256(photo.read_bytes()).hexdigest()}"
    notebook = lab.notebook([DROP_ZONE])
    notebook.run(0)
    zone = lab.page.get_by_role("button", name="Zone")
    drop_files(zone, photo)
    expect(zone).to_have_text(told)
    zone.evaluate("zone => { zone.textContent = ''; }")
    paste_files(zone, photo)
    expect(zone).to_have_text(told)
    elsewhere = lab.page.get_by_text("no drop here", exact=True)
    drop_files(elsewhere, photo)
    expect(elsewhere).to_be_visible()


def test_pictures_of_both_themes_at_a_given_width_differ(lab: Lab, tmp_path: Path) -> None:
    notebook = lab.notebook(["print('seen')"])
    notebook.run(0)
    shots = []
    for theme in ("light", "dark"):
        lab.theme(theme)
        shots.append(lab.screenshot(notebook.output(0), tmp_path / f"{theme}.png", width=250).read_bytes())
    assert shots[0] != shots[1]
    assert int.from_bytes(shots[0][16:20], "big") == 250  # the width in a PNG's header


TRANSPORT = "import json, ipykernel.connect\njson.loads(ipykernel.connect.get_connection_info())['transport']"


def test_kernels_are_spoken_to_over_sockets_in_a_folder(lab: Lab) -> None:
    notebook = lab.notebook([])
    assert notebook.kernel_eval(TRANSPORT) == "ipc", "over ports, other tests' servers get into the way"
