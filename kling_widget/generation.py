"""``Generation``: one task from submission to saved video."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import background, polling, progress
from .course import Course, stopped
from .errors import KlingError, SubmissionUnknownError
from .ledger_row import FREE_TAKE, UNDER_WAY
from .submission import never_sent

if TYPE_CHECKING:
    from .ledger_row import Row
    from .studio import Studio
    from .video import Video

Listener = Callable[["Generation"], object]

_watched: set[Generation] = set()  # goes on though nobody holds it; loops hold their tasks weakly only


def _in_child() -> None:
    """They go on in the parent of this process."""
    global _watched
    _watched = set()


background.in_child(_in_child)


class Generation:
    """One generation: await it, wait for it, or listen to it. It goes on whether or not anybody does.

    Made by :func:`kling_widget.submit` and :func:`kling_widget.resume`. As the last line of a cell it shows how far it
    is, and then its video.

    Attributes
    ----------
    key
        Our client request id: unique, never changes.
    id
        The vendor's generation id; None until it is accepted.
    status
        ``submitting``, ``queued``, ``generating``, ``downloading``, ``completed``, ``rejected``, ``unknown``, ``error``
        or ``stopped`` (we stopped watching; the vendor goes on).
    video
        The saved :class:`~kling_widget.Video`, or None.
    error
        Why there is no video, or None.
    awaited
        Whether somebody waited for it when it failed, and so is told by the error that is raised.
    shown_in_cell
        Number of the cell whose output shows it already, so that the video is not shown there twice.
    """

    def __init__(self, studio: Studio, row: Row) -> None:
        self._studio = studio
        self._listeners: list[Listener] = []
        self.video: Video | None = None
        self.error: KlingError | None = None
        self._begin(row)
        self._began = time.monotonic() - max(0.0, time.time() - row.created)
        over = row.status in FREE_TAKE or row.saved is not None
        self._took = (row.saved or row.completed or row.created) - row.created if over else None
        self.awaited = False
        self.shown_in_cell: int | None = None

    def _begin(self, row: Row) -> None:
        """Nobody watches it, nobody waits for it."""
        self._course = Course(self._studio, row, on_change=self._changed, is_shown=self._is_shown)
        self._lock = threading.Lock()
        self._finished: Future[Video] = Future()
        self._task: asyncio.Task[Video] | None = None
        self._starting = False
        self._waiting = 0
        self._resolve()

    def leave_to_parent(self) -> None:
        """In a fork's child: whoever waits for it here watches it anew, and the lease is the parent's."""
        self._begin(self.row)

    # What it is

    @property
    def key(self) -> str:
        """Our client request id."""
        return self.row.client_request_id

    @property
    def id(self) -> str | None:
        """The vendor's generation id."""
        return self.row.generation_id

    @property
    def row(self) -> Row:
        """The ledger's row: request, take, times (Unix seconds), cost (USD, credits)."""
        return self._course.row

    @property
    def note(self) -> str:
        """What it is waiting for while it isn't delivered, in a sentence; empty else."""
        return self._course.note

    @property
    def expected(self) -> polling.Expectation | None:
        """How long it should take, seconds from acceptance; None before it was asked."""
        return self._course.expected

    @property
    def status(self) -> str:
        """Where it stands, in one word."""
        if self.row.status == "completed" and self.video is None:
            return "downloading" if self.active else "stopped"
        if self.row.status in UNDER_WAY and not self.active:
            return "stopped"
        return self.row.status

    @property
    def active(self) -> bool:
        """Whether it is being watched right now."""
        return self._starting or (self._task is not None and not self._task.done())

    @property
    def simulated(self) -> bool:
        """Whether the built-in simulator makes it."""
        return self.row.simulated

    @property
    def elapsed(self) -> float:
        """Seconds since it was asked for; stands still once it is over."""
        return self._took if self._took is not None else time.monotonic() - self._began

    def __repr__(self) -> str:
        return f"<Generation {self.id or self.key}: {self.status}, {self.row.request.get('prompt', '')[:60]!r}>"

    def _ipython_display_(self) -> None:
        progress.show_as_value(self)

    def _mime_(self) -> tuple[str, str]:  # marimo's, for the last line of a cell
        return "text/html", progress.as_still_html(self)

    # Waiting and listening

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(generation)` on the background thread at every change; returns what ends that."""
        with self._lock:
            self._listeners.append(listener)

        def stop_listening() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop_listening

    def __await__(self) -> Generator[Any, None, Video]:
        try:
            with self._waited_for():
                return (yield from background.bridge(self._outcome()).__await__())
        except KlingError as error:
            raise error.with_traceback(None) from error.__cause__  # its way through loops tells nobody anything

    def wait(self, timeout: float | None = None) -> Video:
        """Wait in plain code. Ctrl-C stops the waiting, never the generation.

        Parameters
        ----------
        timeout
            Seconds; None waits for good.

        Raises
        ------
        StoppedWatchingError
            Time is up; the generation goes on.
        KlingError
            Whatever kept it from becoming a video.
        """
        try:
            with self._waited_for():
                return background.wait(self._outcome(), timeout)
        except KeyboardInterrupt:
            name = self.id or self.key
            print(f"Stopped waiting. Generation {name} goes on: kw.resume({name!r}).wait()", file=sys.stderr)
            raise
        except KlingError as error:
            raise error.with_traceback(None) from error.__cause__  # as above
        except TimeoutError:
            raise stopped(self.row, f"Not ready after {timeout:g} s.") from None

    def watch(self) -> None:
        """Go on with it, e.g. after :meth:`stop` or to look an unknown submission up again. Nothing is submitted."""
        with self._lock:
            if self._finished.done() and self.video is None:
                self._finished = Future()
            self._starting = True  # it takes a moment; nobody shall see it "stopped" meanwhile
        background.call(self._start)

    def stop(self) -> None:
        """Stop watching. The vendor has no cancel: the generation goes on there, and is kept in the ledger.

        What was not sent yet, because the vendor is busy or others are before it, is not sent any more.
        """
        background.call(self._stop)

    def finish(self, video: Video) -> None:
        """Take over a video that was saved earlier."""
        self.video = video
        if not self._finished.done():
            self._finished.set_result(video)

    @contextmanager
    def _waited_for(self) -> Iterator[None]:
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def _outcome(self) -> Future[Video]:
        untouched = self._task is None and not self._starting and self.video is None and self.error is None
        if self.status == "stopped" or untouched:
            self.watch()
        return self._finished

    # On the background loop

    async def learn(self, **facts: Any) -> None:
        """Take in what was found out about it elsewhere, e.g. what it cost (USD, credits)."""
        await self._course.learn(**facts)
        if self.video is not None:
            self.video.metadata.update(facts)

    def _start(self) -> None:
        self._starting = False
        if not self.active and self.video is None:
            self.error = None
            self._task = asyncio.get_running_loop().create_task(self._course.run())
            self._task.add_done_callback(self._ended)
            _watched.add(self)

    def _stop(self) -> None:
        if self._task is not None and self._course.may_be_cut_off():
            self._task.cancel()

    def _ended(self, task: asyncio.Task[Video]) -> None:
        if task.cancelled():
            withdrawn = self._course.is_withdrawn
            self.error = never_sent() if withdrawn else stopped(self.row, "Stopped watching.")
        elif (error := task.exception()) is not None:
            self.error = error if isinstance(error, KlingError) else self._unnamed(error)
            if isinstance(error, SubmissionUnknownError):
                error.generation = self
        else:
            self.video = task.result()
            self.video.shown_in_cell = self.shown_in_cell
        self._took = None if self.row.status in UNDER_WAY else self.elapsed
        self.awaited = self._waiting > 0
        self._changed()
        background.call(self._resolve)  # after the listeners: who waited finds the cell's output up to date

    def _unnamed(self, error: BaseException) -> KlingError:
        """Nobody has thought of it: what it costs is told by whether it may have been sent."""
        sent = self.row.status not in FREE_TAKE and not self._course.is_unsent
        return KlingError(f"{type(error).__name__}: {error}", generation_id=self.id, may_have_cost=sent)

    def _resolve(self) -> None:
        if not self.active:
            _watched.discard(self)
        if self._finished.done():
            return
        if self.video is not None:
            self._finished.set_result(self.video)
        elif self.error is not None:
            self._finished.set_exception(self.error)

    def _is_shown(self) -> bool:
        with self._lock:
            return bool(self._listeners)

    def _changed(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            background.call(listener, self)  # in a call of its own: what a listener raises must not stop us
