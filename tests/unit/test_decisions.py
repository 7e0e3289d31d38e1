"""Pure decisions: no clock, no network, no waiting in these tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_widget import retry
from kling_widget.retry import Outcome


@pytest.mark.parametrize(
    ("status", "has_id", "outcome"),
    [
        *[(status, True, Outcome.ACCEPTED) for status in (200, 201, 202)],
        *[(status, False, Outcome.UNKNOWN) for status in (200, 201, 204)],
        *[
            (status, has_id, Outcome.REJECTED)
            for status in (302, 400, 401, 403, 404, 422, 429)
            for has_id in (True, False)
        ],
        *[(status, has_id, Outcome.UNKNOWN) for status in (500, 502, 503, 504) for has_id in (True, False)],
    ],
)
def test_an_answer_to_a_submission_has_one_of_three_outcomes(status, has_id, outcome):
    assert retry.submission_outcome(status, has_id) is outcome


def test_a_submission_that_did_not_count_is_tried_a_few_times_and_then_given_up():
    delays = [retry.submission_delay(attempt, jitter=1.0) for attempt in range(1, retry.SUBMIT_ATTEMPTS + 1)]
    assert delays[:-1] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] is None


def test_retry_after_is_obeyed_unless_it_asks_for_more_than_a_person_waits():
    assert retry.submission_delay(1, 0.0, retry_after=20) == 20
    assert retry.submission_delay(1, 0.0, retry_after=3600) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3),
        ("0.5", 0.5),
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_leniently(value, seconds):
    assert retry.parse_retry_after(value) == seconds


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_grows_to_a_limit_and_is_spread(attempt, jitter):
    assert 0.25 <= retry.backoff(attempt, jitter) <= retry.LONGEST_DELAY
