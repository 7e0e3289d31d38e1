"""The shape of the vendor's answers: JSON, its error body, its tracing headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response

# aimlapi.md §2: "1 to 128 of A-Z a-z 0-9 . _ : -; anything else is silently dropped"
CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class VendorError(Exception):
    """An error the vendor answers with.

    Parameters
    ----------
    status
        HTTP status code.
    message
        The vendor's sentence.
    headers
        Further headers of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def client_request_id(request: Request) -> str | None:
    """The caller's tracing id, or None where the vendor would drop it."""
    value = request.headers.get("x-client-request-id", "")
    return value if CLIENT_REQUEST_ID.fullmatch(value) else None


def answer(request: Request, status: int, body: Any, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A JSON answer with the tracing headers."""
    from starlette.responses import JSONResponse

    response = JSONResponse(body, status, dict(headers or {}))
    if traced := client_request_id(request):
        response.headers["x-client-request-id"] = traced
    return response


def error(request: Request, problem: VendorError, *, now: float, request_id: str) -> JSONResponse:
    """The vendor's error body (aimlapi.md §2).

    Parameters
    ----------
    request
        What was asked.
    problem
        Status, sentence and headers.
    now
        Unix seconds.
    request_id
        The vendor's own id of the request.
    """
    body = {
        "message": problem.message,
        "path": request.url.path,
        "requestId": request_id,
        "statusCode": problem.status,
        "timestamp": iso(now),
    }
    return answer(request, problem.status, body, problem.headers)


def storage_error(code: str, message: str, status: int = 403) -> Response:
    """An error of the file storage behind the video urls, worded as S3 words it."""
    from starlette.responses import Response

    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(body, status, media_type="application/xml")


def iso(moment: float) -> str:
    """Unix seconds as ISO 8601 in UTC with milliseconds, e.g. ``2026-08-21T10:00:00.000Z``."""
    text = datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
