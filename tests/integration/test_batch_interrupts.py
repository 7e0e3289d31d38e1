"""Ctrl-C in the body of a loop over a batch, in real kernels: no iterator sees it, and the batch stops all the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kling_widget.simulator import SimulatorServer
from scripts.kernels import COLAB, KERNELS
from tests.integration.conftest import Serve, submissions
from tests.integration.kernel import LIMIT, Kernel, environment_of, started
from tests.integration.test_batch import plain

ROWS = 20
SETUP = f"""
import asyncio, gc, os, signal, threading, time, weakref
import kling_widget as kw

def batch_of(name):
    rows = [{{"image": "cat.png", "prompt": f"{{name}} {{number}}"}} for number in range({ROWS})]
    return kw.batch(rows, concurrency=1, confirm=False, progress=False)

def callbacks():
    return list(get_ipython().events.callbacks["post_run_cell"])

def pressed():
    signal.raise_signal(signal.SIGINT)
    time.sleep(60)
"""
LOOPS = {
    "a for loop": """
for result in batch:
    pressed()
""",
    "a loop in a function": """
def look(results):
    for number, result in enumerate(results):
        pressed()

look(batch)
""",
    "an async for loop": """
async for result in batch:
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(60)
""",
    "the second loop": """
for result in batch:
    break
for result in batch:
    pressed()
""",
    "between two results": """
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
for result in batch:
    pass
""",
}
STOPPED = "Stopped: nothing more is submitted."


@pytest.fixture
def vendor(serve: Serve) -> SimulatorServer:
    """Clips of 64 px that take a third of a second."""
    return serve(long_edge=64, fps=2)


@pytest.fixture(params=[*KERNELS, COLAB])
def kernel(request: pytest.FixtureRequest, vendor: SimulatorServer, tmp_path: Path) -> Iterator[Kernel]:
    (tmp_path / "cat.png").write_bytes(plain())
    with started(tmp_path, environment_of(vendor, tmp_path), request.param) as kernel:
        kernel.run(SETUP)
        yield kernel


def errors_of(outputs: list[Any]) -> str:
    """What was written to stderr."""
    return "".join(each["text"] for each in outputs if each.get("name") == "stderr")


def test_ctrl_c_in_the_body_of_a_loop_submits_nothing_more_and_says_so_once(
    kernel: Kernel, vendor: SimulatorServer
) -> None:
    before = kernel.value("len(callbacks())")
    for name, loop in LOOPS.items():
        kernel.run(f"batch = batch_of({name!r})")
        told = errors_of(kernel.failed(loop))
        assert told.count(STOPPED) == 1, name
        assert "The same batch again makes what is left." in told, name
        made = int(kernel.value("len(batch.wait(30))"))
        assert 1 <= made < ROWS, name
        sent = [request for request in submissions(vendor) if f'"{name} '.encode() in request.body]
        assert len(sent) == made, name
    assert kernel.value("len(callbacks())") == before


def test_a_loop_that_is_left_stops_nothing_and_leaves_nothing_behind(kernel: Kernel, vendor: SimulatorServer) -> None:
    before = kernel.value("len(callbacks())")
    kernel.run("batch = batch_of('left')\nfor result in batch:\n    break")
    assert kernel.value("len(callbacks())") == before
    told = errors_of(kernel.failed("pressed()")) + errors_of(kernel.failed("for result in batch:\n    1 / 0"))
    assert STOPPED not in told
    assert kernel.value("len(batch.wait(60))") == str(ROWS) == str(len(submissions(vendor)))
    assert STOPPED not in errors_of(kernel.failed("for result in batch:\n    pressed()")), "it is over"
    kernel.run("known = weakref.ref(batch)\ndel batch, result")
    kernel.run("gc.collect()")
    assert kernel.value("known() is None") == "True"


TERMINAL = """
batch = batch_of("in a terminal")
exec("for result in batch:\\n    pressed()")
print(len(batch.wait(30)), "made")
exit
"""


def test_so_it_is_in_a_terminal(vendor: SimulatorServer, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(plain())
    (tmp_path / "setup.py").write_text(SETUP)
    told = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--colors=NoColor", "--no-banner", "-i", "setup.py"],
        cwd=tmp_path, env=environment_of(vendor, tmp_path), input=TERMINAL, capture_output=True, text=True,
        timeout=LIMIT,
    )  # fmt: skip
    assert told.stderr.count(STOPPED) == 1
    assert f"{len(submissions(vendor))} made" in told.stdout
    assert len(submissions(vendor)) < ROWS
