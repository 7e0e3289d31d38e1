"""``Studio``: one provider and one workspace; submit, resume, list."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import background
from .account import Account
from .arrivals import Arrivals
from .credentials import ApiKey, hidden
from .databases import Database, hidden_database
from .errors import StoreError
from .leases import Leases
from .orders import Orders
from .providers import SIMULATOR
from .rules import Take, check_generation_id
from .studio_access import StudioAccess
from .workspaces import workspace_at

if TYPE_CHECKING:
    from . import polling
    from .generation import Generation
    from .generation_list import Generations
    from .ledger_row import Row
    from .money import Spending
    from .request import ImageToVideoRequest
    from .video import Video

DOWNLOADS_AT_ONCE = 16  # the first of a thousand clips shall be whole before the last one begins
SUBMISSIONS_AT_ONCE = 8  # each holds its pictures in memory, some 10 MB


class Studio(StudioAccess):
    """Everything made with one provider in one workspace.

    Parameters
    ----------
    api_key
        The key; by default it is looked for everywhere :mod:`kling_widget.credentials` names.
    base_url
        Where the API is; by default ``KLING_WIDGET_BASE_URL`` or the vendor.
    workspace
        The folder; by default ``KLING_WIDGET_WORKSPACE`` or ``./kling_videos``. Or an address that fsspec knows,
        ``s3://bucket/clips``, which needs `database`.
    database
        Where the ledger is, if not in that folder: ``postgresql+psycopg://user:password@host/database``, so that
        several machines share the work, or ``sqlite:////absolute/file``. By default ``KLING_WIDGET_DATABASE``.
    simulate
        True uses the built-in simulator. ``KLING_WIDGET_SIMULATE=1`` in the environment does so wherever no key is
        passed as an argument.
    budget
        USD that everything this workspace ever made with this provider may cost together: what was charged, and about
        what is to come for clips under way. What goes beyond is refused before it is sent. By default
        ``KLING_WIDGET_BUDGET``, or no limit.
    """

    def __init__(
        self,
        *,
        api_key: str | ApiKey | None = None,
        base_url: str | None = None,
        workspace: str | os.PathLike[str] | None = None,
        database: str | Database | None = None,
        simulate: bool = False,
        budget: float | None = None,
    ) -> None:
        api_key, database = hidden(api_key), hidden_database(database)
        self.workspace = workspace_at(workspace, database)
        super().__init__(api_key, base_url, simulate=simulate, simulator_state=self.workspace.simulator_state)
        # Weakly: what is over and nobody holds any more is in the ledger, and its poster need not fill the kernel.
        self._generations: weakref.WeakValueDictionary[str, Generation] = weakref.WeakValueDictionary()
        self.account = Account(self, budget)
        self.orders = Orders(self)
        self.leases = Leases(lambda: self.workspace.ledger, self.orders.end)
        self.arrivals = Arrivals(self)
        self._begin()
        background.in_child(self._in_child)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self.downloads = asyncio.Semaphore(DOWNLOADS_AT_ONCE)
        self.submissions = asyncio.Semaphore(SUBMISSIONS_AT_ONCE)

    def _in_child(self) -> list[object]:
        """A fork has made this process: all that is under way is under way in its parent."""
        self._begin()
        for generation in list(self._generations.values()):
            generation.leave_to_parent()
        return self.forget_connections()

    def __repr__(self) -> str:
        return f"Studio({self.provider}, {self.workspace.address!r})"

    # Submitting

    def submit(
        self,
        image: Any,
        prompt: str,
        *,
        tail_image: Any = None,
        take: Take = 1,
        send_anyway: bool = False,
        budget: float | None = None,
        **fields: Any,
    ) -> Generation:
        """Ask for a video; returns at once. The same request and take is never submitted twice.

        Parameters
        ----------
        image
            First frame: anything :meth:`kling_widget.SourceImage.load` takes.
        prompt
            Scene, subject or action.
        tail_image
            Last frame.
        take
            Which of several videos of the same request; ``"new"`` always makes another.
        send_anyway
            Send also what the model will probably not take.
        budget
            Another budget than the studio's (USD, in all), for this call.
        **fields
            The other fields of :class:`~kling_widget.ImageToVideoRequest`.

        Raises
        ------
        KlingError
            Nothing was submitted; see :mod:`kling_widget.errors`.
        """
        # Here and below, what only a submission needs: the first widget of a kernel is shown without waiting for it.
        from .prepare import prepare

        self.require_key()
        self.account.limit(budget)  # and so is what is no amount of money
        prepared = prepare(self.workspace, image, prompt, tail_image=tail_image, send_anyway=send_anyway, **fields)
        return self.orders.place_prepared(prepared, take, budget)

    # Money

    def balance(self) -> float | None:
        """What is left on the account, in USD; None where the vendor doesn't say. Asks the vendor.

        Raises
        ------
        KlingError
            It could not be asked.
        """
        self.renew()
        return background.wait(background.start(self.account.ask_balance()))

    def spending(self) -> Spending:
        """What was spent here, by day and by notebook, in USD. Needs no key and asks nobody."""
        return self.account.spending()

    async def learn(self, row: Row, **facts: Any) -> None:
        """Take in what was found out about a generation (its cost), also in the file beside its video."""
        known = self._generations.get(row.client_request_id)
        if known is not None:
            await known.learn(**facts)
        else:
            await background.in_thread(self.workspace.ledger.update, row.client_request_id, **facts)
            self.account.learned()
        row = await background.in_thread(self.reread, row)
        if await background.in_thread(self.workspace.has_video, row):
            await background.in_thread(self.workspace.keep_metadata, self.video_target(row), row)

    # Finding again

    def held(self, request: ImageToVideoRequest, take: int = 1) -> Row | None:
        """The row of this request and take, if it was asked for before and not refused."""
        return self.workspace.ledger.holder(self.provider, request.content_hash(), take) if self.has_ledger else None

    def go_on(self, row: Row) -> Generation:
        """The generation of a row, watched unless its video is there; sent only if its order was not sent yet.

        Blocks while a store is asked for a video that should be there.
        """
        self._forget_if_gone(row, lambda row: self.workspace.has_video(row, look=True))
        generation = self.generation_of(row)
        if generation.video is None:
            _ = self.client  # that there is no key is said now
            generation.watch()
        return generation

    def generations(self, limit: int | None = None) -> Generations:
        """Everything ever submitted here, or the latest `limit` of it, newest first."""
        from .generation_list import NOTHING, SIMULATED_ONLY, Generations

        ledger = self.workspace.ledger
        rows = ledger.rows(limit=limit, provider=self.provider)
        tried = not rows and not self.simulated and ledger.rows(limit=1, provider=SIMULATOR)
        return Generations(map(self.generation_of, rows), nothing=SIMULATED_ONLY if tried else NOTHING)

    def newest(self, limit: int) -> list[Generation]:
        """The latest `limit`, newest first, whichever process asked for them; what is under way is watched."""
        rows = self.workspace.ledger.rows(limit=limit, provider=self.provider) if self.has_ledger else []
        with self._lock:
            strangers = {row.client_request_id for row in rows} - set(self._generations)
        generations = [self.generation_of(row) for row in rows]
        for generation in generations:
            if generation.key in strangers and generation.row.unfinished:  # one that is known may have been stopped
                generation.watch()
        return generations

    def take_up(self) -> list[Generation]:
        """Go on with everything under way, without asking and without paying; oldest first."""
        rows = [row for row in self.workspace.ledger.unfinished() if row.provider == self.provider]
        generations = [self.generation_of(row) for row in rows]
        for generation in generations:
            generation.watch()
        background.go(self.account.settle())  # what was made before, and not yet on the bill then
        return generations

    def resume(self, generation_id: str) -> Generation:
        """Go on with a generation by the vendor's id (or our key), also one made elsewhere. Costs nothing.

        Raises
        ------
        MissingKeyError
            No key anywhere, and the video is not here yet.
        """
        row = None
        if self.has_ledger:
            ledger = self.workspace.ledger
            row = ledger.by_generation_id(generation_id, self.provider) or ledger.get(generation_id)
        if row is None:
            self.require_key()
            check_generation_id(generation_id)
            from . import new_rows

            row, _ = self.workspace.ledger.admit(new_rows.made_elsewhere(generation_id, self.provider))
        self._forget_if_gone(row, lambda row: self.workspace.bring(self.video_target(row)))
        if self.generation_of(row).video is None:
            self.require_key()
        return self.go_on(row)

    def _forget_if_gone(self, row: Row, is_there: Callable[[Row], bool]) -> None:
        """A video that somebody took away is fetched anew. A store is asked for what is wanted now, not for lists."""
        generation = self.generation_of(row)
        with contextlib.suppress(StoreError):  # nobody can tell now
            if generation.video is not None and not is_there(generation.row):
                generation.video = None

    def generation_of(self, row: Row) -> Generation:
        """The generation of a row as it stands; nothing begins."""
        # Only now, for it brings SQLAlchemy and httpx along: half of what the first widget of a kernel would wait for.
        from .generation import Generation

        with self._lock:
            known = self._generations.get(row.client_request_id)
            if known is None:
                known = self._generations[row.client_request_id] = Generation(self, row)
                if row.saved is not None and row.video_file and self.workspace.has_video(row):
                    known.finish(self.video_of(row))
            return known

    # What a generation needs

    def reread(self, row: Row) -> Row:
        """The row as the ledger has it now."""
        return self.workspace.ledger.get(row.client_request_id) or row

    def expectation(self, row: Row) -> polling.Expectation:
        """How long it should take, from what this workspace has seen."""
        return self.account.expect(row.request.get("duration"), row.time_factor or self.time_factor)

    def estimate(self, duration: int | None) -> str:
        """What the next one costs and takes, in a few words."""
        return self.account.line(duration)

    @property
    def has_ledger(self) -> bool:
        """Whether anything was ever submitted here."""
        return self.workspace.has_ledger

    def video_target(self, row: Row) -> Path:
        """Where its video goes."""
        return self.workspace.video_target(row)

    def video_of(self, row: Row) -> Video:
        """The saved video with what it was made from, which is also written beside it."""
        from .video import Video

        path = self.video_target(row)
        stored = self.workspace.stored(path)
        video = Video(path, url=row.video_url, metadata=row.metadata(), stored=stored)
        if stored is None and not path.with_suffix(".json").exists():
            self.workspace.keep_metadata(path, row)
        return video
