"""Numbers as people have them, NumPy's and a column's with gaps included: by one rule wherever they are given."""

from __future__ import annotations

import gc
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kling_widget as kw
from kling_widget.batch_rows import rows_of
from kling_widget.rules import amount, checked_budget, checked_take, whole

FIVE = [5, 5.0, np.int64(5), np.uint8(5), np.float32(5), Fraction(10, 2)]
NO_NUMBER = [None, True, np.bool_(True), "5", b"5", [5], np.array([5]), 5j, Decimal(5)]


@pytest.mark.parametrize("value", FIVE)
def test_a_whole_number_of_any_type_is_an_int(value: Any) -> None:
    assert (type(whole(value)), whole(value)) == (int, 5)
    assert (type(amount(value)), amount(value)) == (float, 5.0)
    assert (type(checked_take(value)), checked_take(value)) == (int, 5)
    assert (type(checked_budget(value)), checked_budget(value)) == (float, 5.0)
    assert kw.ImageToVideoRequest(image_url="https://example.org/a.png", prompt="p", duration=value).duration == 5
    rows = rows_of([{"image": "a.png", "take": value, "duration": value}], {})
    (fields,) = [rows.row(raw).fields for raw in rows.read()]
    assert [(type(fields[name]), fields[name]) for name in ("take", "duration")] == [(int, 5)] * 2


@pytest.mark.parametrize("value", NO_NUMBER)
def test_what_is_no_number_is_none(value: Any) -> None:
    assert whole(value) is amount(value) is None


@pytest.mark.parametrize("value", [2.5, np.float32(0.5), Fraction(1, 3), math.inf, math.nan, -math.inf])
def test_an_amount_need_not_be_whole(value: Any) -> None:
    assert whole(value) is None
    assert amount(value) == float(value) or math.isnan(value)


def test_a_number_too_large_for_a_float_is_one_all_the_same() -> None:
    assert (whole(10**400), amount(10**400), whole(Fraction(10**400, 3))) == (10**400, math.inf, None)
    with pytest.raises(kw.InvalidRequestError, match="cfg_scale must be"):
        kw.ImageToVideoRequest(image_url="https://example.org/a.png", prompt="p", cfg_scale=10**400)


@pytest.mark.parametrize("value", [*NO_NUMBER, 0, -1, 1.5, math.nan, "newer"])
def test_what_is_no_take_is_told(value: Any) -> None:
    with pytest.raises(kw.InvalidRequestError, match='take must be 1, 2, 3 … or "new"'):
        checked_take(value)


def test_a_widget_takes_the_numbers_a_request_takes(tmp_path: Path) -> None:
    widget = kw.KlingWidget(duration=np.int64(10), cfg_scale=np.float32(0.25), simulate=True, workspace=tmp_path)
    assert (widget.duration, widget.cfg_scale) == (10, 0.25)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "value"), [("duration", "5"), ("cfg_scale", 2), ("budget", -1)])
def test_a_widget_that_is_refused_is_closed_without_another_word(name: str, value: Any) -> None:
    with pytest.raises(kw.InvalidRequestError, match=f"{name} must be"):
        kw.KlingWidget(simulate=True, **{name: value})
    gc.collect()
