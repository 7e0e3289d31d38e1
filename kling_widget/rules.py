"""The specification's rules for single fields, and ours for a budget: each raises ``InvalidRequestError`` with a
sentence that names it.
"""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from typing import Literal
from urllib.parse import urlsplit

from .errors import InvalidRequestError

DURATIONS = (5, 10)  # seconds; the specification's enum

Take = int | Literal["new"]
"""Which of several videos of one request: 1, 2, 3 …, or another one."""

_REFERENCE = re.compile(r"sha256:[0-9a-f]{64}\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}\Z")


def is_reference(value: str) -> bool:
    """Whether a picture is named by its SHA-256 instead of being there: how the ledger keeps requests."""
    return bool(_REFERENCE.match(value))


def is_bare_base64(value: str) -> bool:
    """Whether a text may be the Base64 of something, without ``data:`` before it."""
    return ":" not in value[:16] and bool(_BASE64.match(value))


def check_text(field: str, value: object, *, required: bool = False) -> None:
    """Raise `InvalidRequestError` unless `value` is text (or None, where it may be)."""
    if value is None and not required:
        return
    if not isinstance(value, str):
        raise InvalidRequestError(f"{field} must be text, not {shown(value)}.", field=field)
    if required and not value.strip():
        raise InvalidRequestError(f"The {field} is empty: write what should happen in the video.", field=field)


def whole(value: object) -> int | None:
    """A whole number of any type as an int: NumPy's, and the float that a column with a gap makes of it; else None."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    number = amount(value)
    return int(number) if number is not None and number.is_integer() else None


def amount(value: object) -> float | None:
    """A number of any type as a float; None where it is none, as truth values are not."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return -math.inf if value < 0 else math.inf


def check_duration(value: object) -> None:
    """Raise `InvalidRequestError` unless `value` is 5, 10 or None."""
    if value is not None and whole(value) not in DURATIONS:
        raise InvalidRequestError(f"duration must be 5 or 10 seconds, not {shown(value)}.", field="duration")


def check_cfg_scale(value: object) -> None:
    """Raise `InvalidRequestError` unless `value` is a number from 0 to 1 or None."""
    if value is None:
        return
    scale = amount(value)
    if scale is None or not 0.0 <= scale <= 1.0:
        raise InvalidRequestError(f"cfg_scale must be a number from 0 to 1, not {shown(value)}.", field="cfg_scale")


def checked_budget(budget: float | None) -> float | None:
    """The budget, if it is an amount of money.

    Raises
    ------
    InvalidRequestError
        It is not a number, or below 0.
    """
    if budget is None:
        return None
    usd = amount(budget)
    if usd is None or not 0 <= usd < math.inf:
        raise InvalidRequestError(f"budget must be an amount in USD, 0 or more, not {budget!r}.")
    return usd


def check_picture(field: str, value: object, *, required: bool = False) -> None:
    """Raise `InvalidRequestError` unless `value` is a URL, data URI, Base64 or reference (or None, where it may be)."""
    if value is None and not required:
        return
    if isinstance(value, str):
        if value.startswith("data:image/") and ";base64," in value[:64]:
            return
        if value.lower().startswith(("http://", "https://")) and " " not in value and _has_host(value):
            return
        if is_reference(value) or is_bare_base64(value):
            return
    raise InvalidRequestError(
        f"{field} must be an http(s) URL or a Base64-encoded picture, not {shown(value)}.",
        hint="kling_widget.submit() takes paths, bytes, arrays and more.",
        field=field,
    )


def _has_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:  # e.g. an unclosed IPv6 bracket
        return False


def checked_take(value: object) -> Take:
    """The take, if it is 1, 2, 3 … or ``"new"``; raises `InvalidRequestError`."""
    if isinstance(value, str) and value == "new":
        return "new"
    number = whole(value)
    if number is None or number < 1:
        raise InvalidRequestError(f'take must be 1, 2, 3 … or "new", not {value!r}.')
    return number


def shown(value: object) -> str:
    """A value for a sentence or a repr, never the megabytes of a picture."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text):,} characters)"


def check_generation_id(generation_id: object) -> None:
    """Raise `InvalidRequestError` unless it can be a vendor's id."""
    if not isinstance(generation_id, str) or not 0 < len(generation_id) <= 256 or not generation_id.isprintable():
        raise InvalidRequestError(f"A generation id is text of 1 to 256 characters, not {generation_id!r}.")
