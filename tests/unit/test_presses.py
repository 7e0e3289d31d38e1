"""Presses that are paid for: a repeated one is heard once, whenever and by whichever thread it arrives."""

from __future__ import annotations

from kling_widget.presses import REMEMBERED, SAME_PRESS, Presses

A, B = ({"prompt": "a"}, False), ({"prompt": "b"}, False)


def test_the_same_press_within_a_second_is_one():
    presses = Presses()
    assert presses.is_new(A, set(), now=10.0)
    assert not presses.is_new(A, set(), now=10.0 + SAME_PRESS - 0.01)
    assert presses.is_new(A, set(), now=10.0 + SAME_PRESS)


def test_another_press_is_another_one_at_any_time():
    presses = Presses()
    assert [presses.is_new(each, set(), now=10.0) for each in (A, B, A)] == [True, True, True]


def test_a_press_that_repeats_an_unheard_one_is_dropped_in_whatever_order_both_arrive():
    for first, second in [({"1"}, {"2", "1"}), ({"2", "1"}, {"1"})]:
        presses = Presses()
        assert presses.is_new(A, first, now=10.0)
        assert not presses.is_new(A, second, now=20.0)


def test_a_press_that_repeats_a_repeated_one_is_dropped_as_well():
    presses = Presses()
    assert presses.is_new(A, {"1"}, now=10.0)
    assert not presses.is_new(A, {"2", "1"}, now=20.0)
    assert not presses.is_new(A, {"3", "2"}, now=30.0)
    assert presses.is_new(A, {"4"}, now=40.0)


def test_a_press_that_repeats_one_that_never_arrived_is_new():
    assert Presses().is_new(A, {"2", "1"}, now=10.0)


def test_what_it_repeats_is_another_one_where_what_would_be_made_has_changed_since():
    presses = Presses()
    assert presses.is_new(A, {"1"}, now=10.0)
    assert presses.is_new(B, {"2", "1"}, now=20.0)


def test_one_that_came_to_nothing_may_be_pressed_again_at_once():
    presses = Presses()
    assert presses.is_new(A, {"1"}, now=10.0)
    presses.forget(A)
    assert presses.is_new(A, {"2", "1"}, now=10.1)


def test_they_are_not_remembered_for_good():
    presses = Presses()
    for number in range(10 * REMEMBERED):
        presses.is_new(A, {str(number)}, now=10.0 * number)
    assert len(presses) == REMEMBERED
