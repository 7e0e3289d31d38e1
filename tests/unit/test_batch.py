"""Rows, plans, windows and contact sheets of batches: what can be said without a server."""

from __future__ import annotations

import asyncio
import base64
import datetime
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from kling_widget import ImageToVideoRequest, InvalidRequestError, KlingError, NotConfirmedError, batch_plan
from kling_widget.backpressure import Turnstile, Window
from kling_widget.batch_plan import Plan, ask, plan
from kling_widget.batch_results import Looks, Results
from kling_widget.batch_rows import FIELDS, BatchRow, described, grid, rows_of
from kling_widget.ledger import Row
from kling_widget.ledger_transactions import Transactions
from kling_widget.prepare import draft
from kling_widget.row_results import Result, result_of
from kling_widget.studio import Studio
from tests.conftest import NOTEBOOKS


def fields_of(given: Any, keep: Any = (), **common: Any) -> list[dict[str, Any]]:
    rows = rows_of(given, common, keep)
    return [rows.row(raw).fields for raw in rows.read()]


TABLE = {"image": ["a.png", "b.png"], "prompt": ["one", "two"], "duration": [5, None], "take": [1, 2]}
TWO = [
    {"image": "a.png", "prompt": "one", "duration": 5, "take": 1},
    {"image": "b.png", "prompt": "two", "take": 2},
]


@pytest.mark.parametrize(
    "given",
    [TABLE, pd.DataFrame(TABLE), pl.DataFrame(TABLE), pd.DataFrame(TABLE).to_dict("records"), iter(TWO), tuple(TWO)],
    ids=["columns", "pandas", "polars", "records", "iterator", "tuple"],
)
def test_every_form_of_a_table_gives_the_same_rows_and_a_gap_leaves_a_field_unset(given: Any) -> None:
    assert fields_of(given) == TWO
    assert all(type(row["take"]) is int for row in TWO)


def test_whole_numbers_of_numpy_and_of_columns_with_gaps_are_whole_numbers() -> None:
    frame = pd.DataFrame({"image": ["a"] * 3, "prompt": "p", "take": np.array([1, 2, 3]), "duration": [5, None, 10]})
    rows = fields_of(frame)
    assert [row["take"] for row in rows] == [1, 2, 3]
    assert [type(row.get("duration")) for row in rows] == [int, type(None), int]
    assert fields_of([{"image": "a", "duration": 5.5, "take": True}])[0] == {
        "image": "a",
        "duration": 5.5,
        "take": True,
    }


def test_rows_may_be_pictures_or_requests_and_arguments_are_for_every_row_that_does_not_say_otherwise() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    assert fields_of(["a.png", Path("b.png")], prompt="p", duration=5) == [
        {"prompt": "p", "duration": 5, "image": "a.png"},
        {"prompt": "p", "duration": 5, "image": Path("b.png")},
    ]
    assert fields_of([picture], prompt="p")[0]["image"] is picture
    assert fields_of([{"image": "a", "prompt": "own"}, {"image": "b"}], prompt="all") == [
        {"prompt": "own", "image": "a"},
        {"prompt": "all", "image": "b"},
    ]
    request = ImageToVideoRequest(image_url="https://example.org/a.png", prompt="p", cfg_scale=0)
    assert fields_of([request]) == [{"image": "https://example.org/a.png", "prompt": "p", "cfg_scale": 0}]
    bare = ImageToVideoRequest(image_url="iVBORw0KGgo" + "A" * 80, prompt="p")
    assert fields_of([bare])[0]["image"] == bare.image_url


def test_in_a_mapping_of_columns_one_value_is_for_every_row_and_an_array_picture_is_one_value() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    rows = fields_of({"image": picture, "prompt": "p", "cfg_scale": np.linspace(0, 1, 3)})
    assert [row["cfg_scale"] for row in rows] == [0, 0.5, 1]
    assert all(row["image"] is picture for row in rows)
    assert len(fields_of({"image": "a.png", "prompt": "p"})) == 1
    with pytest.raises(InvalidRequestError, match="not of one length: image 2, prompt 3"):
        rows_of({"image": ["a", "b"], "prompt": ["1", "2", "3"]}, {})


@pytest.mark.parametrize(
    "given",
    [{"image": ["a"], "promt": ["p"]}, pd.DataFrame({"promt": ["p"]}), pl.DataFrame({"promt": ["p"]})],
    ids=["columns", "pandas", "polars"],
)
def test_a_misspelt_column_raises_at_once_and_names_the_known_ones(given: Any) -> None:
    with pytest.raises(InvalidRequestError, match="no column 'promt'") as caught:
        rows_of(given, {})
    assert all(name in str(caught.value) for name in FIELDS)
    assert "keep=['promt']" in str(caught.value)


def test_what_is_kept_is_carried_along_and_may_not_take_the_name_of_a_result() -> None:
    rows = rows_of(pd.DataFrame({"image": ["a"], "prompt": ["p"], "label": ["cat"]}), {}, ["label"])
    assert rows.row(next(rows.read())) == BatchRow({"image": "a", "prompt": "p"}, {"label": "cat"})
    for name in ("status", "prompt"):
        with pytest.raises(InvalidRequestError, match=name):
            rows_of([], {}, [name])


def test_names_of_the_api_are_ours_too_but_not_both_at_once() -> None:
    assert fields_of([{"image_url": "a", "tail_image_url": "b"}]) == [{"image": "a", "tail_image": "b"}]
    with pytest.raises(InvalidRequestError, match="image is there twice"):
        fields_of([{"image_url": "a", "image": "b"}])
    with pytest.raises(InvalidRequestError, match="no argument 'promt'"):
        rows_of([], {"promt": "p"})


@pytest.mark.parametrize("given", ["photos", b"photos", Path("photos"), 5, None])
def test_what_has_no_rows_is_told(given: Any) -> None:
    with pytest.raises(InvalidRequestError, match="has no rows"):
        rows_of(given, {})


@pytest.mark.parametrize("shape", [(300, 400), (300, 400, 1), (300, 400, 3), (300, 400, 4)])
def test_a_picture_that_iterates_is_no_row_for_each_of_its_lines(shape: tuple[int, ...]) -> None:
    picture = np.zeros(shape, dtype="uint8")
    with pytest.raises(InvalidRequestError, match="This ndarray is one picture, not rows") as caught:
        rows_of(picture, {})
    assert "Give a list of pictures" in caught.value.hint
    assert len(fields_of(np.stack([picture, picture]))) == 2
    assert len(fields_of(np.array(["a.png", "b.png"]))) == 2


def test_a_file_is_one_picture(tmp_path: Path) -> None:
    with (tmp_path / "cat.png").open("wb+") as file, pytest.raises(InvalidRequestError, match="is one picture"):
        rows_of(file, {})


def test_a_generator_is_not_touched_before_it_is_read() -> None:
    rows = rows_of(itertools.count(), {"prompt": "p"})
    assert rows.length is None
    assert [rows.row(raw).fields["image"] for raw in itertools.islice(rows.read(), 3)] == [0, 1, 2]


class OnlyOnce:
    """A progress bar around a generator: it has a length, and gives its rows only once."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[str]:
        return iter(["a", "b", "c"])


def test_only_what_can_be_read_again_is_counted_before() -> None:
    assert [rows_of(given, {}).length for given in (["a"], {"a"}, {"a": 1}.values(), np.zeros((4, 3, 3, 3)))] == [
        1,
        1,
        1,
        4,
    ]
    assert rows_of(OnlyOnce(), {}).length is None


def test_a_grid_is_every_combination_and_its_last_field_varies_fastest() -> None:
    rows = grid({"image": ["a", "b"], "prompt": "p", "cfg_scale": [0.2, 0.5, 0.8], "take": range(1, 3)})
    assert rows.length == 12
    told = [rows.row(raw).fields for raw in rows.read()]
    assert [row["take"] for row in told] == [1, 2] * 6
    assert [row["image"] for row in told] == ["a"] * 6 + ["b"] * 6
    assert {row["prompt"] for row in told} == {"p"}
    assert list(rows.axes or ()) == ["image", "cfg_scale", "take"]
    assert grid({"image": "a", "prompt": "p"}).length == 1
    masks = [{"mask": "m.png", "trajectories": []}]
    assert grid({"image": "a", "dynamic_masks": masks}).length == 1
    assert grid({"image": "a", "dynamic_masks": [masks, masks]}).length == 2
    with pytest.raises(InvalidRequestError, match="prompt has no values"):
        grid({"image": "a", "prompt": []})


def test_what_is_told_of_a_row_holds_no_picture() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    told = described(
        {"image": picture, "tail_image": "data:image/png;base64,AAAA", "prompt": "p", "dynamic_masks": [1]}
    )
    assert told == {"image": "picture", "tail_image": "picture", "prompt": "p", "dynamic_masks": 1}
    assert described({"image": Path("photos/a.png")})["image"] == str(Path("photos/a.png"))
    bare = base64.b64encode((NOTEBOOKS / "images" / "rocket.jpg").read_bytes()).decode()
    assert described({"image": bare})["image"] == "picture"


# Plan


def test_the_ledger_is_asked_once_however_many_rows_it_knows(
    tmp_path: Path, statements: Callable[[Transactions], list[str]]
) -> None:
    rows = [
        {"image": (NOTEBOOKS / "images" / "rocket.jpg").read_bytes(), "prompt": "p", "negative_prompt": f"{number}"}
        for number in range(6)
    ]
    studio = Studio(simulate=True, workspace=tmp_path)
    for number, status in enumerate(["completed", "completed", "queued", "error", "unknown"]):
        request = draft(**rows[number]).request
        row = Row(f"kw-{number}", studio.provider, request.content_hash(), request=request.body())
        studio.workspace.ledger.admit(row)
        studio.workspace.ledger.update(row.client_request_id, status=status)
    said = statements(studio.workspace.ledger)
    found = plan(studio, rows_of(rows[:1], {}), None)
    few = len(said)
    assert found.there == 1
    found = plan(studio, rows_of(rows, {}), None)
    assert len(said) == 2 * few
    assert (found.there, found.under_way, found.to_make) == (2, 2, {5: 2})  # what was refused is made


def test_the_plan_says_what_is_made_what_it_costs_and_what_costs_nothing() -> None:
    plan = Plan(12, {5: 0.66, 10: 1.32}, there=3, under_way=1, doubles=1)
    plan.to_make.update([5, 5, 10])
    assert str(plan) == (
        "3 clips to make (2 of 5 s, 1 of 10 s), about $2.64.\n"
        "Nothing to pay for 3 there already, 1 under way, 1 the same as an earlier row."
    )
    plan.enough_for, plan.wrong, plan.problems = 2, 1, ["  row 4: The prompt is empty."]
    assert "The budget is enough for 2; the others will be left." in str(plan)
    assert "1 cannot be sent:\n  row 4: The prompt is empty." in str(plan)
    assert str(Plan(0, {5: 0.66})) == "Nothing to make and nothing to pay."
    again = str(Plan(4, {5: 0.66}, there=3, under_way=1))
    assert again == "Nothing to make and nothing to pay: 3 there already, 1 under way."
    assert str(Plan(None, {5: 0.66, 10: 1.32})) == (
        "As many clips as the rows ask for, each about $0.66 for 5 s or $1.32 for 10 s; "
        "give a list to see the total, or budget=…."
    )
    assert str(Plan(None, {5: 0.0, 10: 0.0})) == "As many clips as the rows ask for, each free."


def test_nobody_is_asked_where_nothing_costs_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked"))
    free, there, costly = Plan(2, {5: 0.0}), Plan(2, {5: 0.66}, there=2), Plan(2, {5: 0.66})
    free.to_make[5] = costly.to_make[5] = 2
    ask(free)
    ask(there)
    with pytest.raises(NotConfirmedError, match=r"Nobody is there to ask\. 2 clips .* \$1\.32.*confirm=False"):
        ask(costly)  # pytest has no terminal


@pytest.mark.parametrize(("answer", "goes_on"), [("y", True), (" YES ", True), ("n", False), ("", False)])
def test_only_a_yes_is_a_yes(monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool) -> None:
    monkeypatch.setattr(batch_plan, "takes_input", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    costly = Plan(1, {5: 0.66})
    costly.to_make[5] = 1
    if goes_on:
        ask(costly)
    else:
        with pytest.raises(NotConfirmedError, match="Nothing was submitted"):
            ask(costly)


# Backpressure


def test_a_window_finds_the_vendors_limit_and_seldom_asks_for_more() -> None:
    limit, window, refusals = 3, Window(8), 0
    for _ in range(1_000):
        if window.size > limit:
            refusals += 1
            window.refused(limit)
        window.succeeded()
    assert window.size in (limit, limit + 1)
    assert refusals < 12


def test_several_that_are_refused_together_are_one_refusal() -> None:
    window = Window(8)
    for under_way in range(7, 1, -1):
        window.refused(under_way)
    assert window.size == 2
    window.succeeded()
    window.succeeded()
    assert window.size == 3


def test_a_window_is_never_wider_than_it_was_and_never_shut() -> None:
    window = Window(2)
    for _ in range(10):
        window.succeeded()
    assert window.size == 2
    window.refused(0)
    assert window.size == 1
    for _ in range(10):
        window.succeeded()
    assert window.size == 2


async def test_who_was_refused_comes_before_anybody_new_and_only_when_there_is_room() -> None:
    gate, order = Turnstile(Window(2)), []
    assert await gate.enter()
    assert await gate.enter()

    async def again() -> None:
        assert await gate.enter_again(0.0)
        order.append("again")

    async def fresh() -> None:
        assert await gate.enter()
        order.append("fresh")

    tasks = [asyncio.create_task(again()), asyncio.create_task(fresh())]
    for _ in range(5):
        await asyncio.sleep(0)
    assert (gate.window.size, gate.inside, order) == (1, 1, [])
    gate.leave()
    await tasks[0]
    gate.leave()
    await tasks[1]
    assert order == ["again", "fresh"]


async def test_a_turnstile_that_is_closed_lets_nobody_in_and_wakes_who_waits() -> None:
    gate = Turnstile(Window(1))
    assert await gate.enter()
    waiting, pausing = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter_again(600.0))
    await asyncio.sleep(0)
    gate.close()
    assert await asyncio.wait_for(asyncio.gather(waiting, pausing), 60) == [False, False]
    assert gate.inside == 1  # the refused one is still to leave


# Results


def result(row: int = 0, **facts: Any) -> Result:
    return Result(row, {"image": "a.png", "prompt": f"p{row}"}, {}, **{"status": "completed", **facts})


def test_results_are_in_the_order_of_the_rows_and_a_table_has_one_line_each() -> None:
    failed = result(0, status="error", error=KlingError("Not made."))
    results = Results([result(2), failed, result(1, status="left", error=KlingError("Above the budget."))])
    assert [each.row for each in results] == [0, 1, 2]
    assert (len(results.failed), len(results.left), len(results[1:])) == (1, 1, 2)
    assert results.failed[0].error is failed.error
    frame = results.to_pandas()
    assert list(frame.columns) == [
        *("row", "image", "prompt", "status", "video", "generation_id", "seconds", "usd", "error")
    ]
    assert frame["error"][0] == "Not made."
    assert results.to_polars()["prompt"].to_list() == ["p0", "p1", "p2"]
    assert len(Results([]).to_pandas()) == len(Results([]).to_polars()) == 0


def test_a_polars_table_holds_values_as_they_are_and_text_only_where_polars_has_no_type_for_a_column() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd " * 40  # longer than what a sentence would show of it

    day = datetime.date(2026, 1, 1)
    noon = datetime.datetime.fromisoformat("2026-01-01T12:00")
    columns = {
        "day": [day, None, day],
        "list": [[1], [2, 3], None],
        "number": [np.int64(1), 2, np.float32(0.5)],
        "truth": [np.bool_(True), np.bool_(False), True],
        "moment": [np.datetime64("2026-01-01T12", "ns"), noon, pd.Timestamp(noon)],
        "gap": [1, pd.NA, np.int8(3)],
        "camera": [{"type": "simple"}, None, {"type": "down_back"}],
        "odd": [Odd(), None, 1],
        "mixed": [day, noon, "soon"],
        "large": [2**200, 1, None],
    }
    kept = [{name: values[row] for name, values in columns.items()} for row in range(3)]
    frame = Results([Result(row, {"image": "a.png"}, kept[row], "completed") for row in range(3)]).to_polars()
    told = {name: (frame.schema[name], frame[name].to_list()) for name in columns}
    assert told == {
        "day": (pl.Date(), [day, None, day]),
        "list": (pl.List(pl.Int64()), [[1], [2, 3], None]),
        "number": (pl.Float64(), [1.0, 2.0, 0.5]),
        "truth": (pl.Boolean(), [True, False, True]),
        "moment": (pl.Datetime("us"), [noon] * 3),
        "gap": (pl.Int64(), [1, None, 3]),
        "camera": (pl.Struct({"type": pl.String()}), [{"type": "simple"}, None, {"type": "down_back"}]),
        "odd": (pl.String(), ["odd " * 40, None, "1"]),
        "mixed": (pl.String(), [str(day), str(noon), "soon"]),
        "large": (pl.String(), [str(2**200), "1", None]),
    }
    assert Results([]).to_polars().columns == list(Results([]).to_pandas().columns)


def test_results_show_themselves_as_tiles_and_say_what_failed_and_what_is_simulated() -> None:
    failed = [result(row, status="error", error=KlingError(f"<b>{row}</b>")) for row in range(7)]
    results = Results([*failed, *(result(row, simulated=True) for row in range(7, 50))], Looks(("prompt",), columns=4))
    shown = str(results._repr_html_())
    assert "50 rows: 0 with a video · 7 failed · simulated · the first 36 are shown" in shown
    assert (shown.count('title="row'), shown.count("<br>"), "<b>" in shown) == (36, 9, False)
    assert ("row 4: &lt;b&gt;4" in shown, "row 5: &lt;b&gt;5" in shown) == (True, False)
    assert "and 2 more that failed" in shown
    part = str(results[7:9]._repr_html_())
    assert (part.count('title="row'), part.count("<br>"), "failed" in part) == (2, 0, False)
    assert str(Results([])._repr_html_()).count("0 rows") == 1


def test_without_pandas_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(KlingError, match=r"pip install pandas, or use \.to_dicts\(\)"):
        Results([result()]).to_pandas()


def test_an_error_that_is_kept_keeps_no_frames_and_so_no_pictures() -> None:
    def fail() -> None:
        picture = bytearray(10)
        try:
            raise ValueError(f"{len(picture)}")
        except ValueError as error:
            raise KlingError("Not made.") from error

    with pytest.raises(KlingError) as caught:
        fail()
    kept = result_of(0, BatchRow({}, {}), None, caught.value, SimpleNamespace(), left=False).error
    assert kept is caught.value
    assert kept.__traceback__ is None
    assert kept.__cause__ is not None
    assert kept.__cause__.__traceback__ is None
