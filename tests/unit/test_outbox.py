"""What certainly was not sent: nothing that may have arrived is ever taken for it."""

from __future__ import annotations

import os
import threading

import pytest

from kling_widget.outbox import Outbox


@pytest.fixture
def outbox() -> Outbox:
    made = Outbox()
    made.add("kw-1", shared=False)
    return made


def test_what_leaves_is_no_longer_unsent_until_it_was_surely_refused(outbox: Outbox) -> None:
    assert outbox.holds("kw-1")
    assert outbox.leaves("kw-1")
    assert (outbox.holds("kw-1"), outbox.sends("kw-1")) == (False, True)
    assert not outbox.leaves("kw-1"), "nothing leaves twice"
    assert not outbox.withdraw("kw-1"), "its answer holds the id that was paid for"
    outbox.comes_back("kw-1")
    assert (outbox.holds("kw-1"), outbox.sends("kw-1")) == (True, False)
    outbox.discard("kw-1")
    outbox.comes_back("kw-1")
    assert not outbox.holds("kw-1")


def test_what_is_being_sent_stays_that_when_it_is_asked_for_once_more(outbox: Outbox) -> None:
    outbox.leaves("kw-1")
    assert not outbox.add("kw-1", shared=True)
    assert outbox.sends("kw-1")


def test_what_was_withdrawn_never_leaves(outbox: Outbox) -> None:
    assert outbox.withdraw("kw-1")
    assert not outbox.leaves("kw-1")
    assert not outbox.holds("kw-1")
    assert outbox.close() == ["kw-1"]


def test_at_the_end_nothing_leaves_any_more_and_what_is_under_way_is_not_unsent(outbox: Outbox) -> None:
    for key in ("kw-2", "kw-3"):
        outbox.add(key, shared=False)
    outbox.add("another-process-too", shared=True)
    outbox.leaves("kw-2")
    assert outbox.close() == ["kw-1", "kw-3"]
    assert not outbox.leaves("kw-1")
    assert outbox.sends("kw-2")


def test_of_leaving_and_the_end_one_comes_first() -> None:
    for _ in range(200):
        outbox, start, left = Outbox(), threading.Barrier(2), []
        outbox.add("kw-1", shared=False)

        def leave(outbox: Outbox = outbox, start: threading.Barrier = start, left: list[bool] = left) -> None:
            start.wait()
            left.append(outbox.leaves("kw-1"))

        thread = threading.Thread(target=leave)
        thread.start()
        start.wait()
        unsent = outbox.close()
        thread.join()
        assert left == [not unsent]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_what_the_parent_wrote_is_not_the_childs_to_send(outbox: Outbox) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, repr((outbox.holds("kw-1"), outbox.close())).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 1000) == b"(False, [])"
    assert outbox.holds("kw-1")
