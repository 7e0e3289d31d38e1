"""A 20 MB picture on its way from the browser to the kernel, against one raw comm message of 9 MB."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser

from tests.benchmarks.browser_page import QuietLab, Turns, ask
from tests.benchmarks.verdicts import verdict
from tests.e2e.files import photograph
from tests.e2e.lab import Lab
from tests.e2e.notebook import Notebook

TARGET = 0.6
ROUNDS = 8
RAW_BYTES = 9_000_000  # just below the 10 MB at which Jupyter's websocket breaks
RAW = f"""import time, anywidget

class Raw(anywidget.AnyWidget):
    _esm = '''export default {{ render({{ model, el }}) {{
        const bytes = new Uint8Array({RAW_BYTES});
        for (let at = 0; at < bytes.length; at += 60_000) crypto.getRandomValues(bytes.subarray(at, at + 60_000));
        el.innerHTML = "<button>Send raw</button><p class=raw></p>";
        el.firstChild.onclick = () => {{
            window.stopwatch.chosen = window.stopwatch.now();
            model.send({{}}, undefined, [bytes.slice().buffer]);
        }};
        model.on("msg:custom", ({{ count }}) => {{ el.lastChild.textContent = `heard ${{count}}`; }});
    }} }};'''

heard = []

def hear(raw, _message, buffers):
    heard.append([1000 * time.time(), len(buffers[0])])
    raw.send({{"count": len(heard)}})

raw = Raw()
raw.on_msg(hear)
raw"""
OURS = """import time, kling_widget as kw

class Watched(kw.KlingWidget):
    checked, read = [], []

    async def _load(self, slot, source, name):
        self.checked.append([1000 * time.time(), len(source)])
        await super()._load(slot, source, name)
        self.read.append(1000 * time.time())

w = Watched()
w"""
"""The widget, and when it had all chunks of a file, each with its SHA-256 checked; and when it had read the picture."""

FILE_UPLOAD = """import ipywidgets

upload = ipywidgets.FileUpload(description="ipywidgets")
upload.observe(lambda change: setattr(upload, "description", f"has {len(upload.value[0].content)}"), "value")
upload"""


def rate(notebook: Notebook, moments: str) -> float:
    """MB a second from the choice in the page to the last of the moments that the kernel has noted down."""
    arrived, size = notebook.kernel_eval(f"{moments}[-1]")
    began = notebook.page.evaluate("() => window.stopwatch.chosen")
    return float(size / 1e6 / ((arrived - began) / 1000))


def send_raw(notebook: Notebook, numbers: Iterator[int]) -> float:
    ask(notebook, "press", button="Send raw", selector="p.raw", text=f"heard {next(numbers)}")
    return rate(notebook, "heard")


def choose_picture(lab: QuietLab, notebook: Notebook, photo: Path, reading: list[float]) -> float:
    """Chooses it as a person does, and waits until the widget says what it has read."""
    lab.page.choose("[data-slot=first_frame] input[type=file]", photo)
    ask(notebook, "uploaded", selector="progress[aria-label=Upload]")
    read, (checked, _) = notebook.kernel_eval("[w.read[-1], w.checked[-1]]")
    reading.append(read - checked)
    return rate(notebook, "w.checked")


def report(lab: QuietLab) -> list[bool]:
    """Print the lines about uploads; whether the target is reached."""
    photos = [photograph(lab.folder / f"photo-{number}.jpg", number) for number in range(2)]
    notebook = lab.notebook([RAW, OURS], name="upload.ipynb")
    notebook.run_all()
    numbers, pictures, reading = itertools.count(1), itertools.cycle(photos), list[float]()
    send_raw(notebook, numbers), choose_picture(lab, notebook, next(pictures), reading)
    turns = Turns("MB/s")
    for _ in range(ROUNDS):
        turns.take(lambda: choose_picture(lab, notebook, next(pictures), reading), lambda: send_raw(notebook, numbers))
    notebook.close()
    size = photos[0].stat().st_size / 1e6
    name = f"{size:.0f} MB image, browser → kernel, every chunk's SHA-256 checked / one raw comm message of 9 MB"
    result = verdict(name, turns, turns.ratio >= TARGET, f"≥ {TARGET}")
    decoding = statistics.median(reading)
    print(f"        … and {decoding:,.0f} ms to decode it and make it fit to be sent", flush=True)
    return [result]


def file_upload(_browser: Browser, lab: Lab) -> list[bool]:
    """Print what becomes of such a picture in ipywidgets' own picker."""
    photo = photograph(lab.folder / "photo.jpg", 0)
    notebook = lab.notebook([FILE_UPLOAD], name="file-upload.ipynb")
    notebook.run_all()
    with notebook.page.expect_file_chooser() as chooser:
        notebook.output(0).get_by_role("button", name="ipywidgets").click()
    chooser.value.set_files(photo)
    fate = ask(notebook, "fate", selector=".jp-OutputArea button", text=f"has {photo.stat().st_size}")
    sentence = "it arrives"
    if fate != "arrived":
        ask(notebook, "connected")
        has = notebook.kernel_eval("len(upload.value)")
        sentence = f"the connection to the kernel breaks, and afterwards the kernel has {has} files and nobody is told"
    notebook.close()
    print(f"        … ipywidgets.FileUpload, a picture of {photo.stat().st_size / 1e6:.0f} MB: {sentence}", flush=True)
    return []
