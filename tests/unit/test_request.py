"""The request: its fields, rules and bytes are those of the vendor's specification."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kling_widget import CameraConfig, CameraControl, DynamicMask, ImageToVideoRequest, InvalidRequestError, Point
from kling_widget.request import MODEL

URL = "https://example.org/cat.png"
DATA = "data:image/png;base64,iVBORw0KGgo="


def request(**fields):
    return ImageToVideoRequest(**{"image_url": URL, "prompt": "The cat yawns", **fields})


def test_only_fields_that_were_set_are_sent():
    assert request().to_json() == (
        b'{"model":"kling-video/v1.6/pro/image-to-video",'
        b'"image_url":"https://example.org/cat.png","prompt":"The cat yawns"}'
    )


@pytest.mark.parametrize(
    ("field", "value", "sent"),
    [
        ("image_url", DATA, DATA),
        ("image_url", "A" * 80, "A" * 80),
        ("tail_image_url", URL, URL),
        ("prompt", "A “quoted” \n line", "A “quoted” \n line"),
        ("negative_prompt", "blur", "blur"),
        ("negative_prompt", "", ""),
        ("duration", 5, 5),
        ("duration", 10, 10),
        ("duration", np.int64(10), 10),
        ("cfg_scale", 0, 0),
        ("cfg_scale", 0.0, 0.0),
        ("cfg_scale", 1, 1),
        ("cfg_scale", np.float32(0.5), 0.5),
        ("static_mask", URL, URL),
        (
            "dynamic_masks",
            [DynamicMask(URL, (Point(1, 2), Point(3, 4)))],
            [{"mask": URL, "trajectories": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}],
        ),
        ("camera_control", {"type": "down_back"}, {"type": "down_back"}),
        (
            "camera_control",
            CameraControl("simple", CameraConfig(zoom=-10, pan=0)),
            {"type": "simple", "config": {"zoom": -10, "pan": 0}},
        ),
    ],
)
def test_each_field_is_sent_as_the_specification_writes_it(field, value, sent):
    body = json.loads(request(**{field: value}).to_json())
    assert body[field] == sent
    assert body["model"] == MODEL
    assert set(body) == {"model", "image_url", "prompt", field}


@pytest.mark.parametrize("field", ["ratio", "aspect_ratio"])
def test_deprecated_ratios_are_sent_with_a_warning_that_names_the_persons_line(field):
    with pytest.warns(DeprecationWarning, match=field) as caught:
        made = request(**{field: "16:9"})
    assert json.loads(made.to_json())[field] == "16:9"
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"duration": 7}, "duration must be 5 or 10 seconds, not 7"),
        ({"duration": "5"}, "duration must be 5 or 10"),
        ({"duration": 5.5}, "duration must be 5 or 10"),
        ({"duration": True}, "duration must be 5 or 10"),
        ({"cfg_scale": 1.2}, "cfg_scale must be a number from 0 to 1, not 1.2"),
        ({"cfg_scale": -0.1}, "cfg_scale must be"),
        ({"cfg_scale": float("nan")}, "cfg_scale must be"),
        ({"cfg_scale": True}, "cfg_scale must be"),
        ({"cfg_scale": "0.5"}, "cfg_scale must be"),
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": "  \n"}, "The prompt is empty"),
        ({"prompt": None}, "prompt must be text"),
        ({"negative_prompt": 3}, "negative_prompt must be text"),
        ({"image_url": "cat.png"}, "image_url must be an http"),
        ({"image_url": ""}, "image_url must be an http"),
        ({"image_url": "http://"}, "image_url must be an http"),
        ({"image_url": "https://["}, "image_url must be an http"),
        ({"image_url": "javascript:alert(1)"}, "image_url must be an http"),
        ({"image_url": "data:text/html;base64,AAAA"}, "image_url must be an http"),
        ({"tail_image_url": "ftp://example.org/a.png"}, "tail_image_url must be an http"),
        ({"ratio": "4:3"}, "ratio must be one of 16:9, 9:16, 1:1"),
        ({"aspect_ratio": "wide"}, "aspect_ratio must be one of"),
        ({"model": "kling-video/v2"}, "model must be"),
        ({"static_mask": "mask.png"}, "static_mask must be an http"),
        ({"dynamic_masks": [{"mask": URL, "trajectories": [{"x": 1, "y": 1}]}]}, "takes 2 to 77 points, not 1"),
        ({"dynamic_masks": [{"mask": URL, "trajectories": [{"x": 1, "y": 1}] * 78}]}, "takes 2 to 77 points, not 78"),
        ({"dynamic_masks": [{"mask": URL, "trajectories": [{"x": 1, "y": 1}] * 2}] * 7}, "at most 6 masks, not 7"),
        ({"dynamic_masks": [{"mask": "m.png", "trajectories": [{"x": 1, "y": 1}] * 2}]}, "dynamic_masks.mask must be"),
        ({"dynamic_masks": [{"mask": URL, "trajectories": [{"x": float("inf"), "y": 1}] * 2}]}, "not a finite number"),
        ({"dynamic_masks": "all"}, "dynamic_masks is not valid"),
        ({"camera_control": {"type": "spin"}}, "camera_control is not valid"),
        ({"camera_control": {"type": "simple", "config": {"zoom": 11}}}, "config.zoom must be -10 to 10"),
    ],
)
def test_a_value_outside_its_rule_is_refused_in_a_sentence(fields, sentence):
    with pytest.raises(InvalidRequestError, match=sentence):
        request(**fields)


def test_a_misspelt_field_is_refused():
    with pytest.raises(TypeError, match="promt"):
        ImageToVideoRequest(image_url=URL, prompt="x", promt="y")


def test_the_limit_on_prompts_is_advice_since_the_vendor_documents_none():
    assert request(prompt="x" * 2500).preflight() == {}
    advice = request(prompt="x" * 10_000, negative_prompt="y" * 2501).preflight()
    assert "10,000 characters" in advice["prompt"]
    assert "2,501 characters" in advice["negative_prompt"]


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"tail_image_url": URL}, {}),
        ({"static_mask": URL, "dynamic_masks": []}, {}),
        ({"tail_image_url": URL, "dynamic_masks": []}, {}),
        ({"camera_control": {"type": "simple", "config": {"zoom": 5, "pan": 0}}}, {}),
        (
            {"camera_control": {"type": "simple", "config": {"zoom": 5, "pan": -1}}},
            {"camera_control": "The model may refuse pan -1 and zoom 5 together: Kling takes one movement."},
        ),
        (
            {"tail_image_url": URL, "camera_control": {"type": "down_back"}},
            {"camera_control": "The model may refuse a last frame and a camera together: Kling takes one of them."},
        ),
        (
            {"tail_image_url": URL, "static_mask": URL},
            {
                "dynamic_masks": "The model may refuse a last frame and a motion brush together: "
                "Kling takes one of them."
            },
        ),
        (
            {"tail_image_url": URL, "static_mask": URL, "camera_control": {"type": "down_back"}},
            {
                "camera_control": "The model may refuse a last frame, a motion brush and a camera together: "
                "Kling takes one of them."
            },
        ),
    ],
)
def test_what_only_kling_itself_rules_out_is_advice(fields, advice):
    assert request(**fields).preflight() == advice


def test_the_hash_is_that_of_what_is_asked_for():
    assert request(duration=5).content_hash() == request(duration=5).content_hash()
    assert request(duration=5).content_hash() != request(duration=10).content_hash()
    assert request(cfg_scale=0).content_hash() != request().content_hash()


@pytest.mark.parametrize(
    "same",
    [
        (0, 0.0, -0.0, np.int64(0)),
        (1, 1.0, np.int64(1), np.float32(1)),
        (0.3, np.float32(0.3), np.linspace(0, 1, 11)[3], 0.1 * 3),
    ],
)
def test_one_scale_is_one_request_however_it_is_written(same):
    """A sweep over ``[0, 0.5, 1]``, its table and that table's rows again: pandas makes them 0.0, 0.5 and 1.0."""
    assert len({request(cfg_scale=value).content_hash() for value in same}) == 1
    assert request(cfg_scale=0.3).content_hash() != request(cfg_scale=0.300001).content_hash()


def test_references_to_pictures_are_never_sent():
    reference = "sha256:" + "a" * 64
    with_references = request(
        image_url=reference,
        static_mask=reference,
        dynamic_masks=[{"mask": reference, "trajectories": [{"x": 0, "y": 0}] * 2}],
    )
    with pytest.raises(InvalidRequestError, match="was not put in"):
        with_references.to_json()


def test_a_repr_never_prints_the_megabytes_of_a_picture():
    text = repr(request(image_url="data:image/png;base64," + "A" * 5_000_000))
    assert len(text) < 300
    assert "The cat yawns" in text
