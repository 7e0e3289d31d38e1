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


NOT_CHARGED = "Nothing was charged."


def error_of(response: http.Response, *, submission: bool = False) -> KlingError:
    """The named error of an answer that is not 2xx.

    Parameters
    ----------
    response
        The answer.
    submission
        Whether it refuses a submission, which is never charged then. A question may be about what was paid for.
    """
    status, said = response.status_code, vendor_message(response.content)
    free = f"{NOT_CHARGED} " if submission else ""
    if status == 401:
        return AuthenticationError(
            "The API key was refused (401).", vendor_message=said, hint=f"{free}Check or replace the key."
        )
    if status == 403:
        what = "use this model" if submission else "ask for this"
        return InsufficientCreditsError(
            f"The account is out of credits or may not {what} (403).",
            vendor_message=said,
            hint=f"{free}Top up the account, then try again." if submission else "Check the account and its key.",
        )
    if status == 429:
        error = RateLimitError(
            "Too many requests at once (429).", vendor_message=said, hint=f"{free}Try again in a minute."
        )
        error.retry_after = retry.parse_retry_after(response.headers.get("retry-after"))
        return error
    if 300 <= status < 500:
        return InvalidRequestError(
            f"The server did not take the request ({status}).", vendor_message=said, hint=free.strip()
        )
    return ServerError(f"The server has a problem ({status}).", vendor_message=said, hint=f"{free}Try again later.")


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


def unreachable(base_url: str, error: Exception, because: str = "", *, submission: bool = False) -> ServerError:
    """The error for a connection that was not made, or broke on a question.

    Parameters
    ----------
    base_url
        Of the server.
    error, because
        What was raised; why, where more is known of it.
    submission
        Whether it is about a submission, which then never left.
    """
    host, free = urlsplit(base_url).netloc, f"{NOT_CHARGED} " if submission else ""
    if because:
        return ServerError(
            f"The server {host} cannot be reached: {because}.",
            hint=f"{free}In a company's network, HTTPS_PROXY and SSL_CERT_FILE must name what it uses.",
        )
    answers_late = "Timeout" in type(error).__name__ and "Connect" not in type(error).__name__
    return ServerError(
        f"The server {host} does not answer." if answers_late else f"The server {host} cannot be reached.",
        hint=f"{free}Check the network, then try again.",
    )


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object of a body; empty where there is none to be read."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
