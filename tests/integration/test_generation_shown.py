"""A generation as the last line of a cell, in a real kernel and in IPython in a terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kling_widget.simulator import SimulatorServer

from .conftest import Serve
from .kernel import Kernel, environment_of, pages, started
from .simulator_fixtures import picture

BEGIN = "import kling_widget as kw\ngeneration = kw.submit('cat.png', {prompt!r})\ngeneration"
OVER = "generation.wait(30)\nNone"


@pytest.fixture
def server(serve: Serve) -> SimulatorServer:
    return serve(time_factor=93)  # two seconds: it is still under way when the first cell ends


@pytest.fixture
def kernel(server: SimulatorServer, tmp_path: Path) -> Iterator[Kernel]:
    (tmp_path / "cat.png").write_bytes(picture())
    with started(tmp_path, environment_of(server, tmp_path)) as kernel:
        yield kernel


def test_its_own_cell_shows_it_once_and_another_one_how_it_stands(kernel: Kernel) -> None:
    (shown,) = kernel.run(BEGIN.format(prompt="The cat yawns"))
    assert "<progress" in shown["data"]["text/html"]
    assert "The cat yawns" in shown["data"]["text/html"]
    (later,) = kernel.run("generation")
    assert "<progress" in later["data"]["text/html"]
    assert kernel.run(OVER) == []
    assert ["<video" in page for page in pages(kernel.run("generation"))] == [True]


def test_why_it_failed_is_said_where_nobody_raises_it(kernel: Kernel) -> None:
    kernel.run(BEGIN.format(prompt="The cat [fail]"))
    error = kernel.failed(OVER)[-1]
    assert error["ename"] == "GenerationFailedError"
    (page,) = pages(kernel.run("generation"))
    assert "content filter" in page


def test_a_terminal_shows_its_repr(server: SimulatorServer, tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(picture())
    code = BEGIN.format(prompt="The cat yawns")
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=nocolor", "--no-banner", "-i", "-c", code],
        cwd=tmp_path, env=environment_of(server, tmp_path), input="", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "<Generation kw-" in ran.stdout
    assert "'The cat yawns'>" in ran.stdout


@pytest.mark.parametrize("where", ["", ", simulate=True"])
def test_a_shell_command_after_a_video_ends(kernel: Kernel, where: str) -> None:
    """IPython forks for it, and PyAV 19 would leave threads of FFmpeg's to the child (`media.converted`)."""
    kernel.run(f"import kling_widget as kw\nvideo = kw.generate('cat.png', 'The cat yawns'{where})")
    (said,) = kernel.run("!echo alive")
    assert said["text"].strip() == "alive"
