"""From an HTTP answer to a named error, or to the JSON it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from . import retry
from .errors import (
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    KlingError,
    RateLimitError,
    ServerError,
    SubmissionUnknownError,
)
from .task import vendor_message

if TYPE_CHECKING:
    import httpx as http


def error_of(response: http.Response) -> KlingError:
    """The named error of an answer that is not 2xx."""
    status, said = response.status_code, vendor_message(response.content)
    if status == 401:
        return AuthenticationError(
            "The API key was refused (401).", vendor_message=said, hint="Nothing was charged. Check or replace the key."
        )
    if status == 403:
        return InsufficientCreditsError(
            "The account is out of credits or may not use this model (403).",
            vendor_message=said,
            hint="Nothing was charged. Top up the account, then try again.",
        )
    if status == 429:
        error = RateLimitError(
            "Too many requests at once (429).", vendor_message=said, hint="Nothing was charged. Try again in a minute."
        )
        error.retry_after = retry.parse_retry_after(response.headers.get("retry-after"))
        return error
    if 300 <= status < 500:
        return InvalidRequestError(
            f"The server did not take the request ({status}).", vendor_message=said, hint="Nothing was charged."
        )
    return ServerError(
        f"The server has a problem ({status}).", vendor_message=said, hint="Nothing was charged. Try again later."
    )


def what_came(response: http.Response) -> str:
    """Why an answer leaves it open whether the submission was accepted, in words."""
    if response.is_success:
        return "the answer held no id"
    said = vendor_message(response.content)
    return f"the server answered {response.status_code}" + (f", {said!r}" if said else "")


def unknown(reference: str, because: str) -> SubmissionUnknownError:
    """The error for a submission that may have arrived."""
    error = SubmissionUnknownError(
        f"The submission may have been accepted: {because}.",
        hint="It is not sent again by itself, since that could cost twice. Check again in a few minutes.",
        may_have_cost=True,
    )
    error.client_request_id = reference
    return error


def unreachable(base_url: str, error: Exception, because: str = "") -> ServerError:
    """The error for a connection that was not made or broke on a call that costs nothing."""
    host = urlsplit(base_url).netloc
    if because:
        return ServerError(
            f"The server {host} cannot be reached: {because}.",
            hint="Nothing was charged. In a company's network, HTTPS_PROXY and SSL_CERT_FILE must name what it uses.",
        )
    answers_late = "Timeout" in type(error).__name__ and "Connect" not in type(error).__name__
    return ServerError(
        f"The server {host} does not answer." if answers_late else f"The server {host} cannot be reached.",
        hint="Nothing was charged. Check the network, then try again.",
    )


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object of a body; empty where there is none to be read."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
