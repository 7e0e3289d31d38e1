"""Where the rows of a batch are made: what a batch asks of such a place, and the place that is this process."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from . import background
from .errors import KlingError
from .generation import Generation
from .prepare import Draft, draft, keep
from .rules import checked_take

if TYPE_CHECKING:
    from pathlib import Path

    from .batch_rows import BatchRow
    from .ledger import Row
    from .studio import Studio


class NothingThereError(KlingError):
    """There is no generation of a row yet, and no new one is wanted any more."""


class File(Protocol):
    """A saved video, as far as a batch needs to know it."""

    @property
    def place(self) -> Path:
        """Its file on this machine, which may be fetched yet."""

    @property
    def address(self) -> str:
        """Where it is kept."""


class Making(Protocol):
    """A row that is being made, by whichever process. Await its end; it raises why there is no video."""

    @property
    def row(self) -> Row | None:
        """The ledger's row as it was last heard of; None where nothing was asked for."""

    @property
    def status(self) -> str:
        """As of :class:`~kling_widget.generation.Generation`."""

    @property
    def simulated(self) -> bool:
        """Whether a simulator makes it."""

    @property
    def video(self) -> File | None:
        """The saved video."""

    def __await__(self) -> Generator[Any, None, Any]: ...


class Maker(Protocol):
    """A place where rows are made. On the background loop."""

    async def open(self) -> None:
        """See whether rows can be made there; raises `KlingError` before anything is sent."""

    async def begin(self, number: int, row: BatchRow, *, only_there: bool) -> Making:
        """Find the generation of a row, or submit it; in the order in which this is called where a budget is spent.

        With `only_there` nothing new is submitted: :class:`NothingThereError`, now or when it is awaited.
        """

    async def again(self, making: Making) -> Making:
        """Submit once more what was refused."""

    def halt(self) -> None:
        """Submit nothing more."""

    async def close(self) -> None:
        """Nothing more will be asked for."""

    def note(self) -> str:
        """What all of it waits for, in a few words; empty else."""


def found(studio: Studio, fields: Mapping[str, Any], take: Any) -> tuple[Draft, Row | None]:
    """What a row asks for, and the ledger's row of it if it was asked for before. Blocks while pictures are read.

    Raises
    ------
    KlingError
        It can't be sent as it is.
    """
    given = {name: value for name, value in fields.items() if name not in ("image", "prompt", "take")}
    take = checked_take(take)
    asked = draft(fields.get("image"), fields.get("prompt", ""), **given)
    return asked, None if take == "new" else studio.held(asked.request, take)


class Here:
    """This process makes the rows.

    Parameters
    ----------
    studio
        Ledger and provider.
    budget, send_anyway
        As of :meth:`kling_widget.Studio.submit`.
    """

    def __init__(self, studio: Studio, *, budget: float | None, send_anyway: bool) -> None:
        self._studio = studio
        self._budget = budget
        self._send_anyway = send_anyway

    async def open(self) -> None:
        """Nothing is to be seen to."""

    async def begin(self, number: int, row: BatchRow, *, only_there: bool) -> Making:
        """Find the generation of a row, or submit it."""
        return await background.in_thread(self._ask_for, row, only_there)

    def _ask_for(self, row: BatchRow, only_there: bool) -> Making:
        """Blocks while the pictures of a row are read and encoded."""
        take = row.fields.get("take", 1)
        asked, held = found(self._studio, row.fields, take)
        if held is not None:
            return self._studio.go_on(held)
        if only_there:
            raise NothingThereError("There is no such video yet.")
        prepared = keep(self._studio.workspace, asked, send_anyway=self._send_anyway)
        return self._studio.orders.place_prepared(prepared, take, self._budget, free=True)

    async def again(self, making: Making) -> Making:
        """Submit once more what was refused, with the take it gave back."""
        assert isinstance(making, Generation)
        return await background.in_thread(
            partial(self._studio.orders.place_again, making, self._budget, new_take=False)
        )

    def halt(self) -> None:
        """Whoever asks here, asks no more."""

    async def close(self) -> None:
        """What is under way goes on."""

    def note(self) -> str:
        """It waits for nobody else."""
        return ""
