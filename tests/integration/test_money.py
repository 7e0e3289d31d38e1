"""Money in sight, over real HTTP: the estimate before, the charge after, a budget that nothing gets past."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time

import pytest

from kling_widget import BudgetExceededError, Studio, account, background, money, retry
from kling_widget.simulator import Fault, SimulatorServer
from tests.integration.conftest import KEY, studio_on, submissions
from tests.integration.simulator_fixtures import Clock, picture, small

DEADLINE = 60.0
PRICE = 0.66
"""USD of a 5 s clip in the price table."""


@pytest.fixture
def cat(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(picture((640, 360)))
    return path


def asked(server, path):
    return [each for each in server.simulator.requests if each.path.startswith(path)]


def eventually(holds):
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, "never came to hold"
        time.sleep(0.01)


# Before


def test_the_estimate_is_the_tables_price_until_a_charge_was_seen(studio, server, cat):
    assert studio.estimate(5) == "about $0.66 · ready in about 3 min"
    assert studio.estimate(10) == "about $1.32 · ready in about 6 min"
    assert not studio.workspace.path.exists()  # looking makes no folder
    studio.submit(cat, "p").wait(DEADLINE)
    assert studio.estimate(5).startswith("about $0.50 · ready in ")  # what this simulator charges
    assert studio.estimate(10).startswith("about $1.32 · ")


def test_the_estimate_adds_up_the_ledger_again_only_when_something_was_charged_or_made(studio, cat, monkeypatch):
    ledger, asked = studio.workspace.ledger, []
    for name in ("sums", "durations"):
        real = getattr(ledger, name)
        monkeypatch.setattr(ledger, name, lambda *given, name=name, real=real: asked.append(name) or real(*given))
    studio.submit(cat, "p").wait(DEADLINE)
    said = studio.estimate(5)
    asked.clear()
    assert [studio.estimate(5) for _ in range(20)] == [said] * 20
    assert asked == []
    row = studio.generations()[0].row
    background.run(studio.learn(row, usd=0.25))
    assert studio.estimate(5).startswith("about $0.25 · ")
    assert asked == ["sums", "durations"]


def test_the_simulator_in_process_is_free_and_no_budget_stops_it(tmp_path, cat, monkeypatch):
    monkeypatch.setenv(account.BUDGET, "0")
    studio = Studio(simulate=True, workspace=tmp_path / "clips")
    assert studio.estimate(5) == "free · about 8 s"
    generation = studio.submit(cat, "p", budget=0)
    assert studio.spending().total == money.Total(1, 0, 0)
    generation.stop()
    assert generation.row.usd is None


def test_the_balance_is_asked_for_on_demand_only_and_forgotten_at_the_next_submission(studio, server, cat):
    studio.submit(cat, "p").wait(DEADLINE)
    studio.estimate(5)
    studio.spending()
    assert not asked(server, "/v2/billing")
    assert studio.balance() == 999.5
    assert studio.estimate(5).startswith("about $0.50 of $999.50 · ready in ")
    assert len(asked(server, "/v2/billing")) == 1
    studio.submit(cat, "p")
    assert "of $999.50" in studio.estimate(5)  # a repeated request costs nothing
    studio.submit(cat, "another")
    assert " of " not in studio.estimate(5)


def test_balance_without_an_answer_is_an_error_and_without_the_figure_none(studio, server):
    from kling_widget import AuthenticationError, ServerError

    server.simulator.faults.add(Fault("billing", "garbage"))
    assert studio.balance() is None
    server.simulator.faults.add(Fault("billing", "status_code", code=500))
    with pytest.raises(ServerError):
        studio.balance()
    with pytest.raises(AuthenticationError):
        Studio(api_key="wrong", base_url=server.url, workspace=studio.workspace.path).balance()


# After


@pytest.mark.parametrize(
    "told", [{"usd"}, {"credits"}, {"usd", "credits"}, set()], ids=lambda told: "+".join(sorted(told)) or "log"
)
def test_the_charge_is_kept_with_the_video_wherever_it_is_told(serve, tmp_path, cat, told):
    server = serve(cost_in=frozenset(told))
    studio = studio_on(server, tmp_path)
    generation = studio.submit(cat, "p")
    video = generation.wait(DEADLINE)
    sidecar = video.path.with_suffix(".json")
    eventually(lambda: json.loads(sidecar.read_text())["usd"] == 0.5)
    assert generation.row.usd == video.metadata["usd"] == 0.5
    assert studio.workspace.ledger.rows()[0].usd == 0.5
    if told != {"usd"}:
        assert generation.row.credits == 1_000_000
    assert bool(asked(server, "/v2/logs")) == (not told)  # nothing is asked that was told


def test_a_charge_that_lands_late_never_delays_the_video_and_is_found_by_the_next_kernel(tmp_path, cat):
    clock = Clock()
    late = small(cost_in=frozenset(), charge_delay=5000.0, log_delay=60.0, time_factor=600.0)
    with SimulatorServer(late, clock=clock) as server:
        studio = studio_on(server, tmp_path)
        generation = studio.submit(cat, "p")
        eventually(lambda: generation.id)
        clock.forward(10)  # ready, not in the log
        video = generation.wait(DEADLINE)
        eventually(lambda: len(asked(server, "/v2/logs")) == len(account.BILL_DELAYS))
        assert generation.row.usd is video.metadata["usd"] is None
        assert studio.spending().total == money.Total(1, 0, PRICE)
        clock.forward(6000)
        later = studio_on(server, tmp_path)
        later.take_up()
        eventually(lambda: later.spending().total == money.Total(1, 0.5, 0))
        eventually(lambda: json.loads(video.path.with_suffix(".json").read_text())["usd"] == 0.5)
        assert len(submissions(server)) == 1


def test_a_log_that_fails_or_hangs_costs_the_number_only(serve, tmp_path, cat):
    server = serve(cost_in=frozenset())
    server.simulator.faults.add(Fault("logs", "hang", seconds=30))
    studio = studio_on(server, tmp_path)
    began = time.monotonic()
    assert studio.submit(cat, "p").wait(DEADLINE).path.exists()
    assert time.monotonic() - began < 25
    other = studio_on(server, tmp_path / "other")
    server.simulator.faults.clear()
    server.simulator.faults.add(Fault("logs", "status_code", code=500))
    generation = other.submit(cat, "p")
    generation.wait(DEADLINE)
    eventually(lambda: generation.row.usd == 0.5)  # the second look
    assert generation.status == "completed"


def test_charges_are_found_past_the_first_page_of_the_log(serve, tmp_path, cat, monkeypatch):
    from kling_widget import client

    monkeypatch.setattr(client, "LOG_PAGE", 2)
    server = serve(cost_in=frozenset())
    monkeypatch.setattr(account, "BILL_DELAYS", ())
    studio = studio_on(server, tmp_path)
    for generation in [studio.submit(cat, f"p{number}") for number in range(5)]:
        generation.wait(DEADLINE)
    assert studio.spending().total.usd == 0
    studio.take_up()
    eventually(lambda: studio.spending().total == money.Total(5, 2.5, 0))


def test_the_functions_know_the_budget_the_balance_and_the_spending(server, tmp_path, cat, monkeypatch):
    import kling_widget as kw

    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/somewhere/clips.py", raising=False)
    settings = {"base_url": server.url, "workspace": tmp_path / "clips"}
    with pytest.raises(BudgetExceededError):
        kw.generate(cat, "p", api_key=KEY, budget=0.1, **settings)
    kw.generate(cat, "p", api_key=KEY, budget=0.7, timeout=DEADLINE, progress=False, **settings)
    assert kw.balance(api_key=KEY, base_url=server.url) == 999.5
    spending = kw.spending(**settings)
    assert spending.total == money.Total(1, 0.5, 0)
    [row] = spending
    assert row["notebook"] == "clips.py"


# In one line, and in the widget


@pytest.fixture
def widget(server, tmp_path, cat):
    from kling_widget import KlingWidget

    opened = KlingWidget(cat, "p", api_key=KEY, base_url=server.url, workspace=tmp_path / "clips", budget=0.7)
    yield opened
    opened.close()


ids = itertools.count()


def press(widget, kind, **fields):
    widget._receive(widget, {"type": kind, "id": str(next(ids)), **fields}, [])


def test_the_widget_shows_estimate_and_charge_and_refuses_beside_the_form(widget, server):
    form = {"prompt": "p", "negative_prompt": "", "duration": 5, "cfg_scale": 0.5}
    eventually(lambda: widget.estimate == "about $0.66 · ready in about 3 min")
    press(widget, "generate", form=form, anyway=False)
    eventually(lambda: widget.entries and widget.entries[0]["status"] == "completed")
    eventually(lambda: widget.entries[0]["cost"] == "$0.50")
    eventually(lambda: widget.estimate.startswith("about $0.50 · "))
    press(widget, "generate", form=form, anyway=True)  # a press is always a new take
    eventually(lambda: widget.problems)
    [problem] = widget.problems
    assert (problem["field"], problem["anyway"]) == ("form", False)
    assert problem["text"].startswith("Above the budget of $0.70: this would cost about $0.50, $0.50 is spent.")
    assert len(submissions(server)) == 1
    assert not asked(server, "/v2/billing")


def test_the_widget_asks_for_the_balance_when_a_person_does(widget, server):
    press(widget, "balance")
    eventually(lambda: widget.estimate == "about $0.66 of $1,000.00 · ready in about 3 min")
    server.simulator.faults.add(Fault("billing", "status_code", code=500))
    press(widget, "balance")
    eventually(lambda: widget.problems)
    assert widget.problems[0]["field"] == "form"
    press(widget, "balance")
    eventually(lambda: not widget.problems)


def test_submitting_an_unknown_one_again_is_refused_beside_the_form(widget, server, monkeypatch):
    monkeypatch.setattr(retry, "LOOKUP_DELAYS", ())
    server.simulator.faults.add(Fault("submit", "status_code", code=502))
    generation = widget.generate()
    eventually(lambda: generation.status == "unknown")
    press(widget, "resubmit", key=generation.key)
    eventually(lambda: widget.problems)
    assert "Above the budget of $0.70" in widget.problems[0]["text"]
    assert len(submissions(server)) == 1


def test_a_balance_can_be_asked_for_inside_a_running_loop(studio):
    async def ask():
        return studio.balance()

    assert asyncio.run(ask()) == 1000
