"""Sums of money: what a clip will cost, what a budget allows, what was spent."""

from __future__ import annotations

import sys
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_widget import BudgetExceededError, InvalidRequestError, Spending, money
from kling_widget.money import (
    Expense,
    Sums,
    check_budget,
    dollars,
    estimate,
    outlay,
    price_table,
    usd_of,
)
from kling_widget.notebook_files import notebook_name
from kling_widget.request import MODEL
from kling_widget.rules import checked_budget
from kling_widget.task import Charge


def expense(usd=None, duration=5, notebook="a.ipynb", day=1):
    return Expense(datetime(2026, 11, day, 12).astimezone().timestamp(), notebook, duration, usd)


def test_the_price_table_names_its_model_its_source_and_its_date():
    table = price_table()
    assert table.model == MODEL
    assert set(table.usd) == {5, 10}
    assert len(table.source) > 40
    assert date.fromisoformat(table.date)


def test_before_anything_was_charged_the_price_table_holds():
    assert estimate(5) == estimate(None) == price_table().usd[5] == 0.66
    assert estimate(10) == price_table().usd[10]
    assert estimate(5, Sums.of([expense(usd=None), expense(usd=0.9, duration=10)])) == 0.66


def test_the_median_of_the_latest_charges_of_that_length_corrects_it():
    assert estimate(5, Sums.of([expense(0.5), expense(9.0), expense(0.52), expense(2.0, duration=10)])) == 0.52
    assert estimate(None, Sums.of([expense(0.5, duration=None)])) == 0.5
    old = [expense(1.0)] * 50
    assert estimate(5, Sums.of([expense(0.3)] * money.LATEST + old)) == 0.3  # an old price is forgotten


def test_what_is_not_yet_charged_counts_with_its_estimate():
    charged, expected = outlay(Sums.of([expense(None), expense(0.5), expense(None, duration=10)]))
    assert charged == 0.5
    assert expected == pytest.approx(0.5 + 1.32)


def test_a_budget_for_three_is_for_three_and_says_what_is_spent():
    two = Sums.of([expense(None), expense(0.66)])
    check_budget(1.98, 5, two)  # 0.66 three times is more than 1.98 in floating point
    with pytest.raises(BudgetExceededError) as caught:
        check_budget(1.97, 5, two)
    said = str(caught.value)
    assert "budget of $1.97" in said
    assert "cost about $0.66" in said
    assert "$0.66 is spent and about $0.66 is under way" in said
    assert "Nothing was submitted" in said
    assert not caught.value.may_have_cost
    with pytest.raises(BudgetExceededError):
        check_budget(0, 5, Sums())


@given(st.lists(st.sampled_from([None, 0.5, 0.66, 1.32]), max_size=30), st.floats(0, 40))
def test_no_series_of_submissions_goes_above_its_budget(charges, budget):
    made = []
    for usd in charges:
        try:
            check_budget(budget, 5, Sums.of(made))
        except BudgetExceededError:
            break
        price = estimate(5, Sums.of(made))
        made = [expense(None), *made]
        assert sum(outlay(Sums.of(made))) <= budget + 2 * money.TOLERANCE
        if usd is not None and usd <= price:  # charged no more than was announced
            made = [expense(usd), *made[1:]]


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), True, "5", [1]])
def test_a_budget_is_an_amount_of_money(wrong):
    with pytest.raises(InvalidRequestError, match="budget must be an amount in USD"):
        checked_budget(wrong)


@pytest.mark.parametrize("right", [None, 0, 5, 2.5])
def test_none_zero_and_amounts_are_budgets(right):
    assert checked_budget(right) == right


@pytest.mark.parametrize(
    ("usd", "text"), [(0, "$0.00"), (0.66, "$0.66"), (12.5, "$12.50"), (1234.5, "$1,234.50"), (0.0035, "$0.0035")]
)
def test_amounts_read_like_money(usd, text):
    assert dollars(usd) == text


def test_credits_are_turned_into_usd_only_where_usd_is_not_told():
    assert usd_of(0.7, 1_000_000) == 0.7
    assert usd_of(None, 1_320_000) == 0.66
    assert usd_of(None, None) is usd_of(0, 0) is None  # 0 is "not charged yet", not "free"


@pytest.mark.parametrize(
    "cost",
    [None, {}, {"usd": 0, "credits": 0}, {"usd": "much"}, {"usd": -1}, {"usd": float("nan")}, [1], {"usd": True}],
)
def test_a_log_row_without_a_charge_charges_nothing(cost):
    assert Charge.of({"client_request_id": "a", "inference_id": "b", "cost": cost}) is None


def test_a_log_row_is_a_charge():
    row = {"client_request_id": "a", "inference_id": "b", "cost": {"usd": 0.66, "credits": 1_320_000}}
    assert Charge.of(row) == Charge("a", "b", 0.66, 1_320_000)
    assert Charge.of({"cost": {"credits": 1_000_000}}) == Charge(None, None, 0.5, 1_000_000)


def test_spending_adds_up_by_day_and_by_notebook():
    spending = Spending([expense(None, day=2), expense(0.5, day=2, notebook="b.py"), expense(0.6), expense(0.4)])
    assert spending.total == money.Total(4, 1.5, 0.5)
    assert list(spending.by_day) == ["2026-11-02", "2026-11-01"]
    assert spending.by_day["2026-11-01"] == money.Total(2, 1.0, 0)
    assert spending.by_notebook["b.py"] == money.Total(1, 0.5, 0)
    assert spending.by_notebook["a.ipynb"] == money.Total(3, 1.0, 0.5)
    assert [row["clips"] for row in spending] == [1, 1, 2]
    assert len(spending) == 3
    assert spending.to_dict()["total"] == {"clips": 4, "usd": 1.5, "expected": 0.5}
    assert "in all      4 clips  $1.50 + about $0.50 to come" in repr(spending)


def test_nothing_spent_is_nothing():
    assert Spending([]).total == money.Total(0, 0, 0)
    assert repr(Spending([])) == "in all  0 clips  $0.00"


def test_on_the_simulator_clips_are_counted_and_cost_nothing():
    assert Spending([expense(None), expense(0.5)], free=True).total == money.Total(2, 0, 0)


def test_a_notebook_name_is_text_in_the_table_whatever_it_looks_like():
    evil = "<img src=x onerror=alert(1)>"
    page = Spending([expense(0.5, notebook=evil), expense(0.5)])._repr_html_()
    assert "<img" not in page
    assert "&lt;img" in page


def test_a_script_is_known_by_its_file_name_and_a_notebook_by_its_session(monkeypatch):
    from types import SimpleNamespace

    from kling_widget import notebook_files

    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/work/trailer.ipynb")
    monkeypatch.setattr(notebook_files, "kernel_shell", lambda: None)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/home/me/render.py", raising=False)
    assert notebook_name() == "render.py"  # also a script that a notebook started
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    assert notebook_name() is None
    monkeypatch.setattr(notebook_files, "kernel_shell", lambda: SimpleNamespace(user_ns={}))
    assert notebook_name() == "trailer.ipynb"
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert notebook_name() is None
    shell = SimpleNamespace(user_ns={"__vsc_ipynb_file__": "/home/me/code.ipynb"})
    monkeypatch.setattr(notebook_files, "kernel_shell", lambda: shell)
    assert notebook_name() == "code.ipynb"
