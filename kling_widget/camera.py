"""A camera movement in words. Apart from `motion.py`, whose checks import what showing one need not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOVES = ("horizontal", "vertical", "pan", "tilt", "roll", "zoom")
"""What a ``simple`` camera can do, each by -10 to 10 (the vendor's OpenAPI file)."""

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
    return ", ".join(f"{name} {moves[name]:g}" for name in MOVES if isinstance(moves.get(name), (int, float)))
