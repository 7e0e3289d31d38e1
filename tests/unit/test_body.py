"""The body of a submission: the JSON that the request says, in pieces, with a picture in memory once."""

from __future__ import annotations

import base64
import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_widget import ImageToVideoRequest, InvalidRequestError
from kling_widget.body import PIECE, Body

REFERENCE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
JPEG, PNG = b"\xff\xd8\xff of a cat", b"\x89PNG of a mask"
PICTURES = {REFERENCE: JPEG, OTHER: PNG}
PATH = [{"x": 0, "y": 1.5}, {"x": 3, "y": 4}]


def uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def whole(body: Body) -> bytes:
    return b"".join(body.pieces())


@given(prompt=st.text(min_size=1).filter(str.strip), negative=st.none() | st.text(), scale=st.none() | st.floats(0, 1))
def test_it_is_the_json_of_the_request(prompt, negative, scale):
    request = ImageToVideoRequest(
        image_url="https://example.org/ä.png", prompt=prompt, negative_prompt=negative, cfg_scale=scale,
        dynamic_masks=[{"mask": uri(PNG, "image/png"), "trajectories": PATH}],
        camera_control={"type": "simple", "config": {"pan": -10}},
    )  # fmt: skip
    body = Body(request.body())
    assert whole(body) == msgspec.json.encode(request.body()) == request.to_json()
    assert body.size == len(whole(body))


def test_pictures_are_put_in_wherever_they_are_named_and_nowhere_else():
    request = ImageToVideoRequest(
        image_url=REFERENCE, tail_image_url="https://example.org/a.png", static_mask=OTHER, prompt=REFERENCE,
        dynamic_masks=[{"mask": OTHER, "trajectories": PATH}] * 2,
    )  # fmt: skip
    body = Body(request.body(), PICTURES.__getitem__)
    sent = json.loads(whole(body))
    assert sent["image_url"] == uri(JPEG, "image/jpeg")
    assert sent["static_mask"] == uri(PNG, "image/png")
    assert [mask["mask"] for mask in sent["dynamic_masks"]] == [uri(PNG, "image/png")] * 2
    assert sent["tail_image_url"] == "https://example.org/a.png"
    assert sent["prompt"] == REFERENCE
    assert body.size == len(whole(body))


def test_a_reference_that_nobody_resolves_is_never_sent():
    with pytest.raises(InvalidRequestError, match="was not put in"):
        Body({"image_url": REFERENCE})


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2])
def test_a_picture_of_any_length_arrives_whole_and_each_time_anew(size):
    data = bytes(range(256)) * (size // 256 + 1)
    body = Body({"image_url": REFERENCE, "prompt": "a"}, lambda reference: data[:size])
    first, again = whole(body), whole(body)
    assert first == again
    assert len(first) == body.size
    assert json.loads(first) == {"image_url": uri(data[:size], "image/jpeg"), "prompt": "a"}


def test_ten_megabytes_leave_in_a_few_pieces_and_never_as_a_copy():
    data = bytes(10_000_000)
    tracemalloc.start()
    body = Body({"model": "m", "image_url": REFERENCE, "prompt": "a", "duration": 5}, lambda reference: data)
    lengths = [len(piece) for piece in body.pieces()]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(lengths) == body.size > 13_000_000
    assert max(lengths) == 4 * PIECE // 3
    assert len(lengths) < 30  # each is a packet: no single commas
    assert peak < 3 * max(lengths)
