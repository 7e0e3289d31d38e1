"""What is pressed in the panel reaches the kernel late, twice and in a heap: nothing is paid that nobody asked for."""

from __future__ import annotations

import itertools
import json
import time
from io import BytesIO

import pytest
from PIL import Image

from kling_widget import KlingWidget, background, retry
from kling_widget.simulator import Fault
from tests.integration.conftest import KEY, submissions
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0
FORM = {"prompt": "p", "negative_prompt": "", "duration": 5, "cfg_scale": 0.5, "camera_control": None}
LOOK = "Look at it, and press Generate again."

ids = itertools.count()


@pytest.fixture
def widget(server, tmp_path):
    opened = KlingWidget(picture((640, 360)), "p", api_key=KEY, base_url=server.url, workspace=tmp_path / "clips")
    yield opened
    opened.close()


def eventually(holds):
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, "never came to hold"
        time.sleep(0.01)


def message(kind, **fields):
    return {"type": kind, "id": f"id-{next(ids)}", **fields}


def arrive(widget, *messages):
    """The messages one after the other without a moment between, as when a cell ends that kept them waiting."""
    heap = [(each, []) if isinstance(each, dict) else each for each in messages]
    background.call(lambda: [widget._receive(widget, content, buffers) for content, buffers in heap])


def generate(**changes):
    named = {name: changes.pop(name) for name in ("again", "anyway") if name in changes}
    return message("generate", **{"form": {**FORM, **changes}, "anyway": False, "again": None, **named})


def texts(widget):
    return [problem["text"] for problem in widget.problems]


def sent(server):
    """Prompt of each submission, and the size of its picture in pixels."""
    asked = [json.loads(each.body) for each in submissions(server)]
    return [(each["prompt"], size_of(each["image_url"])) for each in asked]


def size_of(url):
    import base64

    return Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).size


def all_ready(widget, count):
    eventually(lambda: len(widget.entries) == count and all(each["status"] == "completed" for each in widget.entries))


# Generate


def test_a_double_click_is_one_press_and_another_form_is_another_one(widget, server):
    arrive(widget, generate(), generate(), generate(prompt="another"), generate(prompt="another"))
    all_ready(widget, 2)
    assert sorted(prompt for prompt, _ in sent(server)) == ["another", "p"]


def test_to_insist_is_another_press(widget, server):
    arrive(widget, generate(), generate(anyway=True))
    all_ready(widget, 2)
    assert len(submissions(server)) == 2


def test_a_press_in_each_of_two_cells_is_one_where_neither_was_acknowledged(widget, server, monkeypatch):
    monkeypatch.setattr("kling_widget.presses.SAME_PRESS", 0.0)  # seconds; in earnest the second cell lies between
    first = generate()
    second = generate(again=first["id"])
    third = generate(again=second["id"])
    arrive(widget, first)
    arrive(widget, second)
    arrive(widget, third)
    all_ready(widget, 1)
    arrive(widget, generate(again="never arrived"))
    all_ready(widget, 2)
    assert len(submissions(server)) == 2


def test_the_same_form_with_another_picture_is_another_press(widget, server):
    first = generate()
    arrive(widget, first)
    eventually(lambda: submissions(server))
    widget.image = picture((800, 450))
    arrive(widget, generate(again=first["id"]))
    all_ready(widget, 2)
    assert sorted(size for _, size in sent(server)) == [(640, 360), (800, 450)]


def test_a_press_that_came_to_nothing_may_be_made_again_at_once(widget, server):
    kept, widget.image = widget.image, None
    first = generate()
    arrive(widget, first)
    eventually(lambda: texts(widget))
    widget.image = kept
    arrive(widget, generate(again=first["id"]))
    all_ready(widget, 1)
    assert len(submissions(server)) == 1


# Submit again


def test_submit_again_pressed_twice_in_a_heap_is_paid_once(widget, server, monkeypatch):
    monkeypatch.setattr(retry, "LOOKUP_DELAYS", ())
    server.simulator.faults.add(Fault("submit", "status_code", code=502))
    generation = widget.generate()
    eventually(lambda: generation.status == "unknown")
    arrive(widget, *[message("resubmit", key=generation.key) for _ in range(20)])
    eventually(lambda: len(widget.entries) == 2 and widget.entries[0]["status"] == "completed")
    assert len(submissions(server)) == 2


# What nobody has seen


def test_settings_of_another_clip_and_a_press_that_came_with_the_old_form_make_nothing(widget, server):
    widget.generate()
    all_ready(widget, 1)
    widget.image, widget.prompt = picture((800, 450)), "another"
    old = {"prompt": "another"}
    arrive(widget, message("use", key=widget.entries[0]["key"]), generate(**old))
    eventually(lambda: texts(widget))
    assert texts(widget) == [f"The form was filled with other settings just then. {LOOK}"]
    eventually(lambda: widget.first_frame["width"] == 640)
    assert (widget.prompt, len(submissions(server))) == ("p", 1)
    arrive(widget, generate())  # as it shows now
    all_ready(widget, 2)
    assert sent(server) == [("p", (640, 360))] * 2
    assert not texts(widget)


def test_a_form_that_was_looked_at_after_it_was_filled_goes_at_once(widget, server):
    widget.generate()
    all_ready(widget, 1)
    widget.prompt = "another"
    arrive(widget, message("use", key=widget.entries[0]["key"]))
    eventually(lambda: widget.prompt == "p" and not widget._filling)
    arrive(widget, generate())
    all_ready(widget, 2)
    assert sent(server) == [("p", (640, 360))] * 2


def test_what_is_taken_away_after_a_press_is_still_in_what_was_pressed_for(widget, server):
    for number in range(10):
        widget.tail_image = picture((800, 450))
        arrive(widget, generate(prompt=f"p {number}"), message("remove", slot="last_frame"))
        all_ready(widget, number + 1)
        assert widget.last_frame is None
    assert all("tail_image_url" in json.loads(each.body) for each in submissions(server))


@pytest.mark.parametrize("act", ["use", "continue", "url", "upload"])
def test_a_press_while_the_kernel_reads_another_picture_makes_nothing(widget, server, act):
    widget.generate()
    all_ready(widget, 1)
    data = picture((800, 450))
    chunk = {"upload": "u", "slot": "first_frame", "name": "a.png", "size": len(data), "offset": 0, "sha256": None}
    acts = {
        "use": (message("use", key=widget.entries[0]["key"]), []),
        "continue": (message("continue", key=widget.entries[0]["key"]), []),
        "url": (message("url", slot="first_frame", url="https://example.org/cat.png"), []),
        "upload": (message("upload", **chunk), [memoryview(data)]),
    }
    arrive(widget, acts[act], generate())
    eventually(lambda: texts(widget))
    assert texts(widget) == [f"A picture was still being put into the form. {LOOK}"]
    eventually(lambda: not widget._filling)
    assert len(submissions(server)) == 1


# Uploads


@pytest.fixture
def replies(widget):
    """What the kernel tells of uploads."""
    told = []
    send = widget.send
    widget.send = lambda content, buffers=None: (told.append(content), send(content, buffers=buffers))
    return told


def chunks(data, name, step):
    for offset in range(0, len(data), step):
        content = {"upload": name, "slot": "first_frame", "name": f"{name}.png", "size": len(data), "offset": offset}
        piece = data[offset : offset + step]
        yield message("upload", media_type="image/png", sha256=None, **content), [memoryview(piece)]


def received(replies, name):
    return [(each["offset"], each["ok"]) for each in replies if each["type"] == "received" and each["upload"] == name]


def test_a_chunk_of_an_upload_that_is_not_known_begins_none(widget, replies):
    data = picture((800, 450))
    half = len(data) // 2 + 1
    [_, (later, buffers)] = chunks(data, "lost", half)
    arrive(widget, (later, buffers))
    eventually(lambda: received(replies, "lost"))
    assert received(replies, "lost") == [(half, False)]
    assert widget.first_frame["width"] == 640


def test_a_late_chunk_of_an_upload_that_was_replaced_does_not_end_the_one_that_replaced_it(widget, replies):
    old, new = picture((700, 400)), picture((800, 450))
    [late] = chunks(old, "old", len(old))
    first, second = chunks(new, "new", len(new) // 2 + 1)
    arrive(widget, late)
    eventually(lambda: widget.first_frame["width"] == 700)
    arrive(widget, first, late, second)  # sent again meanwhile, or heard by another thread of the kernel
    eventually(lambda: widget.first_frame["width"] == 800)
    eventually(lambda: not widget._filling)
    assert received(replies, "old") == [(0, True), (0, False)]
    assert received(replies, "new") == [(0, True), (len(new) // 2 + 1, True)]
    assert (widget.first_frame["width"], widget.image.name) == (800, "new.png")


def test_a_chunk_that_comes_twice_after_all_are_in_is_told_as_in_and_the_picture_read_once(widget, replies):
    [only] = chunks(data := picture((800, 450)), "twice", len(picture((800, 450))))
    arrive(widget, only, only, only)
    eventually(lambda: widget.first_frame["width"] == 800)
    eventually(lambda: not widget._filling)
    assert received(replies, "twice") == [(0, True)] * 3
    assert [each["type"] for each in replies].count("uploaded") == 1
    assert len(data) == widget.first_frame["size"]
