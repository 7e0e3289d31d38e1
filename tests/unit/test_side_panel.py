"""What the JupyterLab extension asks a kernel, what a cell says to it, and the Python it inserts."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kling_widget import KlingWidget, panel_output, side_panel
from kling_widget.entries import source_of

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(autouse=True)
def nothing_placed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(panel_output, "_placed", {})
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is displayed."""
    bundles: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: bundles.append(bundle))
    monkeypatch.setattr("kling_widget.widget_display.CellOutput", lambda **_: None)
    return bundles


def asked(model_id: str | None = None) -> str:
    """The answer as a front end gets it."""
    answer = side_panel.panel(model_id)._repr_json_()
    data = answer[0] if isinstance(answer, tuple) else answer
    return str(data["model_id"])


def test_the_extension_listens_for_the_same_output_type() -> None:
    line = Path(__file__).parents[2] / "js" / "extension" / "line.ts"
    assert f'MIME = "{panel_output.MIME}"' in line.read_text(encoding="utf-8")


def test_a_kernel_makes_its_panels_widget_once() -> None:
    assert asked() == asked()


def test_the_panel_shows_what_was_put_there_last_and_what_is_asked_for_again(shown: list[dict[str, Any]]) -> None:
    first, second = KlingWidget(side_panel=True), KlingWidget(side_panel=True)
    one, two = first.model_id, second.model_id
    assert asked() == two
    assert asked(one) == one
    assert asked() == one  # reloaded page
    second.side_panel()
    assert asked() == two
    second.close()
    assert asked() == one
    assert asked(two) == one
    first.close()
    assert asked() not in (one, two)


def test_a_cell_says_it_to_the_extension_and_shows_the_widget_where_there_is_none(shown: list[dict[str, Any]]) -> None:
    widget = KlingWidget(side_panel=True)
    line, hint = shown
    assert line[panel_output.MIME] == {"model_id": widget.model_id}
    assert line[VIEW]["model_id"] == widget.model_id
    assert hint[panel_output.MIME] == {"hint": True}
    assert "no side panel" in hint["text/html"]


def test_as_the_last_line_of_its_cell_it_is_not_shown_twice(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = 4
    monkeypatch.setattr("kling_widget.notebook_files.kernel_shell", lambda: SimpleNamespace(execution_count=cell))
    widget = KlingWidget(side_panel=True)
    widget._ipython_display_()
    assert len(shown) == 2
    cell = 5
    widget._ipython_display_()
    assert len(shown) == 3
    widget.close()
    widget.side_panel()
    assert len(shown) == 3


@pytest.mark.parametrize(
    "prompt", ["a\nimport os", "a\r\nimport os", "'; import os #", "a\u2028b\x0c\x85c", "\\", "x" * 500]
)
def test_a_prompt_stays_a_comment_in_the_inserted_python(prompt: str) -> None:
    row = SimpleNamespace(request={"prompt": prompt}, provider="simulator")
    generation: Any = SimpleNamespace(id="an'id", key="k", row=row)
    source = source_of(generation, {"base_url": None, "workspace": "my videos"})
    kinds = [type(node).__name__ for node in ast.parse(source).body]
    assert kinds == ["Import", "Assign"]
    assert len(source.splitlines()) == 4
    assert source.splitlines()[3] == """video = kw.resume("an'id", workspace='my videos', simulate=True).wait()"""
