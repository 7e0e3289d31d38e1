"""The quickstart notebook runs from top to bottom, without a browser and without a key, by nbclient and papermill."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from papermill.exceptions import PapermillExecutionError

from tests.conftest import NOTEBOOKS, run_notebook

QUICKSTART = NOTEBOOKS / "quickstart.ipynb"


def outputs(notebook: Path) -> list[Any]:
    """What the cells gave, with what must differ from run to run taken out: ids, numbers, times."""
    read = nbformat.read(notebook, as_version=4)
    cells = [cell for cell in read.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    text = json.dumps([cell.get("outputs", []) for cell in cells])
    plain = re.sub(r'"model_id": "[0-9a-f]{32}"', '"model_id": ""', text)
    return json.loads(re.sub(r'"execution_count": \d+', '"execution_count": 0', plain))


def pages(notebook: Path) -> list[str]:
    """The HTML of every output that has a player."""
    html = [output.get("data", {}).get("text/html", "") for cell in outputs(notebook) for output in cell]
    return [page for page in html if "<video" in page]


def test_the_quickstart_runs_from_top_to_bottom_and_its_videos_are_in_the_outputs(saved_quickstart):
    kept = nbformat.read(QUICKSTART, as_version=4)
    assert all(not cell.get("outputs") for cell in kept.cells), "the notebook is kept without outputs"
    players = [page.count("<video") for page in pages(saved_quickstart)]
    assert players == [1, 1, 1, 2], "each cell shows its clip once, and the last one all of them"
    videos = saved_quickstart.parent / "kling_videos" / "videos"
    assert len(list(videos.glob("*.mp4"))) == 2, (
        "showing the widget submits nothing, and the cell of words asks for what is there"
    )
    assert saved_quickstart.stat().st_size < 200_000


def test_readers_without_widgets_are_told_what_the_panel_is(saved_quickstart):
    widget, *_videos = next(cell for cell in outputs(saved_quickstart) if cell)
    assert "application/vnd.jupyter.widget-view+json" in widget["data"]
    for kind in ("text/plain", "text/html"):
        assert "Open this notebook in Jupyter" in widget["data"][kind]


def test_a_second_run_in_the_same_folder_changes_nothing_that_is_saved(saved_quickstart):
    again = run_notebook(QUICKSTART, saved_quickstart.with_name("again.ipynb"))
    assert outputs(again) == outputs(saved_quickstart)
    folder = str(saved_quickstart.parent)
    assert folder not in json.dumps(outputs(again)), "and another machine would have the same"


def test_papermill_runs_it_with_parameters(saved_quickstart):
    told = saved_quickstart.with_name("papermill.ipynb")
    settings = {"cwd": saved_quickstart.parent, "progress_bar": False, "kernel_name": "python3"}
    papermill.execute_notebook(QUICKSTART, told, parameters={"SIMULATE": True}, **settings)
    injected = [cell for cell in nbformat.read(told, as_version=4).cells if "injected-parameters" in cell.metadata.tags]
    assert [cell.source.splitlines()[-1] for cell in injected] == ["SIMULATE = True"]
    assert pages(told) == pages(saved_quickstart)

    with pytest.raises(PapermillExecutionError, match="MissingKeyError"):  # the parameter arrives, and nothing is spent
        papermill.execute_notebook(QUICKSTART, told, parameters={"SIMULATE": False}, **settings)
