"""``DaskClient``: a Dask client, touched only on its own loop.

So synchronous and asynchronous clients are one thing here; and Dask, which sends the source code of whoever calls it to
its pages, sees none of the notebook's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from distributed import Client, KilledWorker

from . import background
from .errors import ClusterError

T = TypeVar("T")

AWAY = 0.1  # seconds between two looks at whether a scheduler is there again
AWAY_FOR_GOOD = 60.0  # seconds after which nobody looks any more: twice what Dask's client takes unless told otherwise

WHAT_GOES_ON = (
    "What was accepted goes on at the vendor and is paid for once: the same batch again, with or without executor=, "
    "takes it up."
)


class WorkersDiedError(Exception):
    """A task is lost: every worker that Dask tried it on died, or the line to the scheduler broke."""


class DaskClient:
    """A client of somebody else's. On the background loop; each method raises `ClusterError` where it is lost.

    Parameters
    ----------
    client
        A synchronous or asynchronous client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lost = asyncio.Event()
        self._hears: dict[str, Callable[[Any], object]] = {}  # by topic

    @property
    def status(self) -> str:
        """As Dask calls it: ``newly-created``, ``running``, ``closing``, ``closed``, …"""
        return str(self._client.status)

    @property
    def is_closed(self) -> bool:
        """Whether it is closed, or about to be; who waits for it is told."""
        if self.status in ("closing", "closed"):
            self._lost.set()
        return self._lost.is_set()

    async def connected(self) -> None:
        """Wait while a line that broke is made anew."""
        if self.status != "running" and not await self._there(self._is_connected_again):
            raise _lost()

    async def threads(self) -> dict[str, int]:
        """The workers there are: how many threads each has, by its address."""
        return await self._there(lambda: self._client.nthreads())

    async def everywhere(self, function: Callable[..., Any], *args: Any, **how: Any) -> dict[str, Any]:
        """Call a function on workers; what each of them answered."""
        answers: dict[str, Any] = await self._there(lambda: self._client.run(function, *args, **how))
        return answers

    async def on_scheduler(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function on the scheduler."""
        return await self._there(lambda: self._client.run_on_scheduler(function, *args))

    async def listen(self, topic: str, hear: Callable[[Any], object]) -> None:
        """Call a function, on the client's loop, with every event of a topic."""
        self._hears[topic] = hear
        await self._there(self._listen)

    async def stop_listening(self, topic: str) -> None:
        """No more of them."""
        self._hears.pop(topic, None)
        await self._there(lambda: _soon(self._client.unsubscribe_topic, topic))

    async def result_of(self, function: Callable[..., T], *args: Any, key: str) -> T:
        """Have a worker call a function, under a key of its own; another one where that dies.

        Raises
        ------
        WorkersDiedError
            All that Dask tried died.
        """
        return await self._there(lambda: self._result_of(function, args, key))

    async def _result_of(self, function: Callable[..., T], args: tuple[Any, ...], key: str) -> T:
        """On the client's loop."""
        try:
            future = self._client.submit(function, *args, key=key, pure=False)
        except OSError:
            await asyncio.sleep(AWAY)  # until Dask has noticed, too
            raise await self._broken("The line to Dask's scheduler broke.") from None
        try:
            result: T = await future
        except KilledWorker as error:
            raise WorkersDiedError(str(error)) from None
        except (asyncio.CancelledError, concurrent.futures.CancelledError):
            if not future.cancelled():  # nobody waits for it any more
                raise
            # client.restart(), or a line that broke: Dask cancels what was handed in, and the scheduler forgets it.
            raise await self._broken("Its task was cancelled.") from None
        return result

    async def _broken(self, how: str) -> WorkersDiedError | ClusterError:
        """The error for a call that is lost; once there is a connection again, if there will be one."""
        return WorkersDiedError(how) if await self._is_connected_again() else _lost()

    async def _is_connected_again(self) -> bool:
        """Whether there is a connection, if need be after Dask has made it anew.

        It takes up to 30 s and closes the client then. It may also stay at it for good: where an event of a topic comes
        with the scheduler's first word, Dask (2026.8) fails at an assertion of its own.
        """
        began = time.monotonic()
        while self.status == "connecting" and time.monotonic() - began < AWAY_FOR_GOOD:  # noqa: ASYNC110 - Dask's state
            await asyncio.sleep(AWAY)
        if self.status != "running":
            return False
        await self._listen()  # a scheduler that was started anew does not know that anybody does
        return True

    async def _listen(self) -> None:
        for topic, hear in list(self._hears.items()):  # it may end meanwhile, in another thread
            self._client.subscribe_topic(topic, hear)

    async def _there(self, act: Callable[[], Awaitable[T]]) -> T:
        async def acting() -> T:
            return await act()

        if self.is_closed:
            raise _lost()
        loop: Any = self._client.loop  # Tornado's
        future = background.start_on(loop.asyncio_loop, acting())
        calling = asyncio.ensure_future(background.bridge(future))
        calling.add_done_callback(_noted)  # where the connection is lost in the same moment nobody asks for it any more
        losing = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait([calling, losing], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            future.cancel()
            raise
        finally:
            losing.cancel()
        if not calling.done():  # a closed client's loop stands still
            calling.cancel()
            raise _lost()
        return calling.result()


async def _soon(function: Callable[..., object], *args: object) -> None:
    function(*args)


def _noted(task: asyncio.Task[Any]) -> None:
    """Say nothing in the log of an error that nobody waits for."""
    _ = task.cancelled() or task.exception()


def _lost() -> ClusterError:
    return ClusterError("The connection to Dask's scheduler was lost.", hint=WHAT_GOES_ON, may_have_cost=True)
