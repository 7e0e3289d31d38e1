"""What became of a row of a batch, light enough to be kept for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch_makers import Making
    from .batch_rows import BatchRow
    from .ledger import Row
    from .studio import Studio
    from .video import Video


@dataclass(frozen=True)
class Result:
    """What became of one row.

    Attributes
    ----------
    row
        Which, from 0.
    fields
        What it asked for; pictures by path or name.
    kept
        The columns that were carried along.
    status
        A generation's last status; ``invalid`` for a row that could not be sent, ``left`` for one that was not sent
        because the budget was used up or the account refused.
    key, generation_id
        Our client request id and the vendor's id, where there are any.
    place
        Where the saved video is on this machine, or goes when it is fetched; None if there is none.
    address
        Where it is kept: its path, or ``s3://…`` in a workspace at an address; None if there is none.
    seconds
        From asking to the saved video.
    simulated
        Whether the built-in simulator made it, or was asked to.
    error
        Why there is no video, or None.
    """

    row: int
    fields: dict[str, Any]
    kept: dict[str, Any]
    status: str
    key: str | None = None
    generation_id: str | None = None
    place: Path | None = None
    address: str | None = None
    seconds: float | None = None
    simulated: bool = False
    error: BaseException | None = None
    _usd: float | None = field(default=None, repr=False)
    _studio: Studio | None = field(default=None, repr=False, compare=False)

    @property
    def failed(self) -> bool:
        """Whether it was tried and there is no video."""
        return self.error is not None and self.status != "left"

    @property
    def path(self) -> Path | None:
        """The saved video's file, or None. In a workspace at an address it is fetched when this is asked for.

        Raises
        ------
        DownloadError
            It cannot be fetched.
        """
        if self.place is None or self.address == str(self.place):
            return self.place
        video = self.video
        return None if video is None else video.path

    @property
    def video(self) -> Video | None:
        """The saved video; read anew each time, so that a thousand results hold no posters."""
        row = self._ledger_row()
        return self._studio.video_of(row) if self._studio and row and self.place is not None else None

    @property
    def usd(self) -> float | None:
        """What it cost in USD, as far as that is known by now: a charge may come minutes after the video."""
        if self._usd is not None:
            return self._usd
        row = self._ledger_row()
        return row.usd if row is not None else None

    def _ledger_row(self) -> Row | None:
        if self._studio is None or self.key is None:
            return None
        return self._studio.workspace.ledger.get(self.key)

    def to_dict(self) -> dict[str, Any]:
        """One row of a table: the number, the fields, what was carried along, and what became of it."""
        return {
            "row": self.row,
            **self.fields,
            **self.kept,
            "status": self.status,
            "video": self.address,
            "generation_id": self.generation_id,
            "seconds": self.seconds,
            "usd": self.usd,
            "error": None if self.error is None else str(self.error),
        }


def result_of(
    number: int,
    row: BatchRow,
    generation: Making | None,
    error: BaseException | None,
    studio: Studio,
    *,
    left: bool,
) -> Result:
    """The result of a row; `generation` is None where nothing was ever submitted, `left` says whether on purpose."""
    for each in _chain(error):
        each.__traceback__ = None  # its frames hold the pictures
    if generation is None or generation.row is None:
        return Result(number, row.fields, row.kept, "left" if left else "invalid", error=error)
    known = generation.row
    return Result(
        *(number, row.fields, row.kept, generation.status, known.client_request_id, known.generation_id),
        place=generation.video.place if generation.video is not None else None,
        address=generation.video.address if generation.video is not None else None,
        seconds=round(known.saved - known.created, 3) if known.saved is not None else None,
        simulated=generation.simulated,
        error=error,
        _usd=known.usd,
        _studio=studio,
    )


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
