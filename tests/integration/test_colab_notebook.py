"""The Colab notebook runs from top to bottom with Colab's IPython and ipykernel and a **fake** ``google.colab``."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from scripts.kernels import COLAB, jupyter_path
from tests import kernel_sockets

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest depends on it there

ROOT = Path(__file__).parent.parent.parent
NOTEBOOK = ROOT / "notebooks" / "colab.ipynb"
KEY = "sk-test-of-colab"


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the notebook in an empty folder, with these secrets and changes to its source; gives it with its outputs."""

    def run(secrets, changes=()):
        monkeypatch.setenv("JUPYTER_PATH", jupyter_path())
        monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "fake_colab"))
        monkeypatch.setenv("FAKE_COLAB_SECRETS", json.dumps(secrets))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        assert all(not cell.get("outputs") for cell in notebook.cells), "the notebook is kept without outputs"
        for cell in notebook.cells:
            for before, after in changes:
                cell.source = cell.source.replace(before, after)
        notebook.cells.insert(0, new_code_cell("import google.colab"))  # as Colab's kernel does
        client = kernel_sockets.client(notebook, tmp_path, timeout=120, kernel_name=COLAB)
        client.execute()
        complaints = [each.text for each in outputs(notebook) if each.get("name") == "stderr"]
        assert complaints == []
        return notebook

    return run


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook):
    return "".join(output.text for output in outputs(notebook) if output.get("name") == "stdout")


def embedded(notebook):
    """The videos that are in the page itself."""
    pages = "".join(output.data.get("text/html", "") for output in outputs(notebook) if "data" in output)
    return re.findall(r'<video[^>]* src="data:video/mp4;base64,', pages)


def test_without_a_key_it_says_so_and_runs_on_the_simulator(run, tmp_path):
    notebook = run({"AIMLAPI_KEY": None})
    assert "The Colab secret AIMLAPI_KEY is there, but this notebook may not read it." in printed(notebook)
    assert "So the widget runs on the simulator, free of charge." in printed(notebook)
    assert len(embedded(notebook)) == 1, "the one line of Python shows its video; showing the widget submits nothing"
    assert len(list((tmp_path / "kling_videos" / "videos").glob("*.mp4"))) == 1
    (widget,) = [
        each for each in outputs(notebook) if "application/vnd.jupyter.widget-view+json" in each.get("data", {})
    ]
    assert "custom_widget_manager" in widget.metadata["application/vnd.jupyter.widget-view+json"]["colab"], (
        "anywidget has called enable_custom_widget_manager by itself"
    )


def test_with_a_secret_and_google_drive_it_finds_the_key_and_keeps_everything_there(run, tmp_path):
    drive = tmp_path / "drive"
    kept = [("KEEP_IN_DRIVE = False", "KEEP_IN_DRIVE = True"), ("/content/drive", str(drive))]
    notebook = run({"AIMLAPI_KEY": KEY}, [*kept, ("kw.generate", "kw.submit")])  # the video itself is the test above
    assert "A key was found" in printed(notebook)
    workspace = drive / "MyDrive" / "kling_videos"
    assert len(list((workspace / "images").iterdir())) == 1
    with closing(sqlite3.connect(workspace / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT provider FROM generations").fetchall() == [("simulator",)]
    assert KEY not in nbformat.writes(notebook)


def test_the_badges_lead_to_the_repository():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    repository = settings["kling-widget"]["repository"]
    address = f"https://colab.research.google.com/github/{repository}/blob/main/notebooks/colab.ipynb"
    for page in (ROOT / "README.md", NOTEBOOK):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"https://colab\.research\.google\.com/github/[^)\s\"\\]+", text) == [address]
