"""Everything that can go wrong, as one tree.

KlingError
├── MissingKeyError             no API key anywhere
├── InvalidRequestError         refused before sending, or 400 (and 404, 422)
├── ImageError                  a picture that cannot be read or used
├── BudgetExceededError         refused before sending: it would cost more than allowed
├── NotConfirmedError           a batch was not confirmed: answered no, or nobody there to ask
├── AuthenticationError         401
├── InsufficientCreditsError    403
├── RateLimitError              429 for good
├── ServerError                 5xx on a call that costs nothing, or the server cannot be reached
├── SubmissionUnknownError      the submission may have been accepted
├── StoppedWatchingError        we stopped asking; the vendor goes on (also a TimeoutError)
├── GenerationFailedError       the vendor reports status ``error``
├── ClusterError                a Dask cluster cannot be used for this, or was lost
├── DownloadError               the video is made but could not be saved
├── StoreError                  a workspace at an address (``s3://…``) cannot be read or written
└── ExportError                 a notebook could not be made into a page
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .generation import Generation
    from .video import Video


class KlingError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message
        One sentence for people: what happened.
    hint
        One sentence: what to do next.
    vendor_message
        What the vendor said, word for word, if it said anything.
    generation_id
        The vendor's id of the generation, where there is one.
    may_have_cost
        Whether money may have moved because of the failed call.
    field
        The request field it is about, by its API name, where it is about one.
    advice
        True where the vendor documents no such limit: ``send_anyway=True`` sends it all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        vendor_message: str | None = None,
        generation_id: str | None = None,
        may_have_cost: bool = False,
        field: str | None = None,
        advice: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.vendor_message = vendor_message
        self.generation_id = generation_id
        self.may_have_cost = may_have_cost
        self.field = field
        self.advice = advice

    def __str__(self) -> str:
        parts = [self.message]
        if self.vendor_message and self.vendor_message.rstrip(".") not in self.message:
            said = self.vendor_message.rstrip()
            parts.append(f"The vendor said: {said}" + ("" if said.endswith((".", "!", "?", "…")) else "."))
        if self.hint:
            parts.append(self.hint)
        if self.generation_id and self.generation_id not in self.message:
            parts.append(f"Generation id: {self.generation_id}")
        return " ".join(parts)


class MissingKeyError(KlingError):
    """No API key was found in any of the places it is looked for."""


class InvalidRequestError(KlingError):
    """The request breaks a rule: found before sending, or answered with 400, 404 or 422."""


class ImageError(KlingError):
    """A picture cannot be read, is too large to decode, or is outside what the model takes."""


class BudgetExceededError(KlingError):
    """Refused before sending: the estimate is above the budget (USD)."""


class NotConfirmedError(KlingError):
    """A batch would cost money, and nobody said that this is wanted. Nothing was submitted."""


class AuthenticationError(KlingError):
    """The key was refused (401)."""


class InsufficientCreditsError(KlingError):
    """Out of credits, or the key may not use this model (403)."""


class RateLimitError(KlingError):
    """Too many requests (429), also after waiting and asking again.

    Attributes
    ----------
    retry_after
        Seconds the vendor asked to wait, or None.
    """

    retry_after: float | None = None


class ServerError(KlingError):
    """The server cannot be reached, or answered 5xx to a call that costs nothing."""


class SubmissionUnknownError(KlingError):
    """The submission may have been accepted, and paid; it is never sent again by itself.

    Attributes
    ----------
    client_request_id
        What the submission was sent with; the vendor's log can be searched for it.
    generation
        The generation it is about, where it came from `submit` or `generate`.
    """

    client_request_id: str | None = None
    generation: Generation | None = None

    def resolve(self, timeout: float | None = None) -> Video:
        """Look the submission up in the vendor's log again; if it was accepted, wait for its video.

        Parameters
        ----------
        timeout
            Seconds to wait at most.

        Raises
        ------
        SubmissionUnknownError
            It is still not to be found.
        """
        if self.generation is None:
            raise self
        self.generation.watch()
        return self.generation.wait(timeout)


class StoppedWatchingError(KlingError, TimeoutError):
    """We stopped asking, by a deadline or because the person said so. The vendor goes on; nothing is lost."""


class ClusterError(KlingError):
    """A Dask cluster cannot make these videos, or it was lost while it did. What was accepted goes on at the vendor."""


class GenerationFailedError(KlingError):
    """The vendor accepted the generation and could not make it (status ``error``)."""


class DownloadError(KlingError):
    """The video exists at the vendor but could not be saved. Nothing is lost: ``resume(id)`` fetches it."""


class StoreError(KlingError):
    """A workspace or picture at an address (``s3://…``) cannot be read or written.

    Attributes
    ----------
    passing
        Whether it may work a little later: the network, a busy server. Not where access is denied.
    """

    passing = False


class ExportError(KlingError):
    """A notebook could not be made into a page: nothing was written, and nothing in it has changed."""
