"""Tiles of clips as HTML: nothing in them is markup, loads by itself, or grows."""

from __future__ import annotations

import pytest

from kling_widget.tiles import POSTER_BYTES, SHOWN, Tile, page

HOSTILE = """'"><img src=x onerror=alert(1)><script>alert(1)</script>"""


@pytest.mark.parametrize("over", [True, False])
def test_no_text_is_markup(over: bool) -> None:
    made = Tile(1, HOSTILE, [HOSTILE], "Ready", poster="data:,", source="a.mp4")
    shown = page(HOSTILE, 0.5, [Tile(0, HOSTILE, [HOSTILE], HOSTILE, failed=True), made], notes=[HOSTILE], over=over)
    assert "<script" not in shown
    assert "onerror=alert(1)&gt;" in shown
    assert shown.count("<img") == 1


def test_posters_open_into_players_only_when_the_batch_is_over_and_load_nothing_by_themselves() -> None:
    tile = Tile(0, "row 0", ["a.png", "p"], "Ready", poster="data:image/webp;base64,AAAA", source="clips/a.mp4")
    running, over = (page("", 0.5, [tile], over=over) for over in (False, True))
    assert ("<video" in running, "<progress" in running) == (False, True)
    assert ("<video" in over, "<progress" in over) == (True, False)
    assert 'preload="none"' in over


def test_a_grid_has_a_line_for_each_value_of_the_others() -> None:
    tiles = [Tile(number, f"row {number}", [], "Ready") for number in range(6)]
    lines = page("", 1, tiles, columns=3, over=True).split("<br>")
    assert [line.count("row ") for line in lines] == [3, 3, 0]


def test_a_full_sheet_stays_small() -> None:
    poster = "data:image/webp;base64," + "A" * (POSTER_BYTES * 4 // 3)
    caption, source = ["x" * 500] * 3, "x" * 150
    tiles = [Tile(number, "x" * 21, caption, "Ready", poster=poster, source=source) for number in range(SHOWN)]
    assert len(page("x" * 200, 1, tiles, notes=["x" * 500] * 7, over=True)) < 250_000
