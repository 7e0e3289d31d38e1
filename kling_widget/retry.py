"""May this be sent again, and when? Pure decisions: no clock, no network, no sleep.

A submission costs money and has no idempotency key, so it is sent again only when it certainly did not arrive or was
certainly refused. Everything else is *unknown* and is looked up, never replayed. Reads may always be repeated.
"""

from __future__ import annotations

import enum

SUBMIT_ATTEMPTS = 5  # submissions that certainly did not count; then the person decides
FIRST_DELAY = 0.5  # seconds; doubled each time
LONGEST_DELAY = 60.0  # seconds; also the most we let the vendor ask us to wait between two tries of one submission
LOOKUP_DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0)  # seconds; the log appears minutes late at times


class Outcome(enum.Enum):
    """What became of a submission (the three outcomes of the API notes)."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


def submission_outcome(status: int, has_id: bool) -> Outcome:
    """The outcome that an HTTP answer to a submission means.

    Parameters
    ----------
    status
        HTTP status code.
    has_id
        Whether an id could be read from the body or the headers.
    """
    if 200 <= status < 300:
        return Outcome.ACCEPTED if has_id else Outcome.UNKNOWN
    if 300 <= status < 500:
        return Outcome.REJECTED  # a redirect is never followed: nothing was accepted
    return Outcome.UNKNOWN


def backoff(attempt: int, jitter: float, retry_after: float | None = None) -> float:
    """Seconds to wait before trying again.

    Parameters
    ----------
    attempt
        How many tries there were, from 1.
    jitter
        A random number from 0 to 1: clients that failed together must not come back together.
    retry_after
        Seconds the vendor asked for, which is obeyed.
    """
    wait = float(min(FIRST_DELAY * 2 ** min(attempt - 1, 16), LONGEST_DELAY))
    wait *= 0.5 + 0.5 * jitter
    return wait if retry_after is None else max(wait, retry_after)


def submission_delay(attempt: int, jitter: float, retry_after: float | None = None) -> float | None:
    """Seconds until a submission that did not count is sent again; None when it should be given up.

    Parameters as in :func:`backoff`.
    """
    if attempt >= SUBMIT_ATTEMPTS or (retry_after or 0.0) > LONGEST_DELAY:
        return None
    return backoff(attempt, jitter, retry_after)


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from a ``Retry-After`` header; None where it is absent or a date (no clock here)."""
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < 86_400 else None
