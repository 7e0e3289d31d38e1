"""A few daemon threads for rendering.

`concurrent.futures` joins its threads at exit, after all queued work: a hundred clips submitted and left would keep
the interpreter alive for minutes. Nothing is lost when a render dies with the process, so these threads are daemons.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """Runs functions in order of arrival on at most `count` threads, started when first needed."""

    def __init__(self, count: int = 2) -> None:
        self._count = count
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Queue `work`; its result or exception is in the future."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed on to whoever waits for the future
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if len(self._threads) < self._count:
                name = f"kling-simulator-render-{len(self._threads)}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._jobs.put(job)
        return future

    def close(self) -> None:
        """Let the threads end once the work queued so far is done. Doesn't wait."""
        with self._lock:
            for _ in self._threads:
                self._jobs.put(None)
            self._threads.clear()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
