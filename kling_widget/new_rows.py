"""The ledger's rows of what is about to be asked for, before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from .ledger_row import Row
from .notebook_files import notebook_name
from .request import ImageToVideoRequest, new_client_request_id
from .rules import Take


def asked_for(
    request: ImageToVideoRequest,
    pictures: Mapping[str, Any],
    take: Take,
    *,
    provider: str,
    time_factor: float | None,
    client_request_id: str | None = None,
    notebook: str | None = None,
) -> Row:
    """A request's row.

    Parameters
    ----------
    request, pictures, take, provider, time_factor
        As of :class:`Row`; the take ``"new"`` is the first until the ledger knows better.
    client_request_id
        The submission's own name, by default a new one.
    notebook
        Where it is asked for; by default in this process.
    """
    return Row(
        client_request_id=client_request_id or new_client_request_id(),
        provider=provider,
        request_hash=request.content_hash(),
        take=1 if take == "new" else take,
        request=msgspec.to_builtins(request.body()),
        pictures=dict(pictures),
        time_factor=time_factor,
        notebook=notebook or notebook_name(),
    )


def asked_for_again(earlier: Row) -> Row:
    """The row of the same request as another submission."""
    return Row(
        client_request_id=new_client_request_id(),
        provider=earlier.provider,
        request_hash=earlier.request_hash,
        take=earlier.take,
        request=earlier.request,
        pictures=earlier.pictures,
        time_factor=earlier.time_factor,
        notebook=notebook_name(),
    )


def made_elsewhere(generation_id: str, provider: str) -> Row:
    """The row of a generation of which only the vendor's id is known."""
    return Row(
        client_request_id=new_client_request_id(),
        provider=provider,
        request_hash=f"resumed:{hashlib.sha256(generation_id.encode()).hexdigest()[:56]}",
        status="queued",
        generation_id=generation_id,
    )
