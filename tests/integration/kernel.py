"""A real kernel whose cells are run one after the other, without a page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from kling_widget.simulator import SimulatorServer
from scripts.kernels import NEWEST, jupyter_path
from tests import kernel_sockets

from .conftest import KEY

LIMIT = 60  # seconds; a clip takes one


def environment_of(server: SimulatorServer, folder: Path) -> dict[str, str]:
    """The environment of a process whose vendor is this simulator."""
    without = {name: text for name, text in os.environ.items() if not name.startswith("KLING_WIDGET_")}
    own = {"AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": server.url, "IPYTHONDIR": str(folder / ".ipython")}
    return {**without, **own, "PYTHONUNBUFFERED": "1"}


class Kernel:
    """A kernel that runs one cell after the other, as a notebook would."""

    def __init__(self, client: NotebookClient) -> None:
        self.client = client

    def run(self, source: str) -> list[Any]:
        """The cell's outputs; raises `CellExecutionError` where it failed."""
        cells = self.client.nb.cells
        cells.append(new_code_cell(source))
        self.client.execute_cell(cells[-1], len(cells) - 1)
        return list(cells[-1].outputs)

    def failed(self, source: str) -> list[Any]:
        """The outputs of a cell that is meant to fail."""
        with pytest.raises(CellExecutionError):
            self.run(source)
        return list(self.client.nb.cells[-1].outputs)

    def value(self, expression: str) -> str:
        """The text of an expression's value."""
        return str(self.run(expression)[-1]["data"]["text/plain"])

    def completions(self, line: str) -> list[str]:
        """What the line becomes by each of the Tab key's offers."""
        channel = self.client.kc
        asked = channel.complete(line)
        while (reply := run_sync(channel.get_shell_msg)(timeout=LIMIT))["parent_header"].get("msg_id") != asked:
            pass
        offers = reply["content"]
        return [line[: offers["cursor_start"]] + text + line[offers["cursor_end"] :] for text in offers["matches"]]


@contextmanager
def started(folder: Path, environment: Mapping[str, str], kernel: str = NEWEST) -> Iterator[Kernel]:
    """A kernel that works in this folder; `kernel` is its name (scripts/kernels.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", jupyter_path())
        client = kernel_sockets.client(new_notebook(), folder, timeout=LIMIT, kernel_name=kernel)
        with client.setup_kernel(env=dict(environment)):
            yield Kernel(client)


def pages(outputs: list[Any]) -> list[str]:
    """The HTML of a cell's outputs."""
    return [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
