"""The batch notebook runs from top to bottom, without a browser, a key, or anybody to ask."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from tests import kernel_sockets

from .conftest import KEY, Serve, submissions
from .kernel import pages

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def test_the_batch_notebook_runs_and_what_would_cost_something_asks_first(serve: Serve, tmp_path: Path) -> None:
    vendor = serve()
    shutil.copytree(NOTEBOOKS / "images", tmp_path / "images")
    notebook = nbformat.read(NOTEBOOKS / "batch.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the notebook is kept without outputs"
    costly = new_code_cell(f'kw.batch(rows, api_key="{KEY}", base_url="{vendor.url}", keep=["label"])')
    costly.metadata["tags"] = ["raises-exception"]
    notebook.cells += [costly, later := new_code_cell("results")]
    kernel_sockets.client(notebook, tmp_path, timeout=170).execute()

    sheets = [html for cell in notebook.cells for html in pages(cell.get("outputs", [])) if "row 0" in html]
    assert [sheet.count("<details>") for sheet in sheets] == [2, 4, 2, 2, 2], "posters that open into players"
    assert sheets[-1] in pages(later.outputs), "results in a cell of their own show what the batch's cell does"
    assert "3 rows: 2 with a video · 1 failed · simulated" in sheets[-1]
    assert all("simulated" in sheet and "<progress" not in sheet for sheet in sheets)
    assert len(list((tmp_path / "kling_videos" / "videos").glob("*.mp4"))) == 8
    assert len(nbformat.writes(notebook)) < 120_000

    (error,) = [output for output in costly.outputs if output.output_type == "error"]
    assert error.ename == "NotConfirmedError"
    assert "3 clips to make (3 of 5 s), about $1.98." in error.evalue
    assert "confirm=False" in error.evalue
    assert submissions(vendor) == []
