"""A camera movement in words, and as a widget takes it."""

from __future__ import annotations

from typing import Any

import pytest

import kling_widget as kw
from kling_widget import camera, motion


@pytest.mark.parametrize(
    ("control", "told"),
    [
        (None, ""),
        ({"type": "down_back"}, "camera down back"),
        ({"type": "simple", "config": {"zoom": 5}}, "zoom 5"),
        ({"type": "simple", "config": {"zoom": -2.5, "pan": 0}}, "pan 0, zoom -2.5"),
        ({"type": "simple"}, ""),
        ({"type": ["down_back"], "config": 3}, ""),  # from a damaged file
        ({"config": {"zoom": "<b>", "<i>": 3}}, ""),
        ("zoom", ""),
    ],
)
def test_words(control: Any, told: str) -> None:
    assert camera.words(control) == told


def test_the_words_know_every_movement_of_a_request() -> None:
    assert set(camera.WAYS) == set(motion.CameraConfig.__struct_fields__)
    for path in camera.PATHS:
        assert camera.words(motion.camera_json({"type": path})) == f"camera {path}".replace("_", " ")


def test_a_widget_takes_a_camera_as_an_object_or_as_json_and_refuses_what_the_vendor_would() -> None:
    widget = kw.KlingWidget(camera_control=motion.CameraControl("simple", motion.CameraConfig(zoom=5)), simulate=True)
    assert widget.camera_control == {"type": "simple", "config": {"zoom": 5}}
    widget.camera_control = None
    for wrong in ({"type": "simple", "config": {"zoom": 11}}, {"type": "sideways"}, {}):
        with pytest.raises(kw.InvalidRequestError) as refused:
            widget.camera_control = wrong
        assert refused.value.field == "camera_control"
    assert widget.camera_control is None
    widget.close()


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("zoom=5", {"type": "simple", "config": {"zoom": 5}}),
        ("pan=-3, tilt=2.5", {"type": "simple", "config": {"pan": -3, "tilt": 2.5}}),
        ("down_back", {"type": "down_back"}),
    ],
)
def test_as_it_is_typed(text: str, control: Any) -> None:
    assert camera.typed(text) == control
    assert motion.camera_json(camera.typed(text)) == control


@pytest.mark.parametrize("text", ["", "up", "zoom", "zoom=", "zoom=far", "push=3", "zoom=5,", "simple"])
def test_what_is_typed_wrong_is_told_with_what_there_is(text: str) -> None:
    with pytest.raises(kw.InvalidRequestError, match=r"^A camera is such as zoom=-5, or ") as told:
        camera.typed(text)
    assert "right_turn_forward" in told.value.hint
