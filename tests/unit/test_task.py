"""Whatever the vendor answers, it is read or survived."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_widget.task import Task, TaskError, vendor_message


def parse(body, headers=None, **options):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Task.parse(content, headers or {}, **options)


@pytest.mark.parametrize(
    "identifier", ["bA23_2Dk4Yh6RWT5BluZu", "88a64d31-cce4-41e8-b9d8-5392e8c2a6d4:kling-video/v2/master"]
)
@pytest.mark.parametrize("place", ["id", "generation_id", "header"])
def test_the_id_is_found_in_each_of_its_places(place, identifier):
    if place == "header":
        assert parse({}, {"x-inference-id": identifier}, id_header=True).id == identifier
        assert parse(b"", {"x-inference-id": identifier}, id_header=True).id == identifier
    else:
        assert parse({place: identifier}).id == identifier


@pytest.mark.parametrize("word", ["queued", "generating", "waiting", "active", "succeeded", "completed", "baking", ""])
def test_any_word_but_error_is_pending_until_a_video_is_there(word):
    assert parse({"id": "1", "status": word}).state == "pending"
    assert parse({"id": "1", "status": word, "video": {"url": "https://v/x.mp4"}}).state == "completed"


def test_error_is_final_and_keeps_its_name_and_message():
    task = parse({"id": "1", "status": "error", "error": {"name": "ContentFilter", "message": "Blocked."}})
    assert task.state == "error"
    assert task.error == TaskError("ContentFilter", "Blocked.")
    assert parse({"status": "error"}).state == "error"
    assert parse({"status": "generating", "error": {"name": "X", "message": "Y"}}).state == "error"
    assert parse({"status": "generating", "error": None}).state == "pending"


@pytest.mark.parametrize("body", [b"", b"No content", b"[]", b"null", b"\xff\xfe", b"{", b'{"id": [1]}', b"<html>"])
def test_an_unreadable_answer_says_nothing(body):
    assert parse(body) == Task()


def test_the_cost_is_read_from_body_and_headers():
    assert parse({"meta": {"usage": {"credits_used": 1320000}}}).credits == 1320000
    task = parse({}, {"x-aimlapi-credits-used": "1320000", "x-aimlapi-usd-spent": "0.66"})
    assert (task.credits, task.usd) == (1320000, 0.66)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
answers = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "generation_id", "status", "video", "error", "meta", "message"), json_values)
)


@given(st.binary() | answers.map(lambda body: json.dumps(body).encode()))
def test_no_answer_whatever_raises(content):
    task = Task.parse(content, {}, id_header=True)
    assert task.state in ("pending", "completed", "error")
    assert task.id is None or 0 < len(task.id) <= 256
    assert vendor_message(content) is None or isinstance(vendor_message(content), str)


def test_the_vendors_words_on_a_refusal_are_kept():
    body = {"message": "Invalid enum value. Expected 5 | 10, received 7", "statusCode": "400", "path": "/v2"}
    assert vendor_message(json.dumps(body).encode()) == "Invalid enum value. Expected 5 | 10, received 7"
    assert vendor_message(json.dumps({"message": ["a", "b"]}).encode()) == "a; b"
