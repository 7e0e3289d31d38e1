"""``Row``: one generation as the ledger knows it, and as the record that is kept in and beside its video."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

import msgspec

from .providers import SIMULATOR

UNDER_WAY = ("submitting", "queued", "generating")  # goes on by itself in the next kernel
FREE_TAKE = ("rejected", "error")  # never charged: the same request and take may be submitted again
COLUMNS_OF_TRUTH = ("client_request_id", "provider", "request_hash", "created")  # written once, never changed
NOT_RECORDED = ("lease_owner", "lease_until", "video_url")  # of the moment; a signed URL is a way in, and expires

_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")  # the vendor's rule for X-Client-Request-Id
_LATEST = 32_503_680_000.0  # Unix seconds, the year 3000: what people's clocks and calendars can show


class LeaseLostError(Exception):
    """Another process goes on with this generation now."""


class NoSuchRowError(LookupError):
    """The ledger does not have this generation: its workspace was deleted or moved, and a new one made."""


@dataclass(frozen=True)
class Row:
    """One generation, as the ledger knows it. Times are Unix seconds (UTC).

    Attributes
    ----------
    client_request_id
        Ours; sent with the submission.
    provider
        The API's base URL, or ``simulator``.
    request_hash, take
        What was asked for, and the how-manieth of it.
    request
        The request's fields; pictures appear as ``sha256:<hex>`` or a URL, never as bytes.
    pictures
        By request field: ``{"name", "sha256", "url"}``.
    took
        Seconds from acceptance to ready, halfway between the last "not yet" and the first "ready"; None where it was
        not watched all the while. What is expected of later ones is learned from it.
    time_factor
        How much faster than the vendor the simulator ran that made it; None when it was the vendor.
    notebook
        File name of the notebook or script that asked for it, where known.
    lease_owner, lease_until
        Which process goes on with it, and until when unless it renews that; not what the generation is, so two rows
        that differ in nothing else are equal.
    """

    client_request_id: str
    provider: str
    request_hash: str
    take: int = 1
    status: str = "submitting"
    generation_id: str | None = None
    request: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    accepted: float | None = None
    completed: float | None = None
    saved: float | None = None
    took: float | None = None
    vendor_status: str | None = None
    video_url: str | None = None
    video_file: str | None = None
    error_name: str | None = None
    error_message: str | None = None
    credits: float | None = None
    usd: float | None = None
    time_factor: float | None = None
    notebook: str | None = None
    lease_owner: str | None = field(default=None, compare=False)
    lease_until: float | None = field(default=None, compare=False)

    @property
    def unfinished(self) -> bool:
        """Whether a new kernel goes on with it: under way, unknown, or made but not saved."""
        made = self.status == "completed"
        return self.status in (*UNDER_WAY, "unknown") or (made and self.saved is None)

    @property
    def simulated(self) -> bool:
        """Whether the built-in simulator makes it, in process or as a server."""
        return self.provider == SIMULATOR or self.time_factor is not None

    def with_(self, **changes: Any) -> Row:
        """A copy with some columns changed."""
        return replace(self, **changes)

    def metadata(self) -> dict[str, Any]:
        """What a video was made from and what it cost, for its caption."""
        return {
            **self.request,
            "take": self.take,
            "generation_id": self.generation_id,
            "client_request_id": self.client_request_id,
            "provider": self.provider,
            "simulated": self.simulated,
            "pictures": self.pictures,
            "created": self.created,
            "completed": self.completed,
            "credits": self.credits,
            "usd": self.usd,
            "notebook": self.notebook,
        }

    def record(self) -> dict[str, Any]:
        """What is kept in a video and beside it: `metadata` for people, and under ``ledger`` the row itself."""
        row = {name: getattr(self, name) for name in ROW_FIELDS if name not in NOT_RECORDED}
        return {**self.metadata(), "ledger": row}


@dataclass
class Asked:
    """What was asked of one provider and not refused.

    Attributes
    ----------
    statuses
        By request hash and take.
    prompts
        Of these requests.
    """

    statuses: dict[tuple[str, int], str] = field(default_factory=dict)
    prompts: set[str] = field(default_factory=set)


ROW_FIELDS = tuple(f.name for f in fields(Row))


class _Request(msgspec.Struct):
    """The fields of a request that we read again; the others are only kept."""

    prompt: str | None = None
    negative_prompt: str | None = None
    duration: Literal[5, 10] | None = None
    cfg_scale: float | None = None


class _Picture(msgspec.Struct):
    name: str
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")] | None
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://")] | None


class _Record(msgspec.Struct):
    ledger: Row


def row_of(record: bytes) -> Row | None:
    """The row in a record, or None: anybody may have written the file it comes from."""
    try:
        row = msgspec.json.decode(record, type=_Record).ledger
        msgspec.convert(row.request, _Request)
        msgspec.convert(row.pictures, dict[str, _Picture])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return row.with_(**dict.fromkeys(NOT_RECORDED)) if _plausible(row) else None


def _plausible(row: Row) -> bool:
    """Whether the ledger itself could have written it."""
    times = (row.created, row.accepted, row.completed, row.saved, row.took)
    amounts = (row.credits, row.usd, row.time_factor)
    lengths = {row.provider: 255, row.request_hash: 64, row.status: 16, row.generation_id: 256, row.vendor_status: 64}
    return (
        _CLIENT_REQUEST_ID.match(row.client_request_id) is not None
        and 1 <= row.take < 1 << 31
        and all(text is None or (0 < len(text) <= most and text.isprintable()) for text, most in lengths.items())
        and all(at is None or 0 <= at < _LATEST for at in times)
        and all(amount is None or (math.isfinite(amount) and amount >= 0) for amount in amounts)
    )
