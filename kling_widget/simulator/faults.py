"""Faults on demand: what shall go wrong, where, and how often. Data only; `misbehave.py` carries it out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Where = Literal["submit", "retrieve", "logs", "billing", "download"]
Kind = Literal[
    "status_code",  # answers `code`, with `retry_after` and `message` if set
    "drop_before",  # the connection breaks before the request is read
    "drop_after",  # the request is carried out, then the connection breaks without an answer
    "drop_midway",  # the connection closes in the middle of the answer's body
    "hang",  # no answer for `seconds`; then the answer if `accepted`, else the connection breaks
    "empty",  # 2xx with an empty body (the request is carried out)
    "garbage",  # 2xx with a body that is not JSON (the request is carried out)
    "slow",  # the answer comes at `bytes_per_second`
    "wrong_length",  # announces more bytes than it sends, then closes
    "no_id",  # submit: carried out, no id anywhere in the answer
    "header_id",  # submit: the id is in `x-inference-id` only
    "word",  # retrieve: `word` instead of the status, the rest of the answer as it is
    "lost",  # retrieve: 404, the task is gone
    "html",  # download: a web page with status 200
    "truncated",  # download: half of the file, with a Content-Length that says so
    "expired",  # download: 403, as if the url were too old
]
_ONLY: Mapping[str, frozenset[str]] = {
    "no_id": frozenset({"submit"}),
    "header_id": frozenset({"submit"}),
    "word": frozenset({"retrieve"}),
    "lost": frozenset({"retrieve"}),
    "html": frozenset({"download"}),
    "truncated": frozenset({"download"}),
    "expired": frozenset({"download"}),
}


@dataclass(frozen=True)
class Fault:
    """One thing that shall go wrong.

    Parameters
    ----------
    where
        The call it hits.
    kind
        What happens; see `Kind`.
    times
        How many requests it hits; None: all of them.
    after
        How many matching requests pass unharmed before.
    code, retry_after, message
        For ``status_code``: the status, the ``Retry-After`` header (seconds or a date), the error's message.
    seconds
        For ``hang``: how long there is no answer.
    accepted
        For ``status_code`` and ``hang``: whether the request is carried out all the same.
    reset
        For ``drop_before`` and ``drop_after``: a reset (RST) if true, an orderly close (FIN) if not.
    bytes_per_second
        For ``slow``.
    word
        For ``word``: the status shown.
    generation_id
        Only requests about this generation (retrieve and download).

    Raises
    ------
    ValueError
        A kind that does not exist, or not there.
    """

    where: Where
    kind: Kind
    times: int | None = 1
    after: int = 0
    code: int = 500
    retry_after: str | int | float | None = None
    message: str | None = None
    seconds: float = 60.0
    accepted: bool = False
    reset: bool = True
    bytes_per_second: float = 10_000.0
    word: str = "waiting"
    generation_id: str | None = None

    def __post_init__(self) -> None:
        if self.where not in get_args(Where):
            raise ValueError(f"where must be one of {', '.join(get_args(Where))}, not {self.where!r}")
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        if self.where not in _ONLY.get(self.kind, frozenset(get_args(Where))):
            raise ValueError(f"{self.kind!r} is not possible for {self.where!r}")
        if self.bytes_per_second <= 0:
            raise ValueError("bytes_per_second must be above 0")

    @classmethod
    def from_json(cls, data: object) -> Fault:
        """Build a fault from decoded JSON; a misspelt name raises ValueError that lists the known ones."""
        known = {item.name for item in fields(cls)}
        if not isinstance(data, dict) or not {"where", "kind"} <= set(data):
            raise ValueError('a fault is an object with at least "where" and "kind"')
        if unknown := set(data) - known:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """The fault as a JSON object; `from_json` reads it back."""
        return asdict(self)


@dataclass
class _Planned:
    fault: Fault
    skip: int
    left: int | None


class FaultPlan:
    """The faults still to come, in the order they were added. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def add(self, *faults: Fault) -> None:
        """Add faults behind those already planned."""
        with self._lock:
            self._planned += [_Planned(fault, fault.after, fault.times) for fault in faults]

    def clear(self) -> None:
        """Drop all faults: from now on everything goes well."""
        with self._lock:
            self._planned.clear()

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter([planned.fault for planned in self._planned])

    def __len__(self) -> int:
        with self._lock:
            return len(self._planned)

    def take(self, where: str, generation_id: str | None = None) -> Fault | None:
        """The fault that hits this request, used up by one; None if it goes well.

        Parameters
        ----------
        where
            The call, as in `Fault.where`.
        generation_id
            The generation the request is about, where it is about one.
        """
        with self._lock:
            for planned in self._planned:
                fault = planned.fault
                if fault.where != where or fault.generation_id not in (None, generation_id):
                    continue
                if planned.skip > 0:
                    planned.skip -= 1
                    continue
                if planned.left is not None:
                    planned.left -= 1
                    if planned.left <= 0:
                        self._planned.remove(planned)
                return fault
        return None
