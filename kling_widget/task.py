"""``Task``: what the vendor's answer says, read leniently and kept small."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from .money import usd_of

LONGEST_TEXT = 2000  # characters kept of any vendor text, so that a hostile answer can't fill the ledger
LONGEST_ID = 256  # characters; the longest shape seen in the vendor's documents has 73
SLOWEST_SIMULATOR, FASTEST_SIMULATOR = 0.01, 1e5  # times the vendor's speed; ours, far beyond what is of use
LONGEST_URL = 8192  # characters; signed urls run to a few hundred


@dataclass(frozen=True)
class TaskError:
    """Why a generation failed: the vendor's name for it and its message."""

    name: str
    message: str


@dataclass(frozen=True)
class Task:
    """One answer to *create* or *retrieve*.

    Attributes
    ----------
    id
        The generation id, or None where the answer has none.
    status
        The vendor's word, e.g. ``queued``; empty where the answer has none.
    video_url
        Address of the finished video.
    error
        Why it failed.
    credits, usd
        What it cost, where the answer says so.
    time_factor
        How much faster than the vendor the answering simulator runs; None when it isn't a simulator.
    """

    id: str | None = None
    status: str = ""
    video_url: str | None = None
    error: TaskError | None = None
    credits: float | None = None
    usd: float | None = None
    time_factor: float | None = None

    @property
    def state(self) -> Literal["pending", "completed", "error"]:
        """``completed`` only with a video, ``error`` only when told so; any other word means pending."""
        if self.status == "error":
            return "error"
        if self.video_url:
            return "completed"
        return "error" if self.error else "pending"

    @classmethod
    def parse(cls, content: bytes, headers: Mapping[str, str], *, id_header: bool = False) -> Task:
        """Read an answer; an empty or unreadable body gives a Task that says nothing.

        Parameters
        ----------
        content
            The body.
        headers
            The answer's headers (case-insensitive mapping).
        id_header
            Also read the id from ``x-inference-id`` (for the answer to a submission).
        """
        try:
            body = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = None
        if not isinstance(body, dict):
            body = {}
        identifier = _text(body.get("id"), LONGEST_ID) or _text(body.get("generation_id"), LONGEST_ID)
        if not identifier and id_header:
            identifier = _text(headers.get("x-inference-id"), LONGEST_ID)
        return cls(
            id=identifier,
            status=_text(body.get("status"), 64) or "",
            video_url=_text(_inner(body, "video").get("url"), LONGEST_URL),
            error=_error(body.get("error")),
            credits=_number(_inner(_inner(body, "meta"), "usage").get("credits_used"))
            or _number(headers.get("x-aimlapi-credits-used")),
            usd=_number(headers.get("x-aimlapi-usd-spent")) or None,  # 0: not charged yet
            time_factor=_time_factor(headers.get("x-simulator-time-factor")),
        )


@dataclass(frozen=True)
class Found:
    """What a row of the vendor's log says of a submission: its generation id, and when it came (Unix seconds)."""

    generation_id: str
    created: float | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Found | None:
        """Read a row; None where it names no id."""
        found = row.get("inference_id")
        return cls(found, _moment(row.get("created"))) if isinstance(found, str) and found else None


@dataclass(frozen=True)
class Charge:
    """What a row of the vendor's log says was charged for a submission."""

    client_request_id: str | None
    generation_id: str | None
    usd: float
    credits: float | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Charge | None:
        """Read a row; None where nothing is charged, or not yet."""
        said = _inner(row, "cost")
        credits = _number(said.get("credits")) or None
        usd = usd_of(_number(said.get("usd")), credits)
        ours, theirs = (_text(row.get(name), LONGEST_ID) for name in ("client_request_id", "inference_id"))
        return cls(ours, theirs, usd, credits) if usd else None


def vendor_message(content: bytes) -> str | None:
    """The vendor's sentence in an error body, or None."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    message = body.get("message") if isinstance(body, dict) else None
    if isinstance(message, list):  # validation messages come as a list at times
        message = "; ".join(part for part in message if isinstance(part, str))
    text = clipped(message)
    hint = clipped(body.get("hint")) if isinstance(body, dict) else None
    return f"{text} ({hint})" if text and hint and hint not in text else text


def clipped(value: Any, longest: int = LONGEST_TEXT) -> str | None:
    """Vendor text, cut to a bearable length; None where there is none."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip()[:longest]


def _text(value: Any, longest: int) -> str | None:
    """Text that is only of use whole: an id or a url cut short would be a wrong one."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or len(value) > longest or not value.isprintable():
        return None
    return value.strip()


def _inner(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e15 else None


def _moment(value: Any) -> float | None:
    """Unix seconds of an ISO 8601 time with its zone, as the vendor writes it."""
    try:
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", value))  # Python 3.10 doesn't know the Z
    except (TypeError, ValueError):
        return None
    return moment.timestamp() if moment.tzinfo else None


def _time_factor(value: Any) -> float | None:
    """A speed a simulator may have: with any number, waits would become endless or vanish."""
    factor = _number(value)
    return factor if factor is not None and SLOWEST_SIMULATOR <= factor <= FASTEST_SIMULATOR else None


def _error(value: Any) -> TaskError | None:
    if isinstance(value, str) and value.strip():
        return TaskError("error", value.strip()[:LONGEST_TEXT])
    if not isinstance(value, dict) or not value:
        return None
    name = clipped(value.get("name"), 200) or "error"
    return TaskError(name, clipped(value.get("message")) or "The vendor gave no reason.")
