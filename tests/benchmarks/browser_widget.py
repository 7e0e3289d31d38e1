"""The widget shown in JupyterLab against an empty anywidget: from "run this cell" to painted."""

from __future__ import annotations

from tests.benchmarks.browser_page import QuietLab, Turns, fresh, milliseconds
from tests.benchmarks.verdicts import verdict
from tests.e2e.notebook import Notebook

OURS = {"code": "import kling_widget as kw\nkw.KlingWidget()", "selector": ".kling-widget", "text": "Generate"}
EMPTY = {
    "code": """import anywidget

class Empty(anywidget.AnyWidget):
    _esm = "export default { render({ el }) { el.innerHTML = '<p class=nothing>Nothing</p>'; } };"

Empty()""",
    "selector": ".nothing",
    "text": "Nothing",
}
TARGET = 1.25
FRESH_ROUNDS, MORE_ROUNDS = 25, 31  # frames are 17 ms apart


def shown(notebook: Notebook, what: dict[str, str]) -> float:
    return milliseconds(notebook, "widget", **what)


def first(notebook: Notebook, what: dict[str, str]) -> float:
    """The first widget of a kernel, with the imports it takes."""
    fresh(notebook)
    return shown(notebook, what)


def report(lab: QuietLab) -> list[bool]:
    """Print the lines about the widget; whether each target is reached."""
    notebook = lab.notebook([""], name="widget.ipynb")
    shown(notebook, OURS), shown(notebook, EMPTY)  # what the page loads once: the widget manager, anywidget
    again, first_of_kernel = Turns("ms"), Turns("ms")
    for _ in range(MORE_ROUNDS):
        again.take(lambda: shown(notebook, OURS), lambda: shown(notebook, EMPTY))
    for _ in range(FRESH_ROUNDS):
        first_of_kernel.take(lambda: first(notebook, OURS), lambda: first(notebook, EMPTY))
    notebook.close()
    name = "widget shown in JupyterLab / an empty anywidget, cell run → painted"
    figures = {"in a kernel that has shown one": again, "the first of a fresh kernel": first_of_kernel}
    return [verdict(f"{name}, {when}", turns, turns.ratio <= TARGET, f"≤ {TARGET}") for when, turns in figures.items()]
