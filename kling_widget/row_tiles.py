"""Rows of a batch as tiles: while they are under way, and as results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import camera
from .progress import WORDS
from .tiles import Tile, with_poster

if TYPE_CHECKING:
    from .row_results import Result

NAMES = ("image", "prompt", "take")  # what tells a row from the others, where nobody says what varies
TOLD = 5  # failures told one by one; the others are counted
STATUS = {**WORDS, "left": "Not submitted", "invalid": "Cannot be sent"}


def row_tile(row: int, fields: Mapping[str, Any], status: str, names: Sequence[str]) -> Tile:
    """A row by its number, what it asks for and its status; `names` are the fields that tell it from the others."""
    caption = [_told(name, fields[name]) for name in names if fields.get(name) is not None]
    return Tile(row, f"row {row}", caption, STATUS.get(status, status))


def result_tile(result: Result, names: Sequence[str]) -> Tile:
    """What became of a row; without its poster."""
    return replace(row_tile(result.row, result.fields, result.status, names), failed=result.failed)


def poster_tile(tile: Tile, result: Result) -> Tile:
    """The tile with its poster, where there is a video. Blocks."""
    video = result.video
    return tile if video is None else with_poster(tile, video)


def failures(first: Iterable[Result], count: int) -> list[str]:
    """Sentences about what failed: the first few rows by themselves, the others counted."""
    told = sorted(first, key=lambda result: result.row)[:TOLD]
    more = [f"and {count - TOLD} more that failed"] if count > TOLD else []
    return [*(f"row {result.row}: {result.error}" for result in told), *more]


def _told(name: str, value: Any) -> str:
    """A field in a caption."""
    match name:
        case "image" | "tail_image":
            return str(value) if "://" in str(value) else Path(str(value)).name
        case "prompt":
            return str(value)
        case "cfg_scale":
            return f"CFG {value}"
        case "camera_control" if text := camera.words(value):
            return text
        case "duration":
            return f"{value} s"
        case "take":
            return f"take {value}"
    return f"{name} {value}"
