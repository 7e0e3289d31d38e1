"""A budget that nothing gets past: not ten threads, not two processes, not a second try of what may have been paid."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kling_widget import BudgetExceededError, GenerationFailedError, InvalidRequestError, Studio, account, money, retry
from kling_widget.simulator import Fault
from tests.integration.conftest import KEY, studio_on, submissions
from tests.integration.simulator_fixtures import picture
from tests.integration.test_money import DEADLINE, PRICE, eventually


@pytest.fixture
def cat(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(picture((640, 360)))
    return path


@pytest.fixture
def slow(serve):
    """A simulator on which nothing becomes ready, so that nothing is charged, while a test runs."""
    return serve(time_factor=1.0)


def submit_all(studios, cat, budget):
    """Ten submissions at once; what became of each."""

    def submit(number):
        try:
            return studios[number % len(studios)].submit(cat, f"p{number}", budget=budget)  # no two hold one take
        except BudgetExceededError as error:
            return error

    with ThreadPoolExecutor(10) as pool:
        return list(pool.map(submit, range(10)))


@pytest.mark.parametrize("kernels", [1, 2])
def test_of_ten_at_once_exactly_as_many_are_sent_as_the_budget_allows(slow, tmp_path, cat, kernels):
    studios = [studio_on(slow, tmp_path) for _ in range(kernels)]
    refused = [each for each in submit_all(studios, cat, 3 * PRICE) if isinstance(each, BudgetExceededError)]
    assert len(refused) == 7
    assert "budget of $1.98" in str(refused[0])
    eventually(lambda: len(submissions(slow)) == 3)
    rows = studios[0].workspace.ledger.rows()
    assert len(rows) == 3
    assert len({row.lease_owner for row in rows}) <= kernels  # threads of a studio agree on who they are


PROCESS = """
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from kling_widget import BudgetExceededError, Studio
base_url, workspace, picture = sys.argv[1:]
studio = Studio(api_key={key!r}, base_url=base_url, workspace=workspace, budget=3 * {price})
sys.stdin.readline()

def submit(number):
    try:
        return studio.submit(picture, f"{{os.getpid()}} {{number}}")
    except BudgetExceededError:
        return None

with ThreadPoolExecutor(5) as pool:
    sent = [each for each in pool.map(submit, range(5)) if each is not None]
while any(each.id is None for each in sent):
    time.sleep(0.01)  # a loop that only turns may keep the processor from the thread that it waits for
print(len(sent))
"""


@pytest.mark.usefixtures("each_database")
def test_two_processes_share_one_budget(slow, tmp_path, cat):
    code = PROCESS.format(key=KEY, price=PRICE)
    command = [sys.executable, "-c", code, slow.url, str(tmp_path / "clips"), str(cat)]
    root = Path(__file__).parents[2]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)
    ]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    try:
        sent = [int(process.communicate(timeout=DEADLINE)[0]) for process in started]
    finally:
        for process in started:
            process.kill()
    assert sum(sent) == 3
    assert len(submissions(slow)) == 3


def test_a_repeated_request_costs_nothing_and_is_never_refused(slow, tmp_path, cat):
    studio = studio_on(slow, tmp_path)
    first = studio.submit(cat, "p", budget=PRICE)
    assert studio.submit(cat, "p", budget=0) is first
    assert studio_on(slow, tmp_path).submit(cat, "p", budget=0).key == first.key
    with pytest.raises(BudgetExceededError):
        studio.submit(cat, "p", take=2, budget=PRICE)


def test_what_was_really_charged_counts_not_what_was_estimated(studio, server, cat):
    studio.submit(cat, "p", budget=1.0).wait(DEADLINE)  # estimated at 0.66, charged 0.50
    studio.submit(cat, "another", budget=1.0).wait(DEADLINE)
    with pytest.raises(BudgetExceededError, match=r"cost about \$0.50, \$1.00 is spent\."):
        studio.submit(cat, "a third", budget=1.0)


def test_what_failed_was_not_charged_and_gives_its_money_back(studio, server, cat):
    for _ in range(2):
        with pytest.raises(GenerationFailedError):
            studio.submit(cat, "[fail]", budget=PRICE).wait(DEADLINE)
    assert studio.spending().total == money.Total(0, 0, 0)


def test_what_may_have_been_accepted_counts_and_submitting_it_again_is_refused_too(slow, tmp_path, cat, monkeypatch):
    monkeypatch.setattr(retry, "LOOKUP_DELAYS", ())
    slow.simulator.faults.add(Fault("submit", "status_code", code=502))
    studio = studio_on(slow, tmp_path)
    generation = studio.submit(cat, "p", budget=PRICE)
    eventually(lambda: generation.status == "unknown")
    with pytest.raises(BudgetExceededError, match=r"about \$0.66 is under way"):
        studio.submit(cat, "another", budget=PRICE)
    with pytest.raises(BudgetExceededError):
        studio.orders.place_again(generation, PRICE)
    assert len(submissions(slow)) == 1


def test_what_was_made_elsewhere_is_not_spent_here(studio, server, cat, tmp_path):
    made = studio.submit(cat, "p")
    made.wait(DEADLINE)
    elsewhere = studio_on(server, tmp_path / "elsewhere")
    elsewhere.resume(made.id).wait(DEADLINE)
    assert elsewhere.spending().total.clips == 0
    elsewhere.submit(cat, "p", budget=PRICE)


def test_the_budget_comes_from_the_call_the_studio_or_the_environment_in_that_order(slow, tmp_path, cat, monkeypatch):
    monkeypatch.setenv(account.BUDGET, "0.10")
    refusing = studio_on(slow, tmp_path)
    with pytest.raises(BudgetExceededError, match=r"budget of \$0.10"):
        refusing.submit(cat, "p")
    own = Studio(api_key=KEY, base_url=slow.url, workspace=tmp_path / "clips", budget=0.2)
    with pytest.raises(BudgetExceededError, match=r"budget of \$0.20"):
        own.submit(cat, "p")
    assert not submissions(slow)
    assert own.submit(cat, "p", budget=1).row.status == "submitting"
    monkeypatch.setenv(account.BUDGET, "five")
    with pytest.raises(InvalidRequestError, match="KLING_WIDGET_BUDGET must be an amount in USD"):
        refusing.submit(cat, "p")
    with pytest.raises(InvalidRequestError, match="budget must be"):
        refusing.submit(cat, "p", budget=-1)
    with pytest.raises(InvalidRequestError, match="budget must be"):
        Studio(budget="5")
