"""A camera movement in words, and as it is typed. Apart from `motion.py`, whose checks import what these need not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import InvalidRequestError
from .rules import shown

WAYS = {
    "horizontal": ("left", "right"),
    "vertical": ("down", "up"),
    "pan": ("down", "up"),
    "tilt": ("left", "right"),
    "roll": ("left", "right"),
    "zoom": ("in", "out"),
}
"""What a ``simple`` camera can do, each by -10 to 10 (the vendor's OpenAPI file), and which way below and above 0.

The ways are those of Kling's own API documentation ("Image to Video", ``camera_control``); the AI/ML API, which passes
them on, names none. Its pan and tilt are not a film maker's: ``pan`` turns the camera up and down, ``tilt`` to the
sides. ``roll`` below 0 is anticlockwise; ``zoom`` below 0 is a longer focal length, so it comes closer. Not tried
against the live API.
"""

PATHS = ("down_back", "forward_up", "right_turn_forward", "left_turn_forward")
"""Movements that the vendor has a name for (its OpenAPI file)."""


def words(control: Any) -> str:
    """``zoom 5``, ``pan -3, tilt 2`` or ``camera down back``.

    Parameters
    ----------
    control
        A request's ``camera_control`` as JSON, perhaps from anybody's file. Empty for whatever is none.
    """
    if not isinstance(control, Mapping):
        return ""
    if control.get("type") in PATHS:
        return f"camera {control['type'].replace('_', ' ')}"
    config = control.get("config")
    moves = config if isinstance(config, Mapping) else {}
    return ", ".join(f"{name} {moves[name]:g}" for name in WAYS if isinstance(moves.get(name), (int, float)))


def typed(text: str) -> dict[str, Any]:
    """``zoom=-5`` or ``down_back``, or what the model may refuse, ``pan=3,tilt=2``, as a request's ``camera_control``.

    Raises
    ------
    InvalidRequestError
        It is none of these. How far the camera may go is the request's rule.
    """
    if text in PATHS:
        return {"type": text}
    moves = [part.partition("=") for part in text.split(",")]
    try:
        config = {name.strip(): float(amount) for name, _, amount in moves}
    except ValueError:
        config = {}
    if not config or not config.keys() <= set(WAYS):
        raise InvalidRequestError(
            f"A camera is such as zoom=-5, or {PATHS[0]}, not {shown(text)}.",
            hint=f"It moves by {', '.join(WAYS)}, or goes {', '.join(PATHS)}.",
            field="camera_control",
        )
    return {"type": "simple", "config": config}
