"""The quickstart by *Run All*, as a newcomer runs it: cells queue behind one that waits, and none is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.lab import KERNELS, Lab

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


@pytest.mark.parametrize("kernel", KERNELS)
def test_run_all_runs_every_cell_and_complains_of_nothing(lab: Lab, kernel: str) -> None:
    shutil.copytree(NOTEBOOKS / "images", lab.folder / "images")
    shutil.copy(NOTEBOOKS / "quickstart.ipynb", lab.folder)
    notebook = lab.open(lab.folder / "quickstart.ipynb", kernel=kernel)
    notebook.run_all(timeout=100)
    notebook.wait_idle()
    notebook.save()
    cells = [cell for cell in notebook.read().cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    complaints = [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert complaints == []
    expect(lab.page.locator(".jp-Notebook figure video")).to_have_count(3)
