"""The one event loop thread. No other module knows of loops, threads and nest_asyncio.

Facts behind it, measured in real hosts: trait updates and ``display_id`` updates from a background thread reach
JupyterLab while a cell runs; on ipykernel 7 only from a thread that was started inside a copied context.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

NAP = 5.0  # seconds between two looks at the wall clock in a longer pause
OVERSLEPT = 30.0  # seconds it may be ahead then, on a busy machine
TURN = 0.5  # seconds; what Ctrl-C takes at most

log = logging.getLogger(__name__)

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_patched: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


def loop() -> asyncio.AbstractEventLoop:
    """The background loop; its daemon thread is started on first use."""
    global _loop, _thread
    # First without the lock: the collector may interrupt whoever holds it, and what it ends comes here.
    known, serving = _loop, _thread
    if known is not None and serving is not None and serving.is_alive():
        return known
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            ready = threading.Event()
            fresh = asyncio.new_event_loop()
            context = contextvars.copy_context()
            _thread = threading.Thread(
                target=context.run, args=(_serve, fresh, ready), name="kling_widget", daemon=True
            )
            _thread.start()
            ready.wait()
            _loop = fresh
        return _loop


def _serve(fresh: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
    asyncio.set_event_loop(fresh)
    fresh.call_soon(ready.set)
    fresh.run_forever()


def in_child(reset: Callable[[], object]) -> None:
    """Call `reset` in each child that a fork makes of this process, before anything else runs there.

    Parameters
    ----------
    reset
        A function of a module, or a method of an object, which is held weakly. It must not wait, nor free what a thread
        of the parent may just have been using: that thread is gone, and with it the end of its work. What it returns
        is never freed.
    """
    owner, function = getattr(reset, "__self__", None), getattr(reset, "__func__", None)
    if owner is None or function is None:
        owner, function = reset, lambda itself: itself()
    _resets.setdefault(owner, []).append(function)


def _after_fork() -> None:
    """Threads don't survive a fork: the child starts its own loop when it needs one."""
    global _loop, _thread, _lock
    if _loop is not None:
        # Never freed: a request under way would shut its connection down then, which is the parent's, too.
        _left_behind.append((_loop, asyncio.all_tasks(_loop)))
    _loop, _thread, _lock = None, None, threading.Lock()
    for owner, functions in list(_resets.items()):
        _left_behind.extend(function(owner) for function in functions)


_resets: weakref.WeakKeyDictionary[Any, list[Callable[[Any], object]]] = weakref.WeakKeyDictionary()
_left_behind: list[object] = []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def start(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the background loop and return at once."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop())


def go(coroutine: Coroutine[Any, Any, object]) -> Future[Any]:
    """Run a coroutine on the background loop for its effects; what it raises goes to the log."""
    future = start(coroutine)
    future.add_done_callback(_report)
    return future


def _report(future: Future[object]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("a background task failed", exc_info=error)


def on_main_thread() -> bool:
    """Whether this is the thread that signals reach, Ctrl-C's among them."""
    return threading.current_thread() is threading.main_thread()


def start_on(other: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on somebody else's loop, whose objects are to be touched only there; return at once."""
    return asyncio.run_coroutine_threadsafe(coroutine, other)


def call(function: Callable[..., object], *args: object) -> None:
    """Call a function on the background loop, soon; not while the interpreter ends, when no thread starts any more."""
    if not sys.is_finalizing():
        loop().call_soon_threadsafe(function, *args)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for it; for calls that are over in a moment."""
    if threading.current_thread() is _thread:
        coroutine.close()
        raise RuntimeError("run() would wait for itself on the background loop.")
    return start(coroutine).result()


async def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run blocking work (pictures, files, SQL) beside the loop.

    Once the interpreter ends no work is begun any more, and nobody hears of it: what is under way is found again in the
    ledger, and a traceback as a script's last words would say otherwise.
    """
    here, work = asyncio.get_running_loop(), partial(function, *args, **kwargs)
    try:
        result = here.run_in_executor(None, contextvars.copy_context().run, _contained, work)
    except RuntimeError as error:
        if "shutdown" in str(error):  # of concurrent.futures and threading; no public name tells it this early
            await pause(float("inf"))
        raise
    return await result


def _contained(work: Callable[[], T]) -> T:
    """Do somebody's work, whose ``sys.exit()`` is no way to end the loop: asyncio lets it through all tasks."""
    try:
        return work()
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"Work in the background ended with {type(error).__name__}: {error}") from error


def aside(function: Callable[[], T]) -> Future[T]:
    """Run what may wait for ever, for a person or a next row, in a thread of its own.

    It takes no place in the pool, and the interpreter's end doesn't wait for it.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(_contained(function))
        except BaseException as error:  # noqa: BLE001 - handed on to whoever asks for the result
            future.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name="kling_widget aside", daemon=True).start()
    return future


class Service:
    """Work in the running loop that goes on for as long as there is something to do, and begins again when there is.

    Parameters
    ----------
    work
        Makes the coroutine; it ends when nothing is left to do.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None
        in_child(self._forget)

    def _forget(self) -> None:
        self._task = None  # goes on in the parent

    @property
    def is_idle(self) -> bool:
        """Whether nothing is done now."""
        return self._task is None or self._task.done()

    def wake(self) -> None:
        """There is something to do."""
        if self.is_idle:
            self._task = asyncio.get_running_loop().create_task(self._work())


async def pause(seconds: float) -> None:
    """Sleep; not for longer where the machine itself slept meanwhile, whose timers stood still then."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        before, nap = time.time(), min(left, NAP)
        await asyncio.sleep(nap)
        if time.time() - before > nap + OVERSLEPT:
            return


async def happens(event: asyncio.Event, seconds: float) -> None:
    """Wait until something happens, but no longer than so many seconds."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([waiting], timeout=seconds)
    waiting.cancel()


async def unless(event: asyncio.Event, future: Future[T]) -> T | None:
    """Await a future of the background loop; None where the event comes first, and the future goes on unheard."""
    arrival, called = asyncio.ensure_future(bridge(future)), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([arrival, called], return_when=asyncio.FIRST_COMPLETED)
        return arrival.result() if arrival.done() else None
    finally:
        arrival.cancel()
        called.cancel()


async def bridge(future: Future[T]) -> T:
    """Await a future of the background loop in the running loop; cancelling it cancels only the waiting."""
    # Not asyncio.wrap_future(): it complains in the log of errors that come after whoever waited has gone, and of
    # loops that have ended by then.
    here = asyncio.get_running_loop()
    told = here.create_future()

    def tell(_: Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the waiting
            here.call_soon_threadsafe(lambda: None if told.done() else told.set_result(None))

    future.add_done_callback(tell)
    with _turning(here):
        await told
    return future.result()


@contextlib.contextmanager
def _turning(here: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Keep a loop turning while something waits in it, so that Ctrl-C ends an ``await`` in a notebook.

    ipykernel's SIGINT handler (6.29 to 7.4) leaves word in the cell's loop without waking it: a loop that sleeps reads
    it when what is awaited is over.
    """
    pulse: list[asyncio.TimerHandle] = []

    def turn() -> None:
        pulse[:] = [here.call_later(TURN, turn)]

    if here is not _loop:
        turn()
    try:
        yield
    finally:
        for handle in pulse:
            handle.cancel()


async def ended(future: Future[Any], timeout: float | None = None) -> None:
    """Await the end of a future, however it ends, but no longer than so many seconds."""
    waiting = asyncio.ensure_future(bridge(end_of(future)))
    await asyncio.wait([waiting], timeout=timeout)
    waiting.cancel()


def end_of(future: Future[Any]) -> Future[None]:
    """What is done when a future is, however that ends."""
    over: Future[None] = Future()
    future.add_done_callback(lambda _: over.set_result(None))
    return over


def wait(future: Future[T], timeout: float | None = None) -> T:
    """Wait in plain code. Inside a running loop that loop's other tasks go on meanwhile.

    Parameters
    ----------
    future
        A future of the background loop.
    timeout
        Seconds; None waits for good.

    Raises
    ------
    TimeoutError
        Time is up; what is being waited for goes on.
    KeyboardInterrupt
        The person pressed Ctrl-C; what is being waited for goes on.
    """
    current = None
    with contextlib.suppress(RuntimeError):  # left before waiting, so that no error of ours is told as its consequence
        current = asyncio.get_running_loop()
    if current is None or not _patch(current):
        return _result(future, timeout)
    with _as_many_ready(current):
        waiting = current.create_task(_nested(future, timeout))
        try:
            return current.run_until_complete(waiting)
        finally:
            waiting.cancel()  # after Ctrl-C


@contextlib.contextmanager
def _as_many_ready(current: Any) -> Iterator[None]:
    """Leave a loop at least as many callbacks to run as it has now.

    The turn in which a loop is patched is asyncio's own: it has counted them, and takes them one by one. Where a nested
    run has taken them it pops from an empty deque, which is the end of the loop, and of a kernel, without a word.
    """
    ready = current._ready  # as asyncio's loops and nest_asyncio name it
    counted = len(ready)
    try:
        yield
    finally:
        for _ in range(counted - len(ready)):
            current.call_soon(_nothing)


def _nothing() -> None:
    pass


async def _nested(future: Future[T], timeout: float | None) -> T:
    # Not asyncio.wait_for(): what is awaited may itself end with a TimeoutError, which is not ours.
    arrival = asyncio.ensure_future(bridge(future))
    try:
        done, _ = await asyncio.wait([arrival], timeout=timeout)
        if not done:
            raise TimeoutError
        return arrival.result()
    finally:
        arrival.cancel()


def _result(future: Future[T], timeout: float | None) -> T:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    ends = float("inf") if timeout is None else time.monotonic() + timeout
    # In turns: a signal that comes in the moment in which a wait begins, or to another thread, is heard when it ends;
    # and by the main thread only, so hundreds of others need not wake for it.
    turn = TURN if on_main_thread() else threading.TIMEOUT_MAX
    while not done.wait(min(turn, max(ends - time.monotonic(), 0.0))):
        if time.monotonic() >= ends:
            raise TimeoutError
    return future.result()


def _patch(current: asyncio.AbstractEventLoop) -> bool:
    """Let a loop run nested; False where it can't be (uvloop). Nothing is patched before somebody waits this way."""
    if current in _patched:
        return True
    # Not nest_asyncio: it is archived, and on ipykernel 7, where all cells share one context, it drops queued cells.
    import nest_asyncio2

    try:
        nest_asyncio2.apply(current)
    except ValueError:  # not an asyncio loop in pure Python
        return False
    _patched.add(current)
    return True
