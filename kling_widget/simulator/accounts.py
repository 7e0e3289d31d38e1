"""``/v2/logs`` and ``/v2/billing``: what was asked for, its cost, what is left. Pure functions of tasks and time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from kling_widget.simulator.answers import VendorError, iso
from kling_widget.simulator.settings import CREDITS_PER_USD, SimulatorSettings
from kling_widget.simulator.tasks import SimulatedTask

PERIOD = re.compile(r"(\d{1,6})([smhd])")
PERIOD_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_LIMIT = 100  # aimlapi.md §2: limit 1..100
DEFAULT_LIMIT = 20  # our choice: the vendor names none
LOGS_PER_MINUTE = 200  # aimlapi.md §2


def spoken_for(tasks: Iterable[SimulatedTask]) -> int:
    """Credits of everything that is paid or will be: failed tasks cost nothing."""
    return sum(task.credits for task in tasks if not task.fails)


def charged(tasks: Iterable[SimulatedTask], settings: SimulatorSettings, now: float) -> list[SimulatedTask]:
    """The tasks whose charge has landed by `now` (Unix seconds)."""
    return [task for task in tasks if not task.fails and now >= task.ends + settings.charge_delay]


def balance(tasks: Iterable[SimulatedTask], settings: SimulatorSettings, now: float) -> dict[str, Any]:
    """The answer of ``GET /v2/billing``."""
    left = settings.credits - sum(task.credits for task in charged(tasks, settings, now))
    return {"current_balance": round(left / CREDITS_PER_USD, 6), "currency": "USD"}


def transactions(
    tasks: Iterable[SimulatedTask], settings: SimulatorSettings, now: float, query: Mapping[str, str]
) -> dict[str, Any]:
    """The answer of ``GET /v2/billing/transactions``, newest first."""
    rows = [
        {
            "id": f"txn_{task.number:08d}",
            "created": iso(task.ends + settings.charge_delay),
            "type": "charge",
            "amount": -task.usd,
            "currency": "USD",
            "reference_id": task.id,
        }
        for task in sorted(charged(tasks, settings, now), key=lambda task: (task.ends, task.number), reverse=True)
    ]
    return _page(rows, query)


def logs(
    tasks: Iterable[SimulatedTask], settings: SimulatorSettings, now: float, query: Mapping[str, str]
) -> dict[str, Any]:
    """The answer of ``GET /v2/logs``, newest first.

    Raises
    ------
    VendorError
        400: a parameter breaks a rule.
    """
    start, end = _span(query, now)
    if query.get("status", "succeeded") not in ("succeeded", "failed"):
        raise VendorError(
            400, f"status: Invalid enum value. Expected 'succeeded' | 'failed', received '{query['status']}'"
        )
    rows = [
        _log_row(task, settings, now)
        for task in sorted(tasks, key=lambda task: (task.created, task.number), reverse=True)
        if now >= task.created + settings.log_delay and start <= task.created <= end
    ]
    for name in ("model", "status"):
        if name in query:
            rows = [row for row in rows if row[name] == query[name]]
    return _page(rows, query)


def _log_row(task: SimulatedTask, settings: SimulatorSettings, now: float) -> dict[str, Any]:
    phase = task.phase(now)
    done = bool(charged([task], settings, now))
    return {
        "created": iso(task.created),
        "status": "failed" if phase == "error" else "succeeded",  # of the request; it succeeds by being accepted
        "model": task.model,
        "cost": {"usd": task.usd if done else 0, "credits": task.credits if done else 0},
        "inference_id": task.id,
        "client_request_id": task.client_request_id,
    }


def _span(query: Mapping[str, str], now: float) -> tuple[float, float]:
    """Start and end in Unix seconds."""
    if "start" in query or "end" in query:
        if "period" in query:
            raise VendorError(400, "period: cannot be combined with start and end")
        return _moment(query, "start", 0.0), _moment(query, "end", now)
    match = PERIOD.fullmatch(query.get("period", "1h"))
    if match is None:
        raise VendorError(400, f"period: Invalid period. Expected e.g. 1h, received '{query['period']}'")
    return now - int(match[1]) * PERIOD_SECONDS[match[2]], now


def _moment(query: Mapping[str, str], name: str, default: float) -> float:
    text = query.get(name)
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))  # Python 3.10 doesn't know the Z
    except ValueError as problem:
        raise VendorError(400, f"{name}: Invalid datetime, received '{text}'") from problem
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _page(rows: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    limit = _integer(query, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    offset = _integer(query, "offset", 0, 0, None)
    more = offset + limit < len(rows)
    pagination = {"limit": limit, "offset": offset, "total": len(rows), "has_more": more}
    return {"data": rows[offset : offset + limit], "pagination": pagination}


def _integer(query: Mapping[str, str], name: str, default: int, low: int, high: int | None) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise VendorError(400, f"{name}: Expected number, received string")
    if int(text) < low:
        raise VendorError(400, f"{name}: Number must be greater than or equal to {low}")
    if high is not None and int(text) > high:
        raise VendorError(400, f"{name}: Number must be less than or equal to {high}")
    return int(text)
