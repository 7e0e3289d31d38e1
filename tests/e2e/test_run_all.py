"""The notebooks by *Run All*, as a newcomer runs them: cells queue behind one that waits, and none is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.lab import KERNELS, NEWEST, Lab

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


@pytest.mark.parametrize(
    ("name", "kernel", "videos", "posters"),
    [*(("quickstart", kernel, 3, 2) for kernel in KERNELS), ("batch", NEWEST, 0, 10)],
)
def test_every_cell_runs_and_complains_of_nothing(lab: Lab, name: str, kernel: str, videos: int, posters: int) -> None:
    shutil.copytree(NOTEBOOKS / "images", lab.folder / "images")
    shutil.copy(NOTEBOOKS / f"{name}.ipynb", lab.folder)
    notebook = lab.open(lab.folder / f"{name}.ipynb", kernel=kernel)
    notebook.run_all(timeout=100)
    notebook.wait_idle()
    notebook.save()
    cells = [cell for cell in notebook.read().cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    complaints = [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert complaints == []
    expect(lab.page.locator(".jp-Notebook figure video")).to_have_count(videos)
    expect(lab.page.locator(".jp-Notebook details > summary img")).to_have_count(posters)
