"""``Cluster``: the workers of a batch: who they are, what is asked of them, and what is heard from them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from . import __version__, background, dask_places, dask_worker
from .backpressure import Turnstile, Window
from .dask_client import DaskClient, WorkersDiedError
from .dask_tasks import Errand, Handover, Outcome, Secrets
from .errors import ClusterError
from .leases import machine_name, process_name

if TYPE_CHECKING:
    from distributed import Client

    from .studio import Studio

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks at which workers there are
ANSWER = 15.0  # seconds; who stands still is not waited for longer before a batch begins. Dask gives it up after 300
HANDED_IN = 5  # times a row is handed in before it is given up; each time Dask tries it on 4 workers (allowed-failures)
QUIET = 1.0  # seconds in which refusals (429) heard from workers are one, as they are for a `Pacer`

# Of the standard library: it can be asked of a worker that has no kling_widget.
_VERSION = (importlib.metadata.version, "kling-widget")


class Cluster:
    """The workers of one batch. On the background loop.

    Parameters
    ----------
    client
        A synchronous or asynchronous client.
    studio
        What the workers shall work for.
    on_begun
        Called with the number of a row, and the client request id of its generation if there is one, when the row is
        in the ledger or can't be.
    on_status
        Called with the number of a row and its status.
    """

    def __init__(
        self,
        client: Client,
        studio: Studio,
        *,
        on_begun: Callable[[int, str | None], object],
        on_status: Callable[[int, str], object],
    ) -> None:
        self.batch = uuid.uuid4().hex[:12]
        self.room = Turnstile(Window(1))  # rows that are on their way to a worker, or being read there
        self.workers = 0
        self._client, self._studio = DaskClient(client), studio
        self._on_begun, self._on_status = on_begun, on_status
        self._processes: dict[str, str] = {}  # by the worker's address
        self._introducing: set[str] = set()
        self._sharing: set[str] = set()  # processes, when they were last told how many share the budget of requests
        self._halted = False
        self._refused_at = float("-inf")
        self._over = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.broken: ClusterError | None = None

    @property
    def is_connecting(self) -> bool:
        """Whether the line to the scheduler broke, and Dask makes it anew."""
        return self._client.status == "connecting"

    # Before

    async def check(self) -> None:
        """See whether the workers there are can make rows.

        Raises
        ------
        ClusterError
            There is no connection, or a worker has not what it takes. Nothing was sent.
        """
        if self._client.status != "running":
            state = {"newly-created": "has not been started: await it first"}.get(self._client.status, "is closed")
            raise ClusterError(f"The Dask client {state}.", hint="Nothing was submitted.")
        try:
            scheduler = await self._client.on_scheduler(*_VERSION)
        except ImportError as error:  # importlib.metadata.PackageNotFoundError
            raise _without("scheduler", error) from None
        if scheduler != __version__:
            raise _without("scheduler", scheduler)
        await self._look()
        if self.broken is not None:
            raise self.broken

    async def open(self) -> None:
        """Begin to listen to the workers, and to watch which there are."""
        if not self._processes:
            await self.check()
        topic = dask_places.topic_of(self.batch)
        await self._client.listen(topic, self._heard)
        self._watching = asyncio.create_task(self._watch())

    # A row

    async def make(self, errand: Errand, attempt: int) -> Outcome:
        """Have a row made by a worker.

        Raises
        ------
        WorkersDiedError
            All that Dask tried died, or the line to the scheduler broke.
        ClusterError
            The cluster is lost, or can't be used.
        """
        key = f"kling_widget-row-{errand.number}-{self.batch}-{attempt}-{errand.key[-6:]}"
        await self._client.connected()
        if self._halted:  # a worker that did not hear of it, as the line was broken, would submit what it gets now
            await self._tell_to_halt()
        try:
            return await self._client.result_of(dask_worker.make, errand, key=key)
        except ImportError as error:
            raise _without("worker", error) from None

    def halt(self) -> None:
        """Let no worker submit anything new."""
        self._halted = True
        self.room.close()
        background.go(self._halt())

    async def _halt(self) -> None:
        with contextlib.suppress(ClusterError, WorkersDiedError):  # they are told before they get a row again
            await self._tell_to_halt()

    async def _tell_to_halt(self) -> None:
        try:
            await self._client.everywhere(dask_places.halt, self.batch, on_error="ignore")
        except OSError:
            raise WorkersDiedError("The line to Dask's scheduler broke.") from None

    async def close(self) -> None:
        """The batch is over."""
        self._over.set()
        if self._watching is None:
            return
        await asyncio.wait([self._watching])
        for task in self._tasks:  # a worker that stands still would never answer
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        background.go(self._take_leave())  # nobody waits for it, for the same reason

    async def _take_leave(self) -> None:
        with contextlib.suppress(ClusterError, OSError):  # the client, or the whole cluster, is being closed
            topic = dask_places.topic_of(self.batch)
            await self._client.stop_listening(topic)
            await self._client.everywhere(dask_places.forget, self.batch, on_error="ignore")

    # Workers

    async def _watch(self) -> None:
        while not self._over.is_set():
            await background.happens(self._over, LOOK)
            if self._client.is_closed:
                return
            with contextlib.suppress(ClusterError, OSError):  # the scheduler is away: the client is told if it stays so
                await self._look()

    async def _look(self) -> None:
        """Who is there, and introduce who came."""
        threads = await self._client.threads()
        self.workers = len(threads)
        self.room.widen(max(sum(threads.values()), 1))
        for address in set(self._processes) - set(threads):
            del self._processes[address]
        introducing = self._beside(self._introduce(set(threads) - set(self._processes)))
        if self._watching is None:  # what is the matter with them is told before anything is sent
            for task in (await asyncio.wait([introducing], timeout=ANSWER))[0]:
                task.result()
        if (processes := set(self._processes.values())) != self._sharing:
            self._sharing = processes
            self._beside(self._share(max(len(processes), 1)))

    async def _introduce(self, workers: Iterable[str]) -> None:
        """Tell workers where they work; each by itself, for one may take long or be gone."""
        newcomers = [address for address in workers if address not in self._introducing]
        if not newcomers:
            return
        self._introducing.update(newcomers)
        mark = f".dask-{uuid.uuid4().hex}"
        leaving = asyncio.ensure_future(background.in_thread(self._studio.workspace.leave_mark, mark))
        try:
            await asyncio.shield(leaving)
            handover = self._handover(mark, len(newcomers))
            await asyncio.gather(*(self._introduce_one(address, handover) for address in newcomers))
        finally:
            self._introducing.difference_update(newcomers)
            # A thread is not cancelled with who waits for it: the mark that it leaves all the same is taken away, too.
            await asyncio.wait([leaving])
            leaving.exception()  # told above, unless nobody waits any more
            await background.in_thread(self._studio.workspace.remove_mark, mark)

    async def _introduce_one(self, address: str, handover: Handover) -> None:
        try:
            problem = await self._told(address, handover)
        finally:
            self._introducing.discard(address)  # others may take longer, and this one begin anew meanwhile
        if problem is not None:
            self.broken = problem

    async def _told(self, address: str, handover: Handover) -> ClusterError | None:
        """Tell one worker where it works; why it can't be used. One that has gone meanwhile is no matter."""
        version = await self._asked(address, *_VERSION)
        if isinstance(version, (str, ImportError)) and version != __version__:
            return _without(f"worker {address}", version)
        answer = await self._asked(address, dask_places.introduce, handover)
        if answer is None or isinstance(answer, OSError):
            return None
        problem = f"cannot be used: {type(answer).__name__}: {answer}"
        if isinstance(answer, tuple):
            self._processes[address], problem = answer
        if problem is None:
            return None
        return ClusterError(f"The Dask worker {address} {problem}", hint="Nothing was submitted there.")

    async def _asked(self, address: str, function: Callable[..., Any], *args: Any) -> Any:
        """What a worker answers, also an error; None where it has gone."""
        told = await self._client.everywhere(function, *args, workers=[address], on_error="return")
        return told.get(address)

    def _beside(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside, for as long as the batch runs."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._is_done)
        return task

    def _is_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._watching is not None:  # before, who looks raises it
            log.warning("Dask's workers could not be told: %s", error)  # they are told again with the next look

    def _handover(self, mark: str, newcomers: int) -> Handover:
        studio = self._studio
        return Handover(
            *(self.batch, __version__, studio.base_url, studio.workspace.address, studio.simulated),
            secrets=Secrets(None if studio.simulated else studio.key(), studio.workspace.database),
            mark=mark,
            machine=machine_name() if studio.workspace.ledger_is_a_file else None,
            called_in=process_name(),
            processes=len(set(self._processes.values())) + newcomers,
            halted=self._halted,
        )

    async def _share(self, processes: int) -> None:
        """One budget of requests for all processes."""
        await self._client.everywhere(dask_places.share, self._studio.provider, processes, on_error="ignore")

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        """News from a worker, on the client's loop."""
        background.call(self._take_in, event[1])

    def _take_in(self, news: dict[str, Any]) -> None:
        for number, status in news.get("statuses", ()):
            self._on_status(number, status)
        if "begun" in news:
            self._on_begun(news["begun"], news.get("key"))
        if "newcomer" in news:
            self._processes.pop(news["newcomer"], None)  # another process at an address that was known
            self._beside(self._introduce([news["newcomer"]]))
        if "refused" in news:
            self._beside(self._slow_down(news["refused"], news["by"]))

    async def _slow_down(self, retry_after: float | None, by: str) -> None:
        """One worker was answered 429: it concerns all."""
        now = asyncio.get_running_loop().time()
        if now - self._refused_at >= QUIET:
            self._refused_at = now
            provider = self._studio.provider
            await self._client.everywhere(dask_places.slow_down, provider, retry_after, by, on_error="ignore")


def _without(who: str, version: Any) -> ClusterError:
    """The error for a part of the cluster that has another kling_widget, or none."""
    has = f"has kling_widget {version}" if isinstance(version, str) else "has no kling_widget"
    return ClusterError(
        f"The Dask {who} {has}, and here it is {__version__}.",
        hint="Install the same one there. Nothing was submitted.",
    )
