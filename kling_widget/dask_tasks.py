"""What travels between a batch and the Dask workers that make its rows. No row's task holds the key, or a picture.

A task's arguments stay in the scheduler until it is over, which takes minutes, and can be looked at there. So a worker
process is told once, over Dask's own connections, with which key and where it works (`Handover`); a row's task
(`Errand`) names that by the batch's token. A picture that is no file is kept in the workspace before its row is handed
in, and travels by its SHA-256.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .credentials import ApiKey
from .databases import Database

if TYPE_CHECKING:
    from .ledger_row import Row
    from .request import ImageToVideoRequest
    from .rules import Take


class Secrets:
    """The key and the database's password, for workers. Shown nowhere; pickled on purpose.

    Parameters
    ----------
    api_key
        None where the simulator makes the videos.
    database
        None where the ledger is a file in the workspace.
    """

    __slots__ = ("api_key", "database")

    def __init__(self, api_key: ApiKey | None, database: Database | None) -> None:
        self.api_key, self.database = api_key, database  # both still hide themselves

    def __repr__(self) -> str:
        return "Secrets(hidden)"

    def __reduce__(self) -> tuple[Callable[..., Secrets], tuple[str | None, str | None]]:
        return _unpacked, tuple(None if each is None else each.reveal() for each in (self.api_key, self.database))  # type: ignore[return-value]


def _unpacked(key: str | None, database: str | None) -> Secrets:
    return Secrets(None if key is None else ApiKey.unchecked(key), None if database is None else Database(database))


@dataclass(frozen=True)
class Handover:
    """What a worker's process must know before it can make a row.

    Attributes
    ----------
    batch
        Token of the batch.
    version
        Of kling_widget, where the batch was called: rows of the ledger are of one version.
    base_url, workspace, simulate
        As of :class:`kling_widget.Studio`.
    secrets
        The key, and where the ledger is.
    mark
        A file in the workspace: who sees it has the same one.
    machine
        The machine that the ledger's file is on; None where any may use it.
    called_in
        The process in which the batch was called.
    processes
        How many processes share the budget of requests.
    halted
        Whether nothing more is to be submitted.
    """

    batch: str
    version: str
    base_url: str
    workspace: str
    simulate: bool
    secrets: Secrets
    mark: str
    machine: str | None
    called_in: str
    processes: int
    halted: bool


@dataclass(frozen=True, repr=False)
class Errand:
    """One row for a worker, small whatever its pictures are.

    Attributes
    ----------
    batch, number
        Token of the batch; which row, from 0.
    key
        Client request id of the submission, should there be one. Whichever worker runs this a second time finds by it
        what the first one did.
    take, budget, send_anyway
        As of :meth:`kling_widget.Studio.submit`; the budget is the one that holds.
    notebook
        Where the batch was called.
    fields
        The fields of a row whose pictures are files or addresses; the worker reads them.
    request, pictures
        Of any other row: what is asked for, and the facts of its pictures, which are in the workspace.
    """

    batch: str
    number: int
    key: str
    take: Take
    budget: float | None
    send_anyway: bool
    notebook: str | None
    fields: Mapping[str, Any] | None = None
    request: ImageToVideoRequest | None = None
    pictures: Mapping[str, Mapping[str, Any]] | None = None

    def once_more(self, key: str) -> Errand:
        """The same as another submission."""
        return replace(self, key=key)

    def __repr__(self) -> str:  # Dask shows it on its pages and in its logs
        return f"Errand(row {self.number})"


@dataclass(frozen=True)
class Outcome:
    """What became of a row on a worker.

    Attributes
    ----------
    row
        The ledger's; None where nothing was asked for.
    status
        As of :class:`~kling_widget.Generation`.
    error
        Why there is no video.
    """

    row: Row | None
    status: str
    error: Exception | None = None
