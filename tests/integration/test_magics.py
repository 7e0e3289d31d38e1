"""The magics in a real kernel and in a real IPython in a terminal, against the simulator over HTTP."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from kling_widget.money import dollars
from kling_widget.simulator import Fault, SimulatorServer, SimulatorSettings
from kling_widget.simulator.settings import PRICE_USD
from scripts.kernels import COLAB, NEWEST
from tests import kernel_sockets

from .conftest import FAST, KEY, Serve, submissions
from .kernel import LIMIT, Kernel, environment_of, pages, started
from .simulator_fixtures import picture

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|\r|\x07")


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(
        SimulatorSettings(time_factor=FAST, long_edge=160, fps=8, api_keys=frozenset({KEY}))
    ) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("magics")
    (folder / "my cat.png").write_bytes(picture())
    return folder


@pytest.fixture(scope="module")
def environment(server: SimulatorServer, folder: Path) -> dict[str, str]:
    return environment_of(server, folder)


@pytest.fixture(scope="module", params=[NEWEST, COLAB])
def kernel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: SimulatorServer
) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "my cat.png").write_bytes(picture())
    with started(folder, environment_of(server, folder), request.param) as kernel:
        kernel.run("from PIL import Image\nimg = Image.new('RGB', (400, 300), (200, 30, 30))\n%load_ext kling_widget")
        yield kernel


def sent(server: SimulatorServer) -> dict[str, Any]:
    """The newest request's body."""
    return dict(json.loads(submissions(server)[-1].body))


def colour(data_uri: str) -> tuple[int, ...]:
    """Of a picture's first pixel."""
    with Image.open(io.BytesIO(base64.b64decode(data_uri.partition(",")[2]))) as image:
        return tuple(image.convert("RGB").getpixel((0, 0)))


def test_a_cell_makes_a_video_shows_it_and_binds_it(kernel: Kernel, server: SimulatorServer) -> None:
    before = len(submissions(server))
    cell = (
        '%%kling "my cat.png" --duration 10 --cfg 0.4 --camera pan=-3 --negative "blur, noise" --as clip\n'
        "The cat yawns\nand looks away"
    )
    outputs = kernel.run(cell)
    assert ["<video" in page for page in pages(outputs)] == [True]
    assert "The cat yawns and looks away" in pages(outputs)[0]
    assert (
        f"<small>10 s · CFG 0.4 · pan -3 · 160 × 90 · {dollars(PRICE_USD[10])} · simulated</small>" in pages(outputs)[0]
    )
    assert len(outputs) == 1, "as an assignment, it has no value beside what it shows"
    assert kernel.value("type(clip).__name__, clip.path.exists(), clip.duration") == "('Video', True, 10.0)"
    asked = {
        "prompt": "The cat yawns\nand looks away",
        "negative_prompt": "blur, noise",
        "duration": 10,
        "cfg_scale": 0.4,
        "camera_control": {"type": "simple", "config": {"pan": -3}},
    }
    assert {name: sent(server)[name] for name in asked} == asked
    assert ["<video" in page for page in pages(kernel.run(cell))] == [True]
    assert len(submissions(server)) == before + 1, "the same request and take is made and paid once"
    kernel.run(cell.replace("--as clip", "--take 2 --as other"))
    assert kernel.value("clip.path != other.path, other.metadata['take']") == "(True, 2)"
    assert len(submissions(server)) == before + 2


def test_variables_are_the_pictures_they_hold(kernel: Kernel, server: SimulatorServer) -> None:
    kernel.run("import numpy\nframes = {'the last': numpy.full((300, 400, 3), (30, 30, 200), dtype='uint8')}")
    outputs = kernel.run("%%kling {img} --last-frame {frames['the last']} --workspace elsewhere\nRed turns blue")
    assert "Video('elsewhere" in outputs[-1]["data"]["text/plain"], "without --as it is the cell's value"
    assert kernel.value("_.width > _.height") == "True"
    assert colour(sent(server)["image_url"]) == pytest.approx((200, 30, 30), abs=4)  # JPEG
    assert colour(sent(server)["tail_image_url"]) == pytest.approx((30, 30, 200), abs=4)


def test_tab_offers_what_the_magic_knows(kernel: Kernel) -> None:
    assert set(kernel.completions("%%kling --du")) == {"%%kling --duration"}
    assert '%%kling "my cat.png"' in kernel.completions('%%kling "my')
    assert "%%kling {img}" in kernel.completions("%%kling {im")


def test_without_waiting_the_generation_is_bound_at_once(kernel: Kernel, server: SimulatorServer) -> None:
    kernel.run('%%kling "my cat.png" --no-wait --as generation\nThe cat sleeps')
    assert kernel.value("type(generation).__name__") == "'Generation'"
    assert kernel.value("generation.wait(60).metadata['prompt']") == "'The cat sleeps'"


def test_the_widget_opens_with_what_the_line_says(kernel: Kernel, server: SimulatorServer) -> None:
    before = len(submissions(server))
    outputs = kernel.run(
        'w = %kling {img} --prompt "slow dolly in" --duration 10 --cfg 0 --camera down_back --negative blur\nw'
    )
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)
    assert kernel.value(
        "w.prompt, w.duration, w.cfg_scale, w.camera_control, w.negative_prompt, w.image.width, w.simulated"
    ) == ("('slow dolly in', 10, 0.0, {'type': 'down_back'}, 'blur', 400, False)")
    shown = kernel.run("%kling --simulate")
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in shown)
    assert len(submissions(server)) == before, "showing it submits nothing"
    outputs = kernel.failed("%kling --duration ten")
    assert [output["evalue"] for output in outputs] == ["duration must be 5 or 10 seconds, not 'ten'."]


@pytest.mark.parametrize(
    ("cell", "name", "said"),
    [
        ("%%kling nowhere.png\nx", "ImageError", "There is no file nowhere.png in "),
        ("%%kling {imgg}\nx", "InvalidRequestError", "{imgg} cannot be used: name 'imgg' is not defined."),
        ("%%kling {img} --lenght 5\nx", "InvalidRequestError", "There is no option --lenght."),
        ("%%kling {img} --budget 0\nx", "BudgetExceededError", "Above the budget of $0.00: "),
        ("%%kling {img}", "InvalidRequestError", "The prompt is empty: write what should happen in the video."),
        (f"%%kling {{img}} --api-key {KEY}\nx", "InvalidRequestError", "There is no option --api-key."),
    ],
)
def test_a_failed_cell_has_one_error_of_one_line(kernel: Kernel, cell: str, name: str, said: str) -> None:
    (output,) = kernel.failed(cell)
    assert (output["output_type"], output["ename"]) == ("error", name)
    assert output["evalue"].startswith(said)
    assert output["traceback"] == [f"{name}: {output['evalue']}"]
    assert KEY not in str(output)


def test_what_the_vendor_refuses_is_one_error_too(kernel: Kernel, server: SimulatorServer) -> None:
    server.simulator.faults.add(Fault("submit", "status_code", code=403, message="Out of credits"))
    *_, output = kernel.failed("%%kling {img} --as refused\nRed turns green")
    assert output["ename"] == "InsufficientCreditsError"
    assert len(output["traceback"]) == 1
    assert "Out of credits" in output["traceback"][0]
    assert kernel.value("'refused' in globals()") == "False"


def test_an_error_stops_the_notebook(folder: Path, environment: dict[str, str]) -> None:
    cells = ["%load_ext kling_widget", "%%kling nowhere.png --simulate\nx", "reached = True"]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    client = kernel_sockets.client(notebook, folder, timeout=LIMIT)
    with pytest.raises(CellExecutionError, match=r"There is no file nowhere\.png"):
        client.execute(env=environment)
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, None]


# In a terminal


class Terminal:
    """IPython in a pseudo-terminal, with the completion menu and everything."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        # Nobody here answers the question where the cursor is, which prompt_toolkit would wait for.
        variables = {**environment, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--colors=NoColor"],
            cwd=str(folder),
            env=variables,
            encoding="utf-8",
            timeout=LIMIT,
            dimensions=(40, 160),
        )
        self.number = 0
        self.next_prompt()

    def next_prompt(self) -> str:
        """What was written up to the next prompt, as a person reads it."""
        self.number += 1  # the present one is drawn anew with each key
        self.process.expect_exact(f"In [{self.number}]:")
        return ESCAPES.sub("", self.process.before)

    def run(self, *lines: str) -> str:
        """What was written while a cell ran that is typed line by line."""
        self.type(*lines)
        return self.next_prompt()

    def type(self, *lines: str) -> None:
        for line in lines:
            self.process.send(f"{line}\r")


@pytest.fixture(scope="module")
def terminal(folder: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(folder, environment)
    terminal.run("%load_ext kling_widget")
    yield terminal
    terminal.process.close(force=True)


def test_in_a_terminal_a_bar_moves_and_the_path_is_printed(terminal: Terminal, server: SimulatorServer) -> None:
    cell = ('%%kling "my cat.png" --as clip', "The cat stretches", "", "")
    before = len(submissions(server))
    shown = terminal.run(*cell)
    assert re.search(r"\[·+\] Sending · 0:00", shown)
    assert re.search(r"\[█+\] Ready · \d:\d\d · \$\d\.\d\d · simulated · \S+the-cat-stretches\S+\.mp4", shown)
    assert "Out[" not in shown
    assert "True" in terminal.run("clip.path.exists()")
    again = terminal.run(*cell)
    assert re.search(r"\[█+\] Ready · .*\.mp4\n", again), "it is there before the next prompt is"
    assert len(submissions(server)) == before + 1


def test_in_a_terminal_an_error_is_one_line(terminal: Terminal) -> None:
    shown = terminal.run("%%kling nowhere.png", "The cat stretches", "", "")
    assert "\nImageError: There is no file nowhere.png in " in shown
    assert "Traceback" not in shown
    assert "KlingError: The widget needs a notebook." in terminal.run("%kling")


def test_in_a_terminal_what_nobody_waits_for_writes_no_lines_over_the_prompt(terminal: Terminal) -> None:
    shown = terminal.run('%%kling "my cat.png" --no-wait --as generation', "The cat runs", "", "")
    assert "·]" not in shown + terminal.run("video = generation.wait(60)")
    assert "the-cat-runs" in terminal.run("video")


def test_in_a_terminal_ctrl_c_ends_the_waiting_and_says_how_to_go_on(terminal: Terminal, serve: Serve) -> None:
    terminal.run(f"%env KLING_WIDGET_BASE_URL={serve(time_factor=1).url}")
    terminal.type('%%kling "my cat.png"', "The cat waits", "", "")
    terminal.process.expect_exact("Queued")
    terminal.process.sendintr()
    shown = terminal.next_prompt()
    assert re.search(r"Stopped waiting\. Generation \S+ goes on: kw\.resume\(", shown)
    assert "\nKeyboardInterrupt\n" in shown
    assert "Traceback" not in shown


def test_in_a_terminal_tab_completes(terminal: Terminal) -> None:
    terminal.process.send("%%kling my\t")
    terminal.process.expect_exact('%%kling "my cat.png"')
    terminal.process.send(" --dur\t")
    terminal.process.expect_exact("--duration")
