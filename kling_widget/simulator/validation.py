"""The vendor's rules for the body of a submission, with messages worded as its validator (zod) words them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from kling_widget.simulator.settings import MODEL

Problem = tuple[str, str]  # where in the body, what is wrong
Rule = Callable[[Any, str], list[Problem]]


def problems(body: object) -> list[Problem]:
    """What is wrong with the decoded body of a submission; empty if nothing is. Pictures are checked elsewhere."""
    return _BODY(body, "")


def sentence(found: list[Problem]) -> str:
    """All problems as the vendor's one message."""
    return "; ".join(f"{path}: {message}" if path else message for path, message in found)


def _name(value: object) -> str:
    """The JavaScript type of a value, as zod names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _quoted(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def _text(value: object, path: str) -> list[Problem]:
    return [] if isinstance(value, str) else [(path, f"Expected string, received {_name(value)}")]


def _one_of(*options: str | int) -> Rule:
    expected = " | ".join(_quoted(option) for option in options)

    def rule(value: object, path: str) -> list[Problem]:
        if any(type(value) is type(option) and value == option for option in options):
            return []
        return [(path, f"Invalid enum value. Expected {expected}, received {_quoted(value)}")]

    return rule


def _number(low: float, high: float) -> Rule:
    def rule(value: object, path: str) -> list[Problem]:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return [(path, f"Expected number, received {_name(value)}")]
        if value < low:
            return [(path, f"Number must be greater than or equal to {low:g}")]
        return [(path, f"Number must be less than or equal to {high:g}")] if value > high else []

    return rule


def _array(item: Rule, low: int, high: int) -> Rule:
    def rule(value: object, path: str) -> list[Problem]:
        if not isinstance(value, list):
            return [(path, f"Expected array, received {_name(value)}")]
        if len(value) < low:
            return [(path, f"Array must contain at least {low} element(s)")]
        if len(value) > high:
            return [(path, f"Array must contain at most {high} element(s)")]
        return [problem for index, element in enumerate(value) for problem in item(element, f"{path}.{index}")]

    return rule


def _object(required: Mapping[str, Rule], optional: Mapping[str, Rule]) -> Rule:
    def rule(value: object, path: str) -> list[Problem]:
        if not isinstance(value, dict):
            return [(path, f"Expected object, received {_name(value)}")]
        found: list[Problem] = []
        for key, check in {**required, **optional}.items():
            where = f"{path}.{key}" if path else key
            if key in value:
                found += check(value[key], where)
            elif key in required:
                found.append((where, "Required"))
        return found

    return rule


_EVERY_NUMBER = _number(float("-inf"), float("inf"))
_RATIO = _one_of("16:9", "9:16", "1:1")
_CAMERA_MOVES = ("simple", "down_back", "forward_up", "right_turn_forward", "left_turn_forward")
_CAMERA_AXES = ("horizontal", "vertical", "pan", "tilt", "roll", "zoom")

# aimlapi.md §1 for the first nine, §2 ("Later fields") for the rest; fields unknown to the validator are dropped.
_BODY = _object(
    required={"model": _one_of(MODEL), "image_url": _text, "prompt": _text},
    optional={
        "tail_image_url": _text,
        "negative_prompt": _text,
        "duration": _one_of(5, 10),
        "cfg_scale": _number(0, 1),
        "ratio": _RATIO,
        "aspect_ratio": _RATIO,
        "static_mask": _text,
        "dynamic_masks": _array(
            _object(
                {
                    "mask": _text,
                    "trajectories": _array(_object({"x": _EVERY_NUMBER, "y": _EVERY_NUMBER}, {}), low=2, high=77),
                },
                {},
            ),
            low=0,
            high=6,
        ),
        "camera_control": _object(
            {"type": _one_of(*_CAMERA_MOVES)},
            {"config": _object({}, dict.fromkeys(_CAMERA_AXES, _number(-10, 10)))},
        ),
    },
)
