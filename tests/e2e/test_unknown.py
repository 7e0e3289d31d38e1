"""A submission nobody knows the fate of, and a clip of another kernel: what a person sees and can do about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from kling_widget.simulator import Fault, SimulatorServer, SimulatorSettings
from tests.e2e.lab import Lab
from tests.e2e.people import MADE, WIDGET, fill_in, generations, press_generate

KEY = "sk-test-of-the-unknown"


@pytest.fixture
def vendor() -> Iterator[SimulatorServer]:
    """The simulator over HTTP, in this process. A clip takes two seconds."""
    settings = SimulatorSettings(time_factor=93, long_edge=320, api_keys=frozenset({KEY}))
    with SimulatorServer(settings) as server:
        yield server


def env(vendor: SimulatorServer) -> dict[str, str]:
    return {"KLING_WIDGET_BASE_URL": vendor.url, "AIMLAPI_KEY": KEY}


def posts(vendor: SimulatorServer) -> int:
    return sum(request.method == "POST" for request in vendor.simulator.requests)


def lose_a_submission(lab: Lab, vendor: SimulatorServer) -> None:
    """The connection breaks after the request arrived, and the vendor's log cannot be read."""
    vendor.simulator.faults.add(Fault("submit", "drop_after"), Fault("logs", "status_code", code=503, times=None))
    notebook = lab.notebook([WIDGET], env=env(vendor))
    notebook.run(0)
    notebook.kernel_eval("import kling_widget.retry; kw.retry.LOOKUP_DELAYS = (0.5,)")  # seconds; else four minutes
    fill_in(lab.page)
    press_generate(lab.page)
    expect(generations(lab.page)).to_contain_text("may have been accepted", timeout=MADE)


def test_check_again_finds_what_was_accepted_without_paying_again(lab: Lab, vendor: SimulatorServer) -> None:
    lose_a_submission(lab, vendor)
    vendor.simulator.faults.clear()
    lab.page.get_by_role("button", name="Check again").click()
    expect(generations(lab.page)).to_contain_text("Ready", timeout=MADE)
    assert posts(vendor) == 1


def test_submit_again_takes_a_second_press_and_makes_another_take(lab: Lab, vendor: SimulatorServer) -> None:
    lose_a_submission(lab, vendor)
    vendor.simulator.faults.clear()
    lab.page.get_by_role("button", name="Submit again").click()
    expect(lab.page.get_by_text("It may be paid twice.")).to_be_visible()
    assert posts(vendor) == 1
    sure = lab.page.get_by_role("button", name="Yes, submit again")
    expect(sure).to_have_attribute("aria-disabled", "false")
    sure.click()
    expect(generations(lab.page)).to_have_count(2)
    expect(generations(lab.page).first).to_contain_text("Ready", timeout=MADE)
    assert posts(vendor) == 2


def test_two_notebooks_on_one_workspace_both_see_a_clip_that_is_paid_once(lab: Lab, vendor: SimulatorServer) -> None:
    other = lab.notebook([WIDGET], env=env(vendor), name="other.ipynb")
    other.run(0)
    notebook = lab.notebook([WIDGET], env=env(vendor))
    notebook.run(0)
    fill_in(notebook.output(0))
    press_generate(notebook.output(0))
    expect(generations(notebook.output(0))).to_contain_text("Ready", timeout=MADE)
    other.open()
    expect(generations(other.output(0))).to_have_count(1, timeout=MADE)
    expect(generations(other.output(0))).to_contain_text("Ready", timeout=MADE)
    expect(generations(other.output(0))).to_contain_text("The rocket clears the tower")
    assert posts(vendor) == 1
