"""The quickstart notebook runs from top to bottom, without a browser and without a key."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def test_the_quickstart_runs_from_top_to_bottom_and_its_videos_are_in_the_outputs(tmp_path):
    shutil.copytree(NOTEBOOKS / "images", tmp_path / "images")
    notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the notebook is kept without outputs"
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}})
    client.execute()
    pages = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert [page.count("<video") for page in pages if "<video" in page] == [1, 1, 1], "each cell shows its clip once"
    assert len(list((tmp_path / "kling_videos" / "videos").glob("*.mp4"))) == 2, (
        "showing the widget submits nothing, and the cell of words asks for what is there"
    )
    assert len(nbformat.writes(notebook)) < 200_000
