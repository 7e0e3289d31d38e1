"""One notebook, open in the page: what a person does with it, as methods."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

CELL_TIMEOUT = 60.0
"""Seconds a cell may take unless a test says otherwise."""

ASLEEP = "asleep"
SLEEP = f"import time\nprint('{ASLEEP}')\ntime.sleep(60)"
"""A cell for longer than any test takes: Ctrl-C ends it.

It runs once `ASLEEP` is in its output. Not when the kernel says busy: the answer to something else, of a debugger say,
makes it idle again although the cell runs.
"""


class CellFailed(AssertionError):
    """A cell raised, and the test did not expect it; the message is its traceback."""


def write_notebook(path: Path, cells: Sequence[str | nbformat.NotebookNode], kernel: str) -> None:
    """Writes a notebook file: strings become code cells, nodes are taken as they are."""
    nodes = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    spec = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=nodes, metadata=spec), path)


class Notebook:
    """A notebook open in JupyterLab.

    Parameters
    ----------
    page
        The page in which JupyterLab is loaded.
    root
        The folder the server serves.
    path
        The notebook's file below it.
    kernel
        Name of the kernel it was opened with; None for none.
    env
        Environment variables set in the kernel at each start, without a trace in the notebook.
    """

    def __init__(self, page: Page, root: Path, path: Path, kernel: str | None, env: Mapping[str, str]) -> None:
        self.page = page
        self.path = path
        self.kernel = kernel
        self.env = dict(env)
        self.name = path.relative_to(root).as_posix()

    def open(self) -> None:
        """Opens it and waits until its kernel answers."""
        self.ask("open", {"path": self.name, "kernel": self.kernel})
        if self.kernel:
            self.set_environment()

    def ask(self, function: str, argument: Any = None) -> Any:
        """Calls a function of `lab.js` and awaits its promise; without an argument it gets the notebook's path."""
        call = [function, self.name if argument is None else argument]
        return self.page.evaluate("([name, argument]) => window.lab[name](argument)", call)

    # Cells

    def cell(self, index: int) -> Locator:
        """The cell, counted from 0."""
        return self.page.locator(f".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell[data-windowed-list-index='{index}']")

    def output(self, index: int) -> Locator:
        """All outputs of a cell, as one element."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def run(self, index: int, *, timeout: float = CELL_TIMEOUT, may_fail: bool = False) -> None:
        """Runs a cell and waits for its end.

        Parameters
        ----------
        index
            The cell, counted from 0.
        timeout
            Seconds.
        may_fail
            True if the cell is meant to raise.

        Raises
        ------
        CellFailed
            The cell raised.
        """
        self.wait(self.start(index), timeout=timeout)
        if not may_fail:
            self.check(index)

    def run_all(self, *, timeout: float = CELL_TIMEOUT) -> None:
        """Runs all cells, waits for the last, raises `CellFailed` if one raised. `timeout` is in seconds."""
        self.wait(self.start(None), timeout=timeout)
        for index, cell in enumerate(self.read_live()):
            if cell == "code":
                self.check(index)

    def start(self, index: int | None) -> str:
        """Starts a cell, or all for None, and returns at once. `wait` takes what it returns."""
        return str(self.ask("run", {"path": self.name, "cell": index}))

    def wait(self, run: str, *, timeout: float = CELL_TIMEOUT) -> None:
        """Waits until a run that `start` began has ended; `timeout` in seconds."""
        ended = self.page.wait_for_function("run => window.lab.finished(run)", arg=run, timeout=timeout * 1000)
        problem = ended.json_value()["problem"]
        assert problem is None, problem

    def check(self, index: int) -> None:
        """Raises `CellFailed` if the cell's outputs hold an error."""
        error = self.ask("cellError", {"path": self.name, "cell": index})
        if error:
            raise CellFailed(f"cell {index} of {self.name} raised\n{error}")

    def read_live(self) -> list[str]:
        """The types of the cells in the page, saved or not."""
        kinds = "path => window.lab.panel(path).content.widgets.map(cell => cell.model.type)"
        return [str(kind) for kind in self.page.evaluate(kinds, self.name)]

    # Kernel

    def kernel_eval(self, code: str) -> Any:
        """Runs code in the kernel and returns the value of its last expression, without a trace in the notebook.

        It queues behind a running cell. The value must be JSON.

        Raises
        ------
        CellFailed
            The code raised.
        """
        body = ast.parse(code).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        expression = "None" if last is None else ast.unparse(last)
        argument = {
            "path": self.name,
            "code": "\n".join(ast.unparse(statement) for statement in body),
            # A Python literal of a JSON text: the one form that survives IPython's pretty printing unchanged.
            "expression": f"__import__('json').dumps({expression})",
        }
        answer = self.ask("evaluate", argument)
        if answer["status"] != "ok":
            raise CellFailed(
                f"{answer.get('ename')}: {answer.get('evalue')}\n" + "\n".join(answer.get("traceback", []))
            )
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def set_environment(self) -> None:
        """Sets `env` in the kernel."""
        if self.env:
            self.kernel_eval(f"import os\nos.environ.update({self.env!r})\ndel os")

    def wait_idle(self, *, timeout: float = CELL_TIMEOUT) -> None:
        """Waits until the kernel has nothing to do; `timeout` in seconds."""
        is_idle = "path => window.lab.status(path) === 'idle'"
        self.page.wait_for_function(is_idle, arg=self.name, timeout=timeout * 1000)

    def interrupt(self) -> None:
        """What the stop button does."""
        self.ask("interrupt")

    def restart(self) -> None:
        """Restarts the kernel, keeps the outputs, sets `env` again."""
        self.ask("restart")
        self.set_environment()

    def shutdown(self) -> None:
        """Ends the kernel; the notebook stays open."""
        self.ask("shutdown")

    # File

    def save(self) -> None:
        """Saves to disk."""
        self.ask("save")

    def read(self) -> nbformat.NotebookNode:
        """The notebook as it is on disk."""
        return nbformat.read(self.path, as_version=4)

    def close(self) -> None:
        """Ends the kernel and closes the tab, without saving."""
        self.ask("close")
