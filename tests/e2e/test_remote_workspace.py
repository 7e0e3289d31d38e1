"""A workspace in S3 (moto's server), seen in JupyterLab: the clip plays, and the saved notebook says where it lies."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from kling_widget.simulator import SimulatorServer, SimulatorSettings
from tests.e2e.lab import Lab
from tests.e2e.people import MADE, WIDGET, assert_plays, fill_in, generations, press_generate
from tests.s3 import S3

KEY = "sk-remote-0123456789"
SIZE = (320, 214)
"""Width and height in pixels of the simulator's clips of rocket.jpg at a long edge of 320."""

TOO_LARGE = "kw.Video.embed_limit = 1000\nw.generations[0].video"


@pytest.fixture
def vendor() -> Iterator[SimulatorServer]:
    """The simulator over HTTP, in this process, fast."""
    with SimulatorServer(SimulatorSettings(time_factor=600, long_edge=320, api_keys=frozenset({KEY}))) as server:
        yield server


def test_a_clip_in_a_bucket_plays_and_the_saved_notebook_says_where_it_is(
    lab: Lab, vendor: SimulatorServer, s3: S3
) -> None:
    address = f"{s3.new_bucket()}/clips"
    environment = {
        **s3.environment,
        "AIMLAPI_KEY": KEY,
        "KLING_WIDGET_BASE_URL": vendor.url,
        "KLING_WIDGET_WORKSPACE": address,
        "KLING_WIDGET_DATABASE": f"sqlite:///{lab.folder / 'ledger.sqlite'}",
        "KLING_WIDGET_CACHE": str(lab.folder / ".cache"),
    }
    notebook = lab.notebook([WIDGET, TOO_LARGE], env=environment)
    notebook.run(0)
    fill_in(lab.page)
    press_generate(lab.page)
    expect(generations(lab.page)).to_contain_text("Ready", timeout=MADE)
    [name] = [name for name in s3.names(f"{address}/videos") if name.endswith(".mp4")]
    shown = notebook.output(0).locator("figure")
    assert_plays(shown.locator("video"), SIZE)
    expect(shown.locator("video")).to_have_attribute("src", re.compile("^data:video/mp4;base64,"))
    expect(shown).to_contain_text(f"{address}/videos/{name}")
    entry = generations(lab.page).first
    entry.get_by_role("button", name="Play").click()
    assert_plays(entry.locator("video"), SIZE)
    expect(entry.locator("video")).to_have_attribute("src", re.compile("^blob:"))
    notebook.run(1)
    notebook.save()
    notebook.shutdown()
    notebook = lab.reload(notebook)
    assert_plays(notebook.output(0).locator("figure video"), SIZE)
    large = notebook.output(1).locator("figure")
    expect(large.get_by_role("img")).to_be_visible()
    expect(large.locator("video")).to_have_count(0)
    expect(large).to_contain_text("The rocket clears the tower")
    expect(large).to_contain_text(f"It is saved as {address}/videos/{name}")
