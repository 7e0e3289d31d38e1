"""Tasks, pictures and videos in one folder, so that a restart loses nothing.

A task is a JSON file, a picture is named by its digest, a video by the digest of everything it is made from: equal
tasks share one render. Two simulators may share a folder; creating a task's file is what claims its number.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from kling_widget.simulator import render
from kling_widget.simulator.settings import SimulatorSettings
from kling_widget.simulator.tasks import SimulatedTask
from kling_widget.simulator.workers import Workers


def file_key(generation_id: str) -> str:
    """A name for files about a generation: ids hold colons and slashes, so never the id itself."""
    return hashlib.sha256(generation_id.encode()).hexdigest()[:32]


class Store:
    """All that the simulator keeps. Safe to use from any thread and any event loop.

    Parameters
    ----------
    settings
        Where to keep it, and how videos are made.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._tasks: dict[str, SimulatedTask] = {}  # by file key
        self._renders: dict[str, Future[Path]] = {}
        self._workers = Workers()
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if settings.state_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="kling-simulator-", ignore_cleanup_errors=True)
        self._root = Path(self._temporary.name) if self._temporary else Path(settings.state_dir or "")
        for name in ("tasks", "pictures", "videos"):
            (self._root / name).mkdir(parents=True, exist_ok=True)

    def add_picture(self, data: bytes) -> str:
        """Keep a picture and return its SHA-256 (hex)."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._root / "pictures" / digest
        if not path.exists():
            _write(path, data)
        return digest

    def create(self, make: Callable[[int], SimulatedTask]) -> SimulatedTask:
        """Keep the task that `make` builds for the next free number, and begin its video.

        Raises
        ------
        OSError
            The folder can't be written to.
        """
        with self._lock:
            self._load_new()
            number = len(self._tasks)
            while True:
                task = make(number)
                try:
                    with self._task_path(file_key(task.id)).open("x", encoding="utf-8") as file:
                        json.dump(task.to_json(), file)
                except FileExistsError:
                    number += 1  # taken by another simulator in the same folder
                    continue
                self._tasks[file_key(task.id)] = task
                break
        if not task.fails:
            self.video(task)
        return task

    def find(self, key: str) -> SimulatedTask | None:
        """The task with this file key, also when another simulator in the same folder has made it."""
        with self._lock:
            if key not in self._tasks:
                self._load_new()
            return self._tasks.get(key)

    def tasks(self) -> list[SimulatedTask]:
        """All tasks in the order of their submission."""
        with self._lock:
            self._load_new()
            return sorted(self._tasks.values(), key=lambda task: (task.created, task.number))

    def video(self, task: SimulatedTask) -> Future[Path]:
        """The task's MP4, begun now if it isn't yet. Equal tasks have the same one."""
        key = self._video_key(task)
        path = self._root / "videos" / f"{key}.mp4"
        with self._lock:
            known = self._renders.get(key)
            if known is not None and not (known.done() and known.exception()):
                return known
            future: Future[Path]
            if path.exists():
                future = Future()
                future.set_result(path)
            else:
                future = self._workers.submit(lambda: self._render(task, path))
            self._renders[key] = future
            return future

    def close(self) -> None:
        """Let the worker threads go and remove a temporary folder."""
        self._workers.close()
        if self._temporary:
            self._temporary.cleanup()

    def _render(self, task: SimulatedTask, path: Path) -> Path:
        pictures = self._root / "pictures"
        partial = path.with_name(f"{path.stem}.{os.getpid()}.{threading.get_ident()}.partial")
        try:
            render.render(
                (pictures / task.first_frame).read_bytes(),
                (pictures / task.last_frame).read_bytes() if task.last_frame else None,
                partial,
                seconds=task.duration,
                move=render.plan_move(task.prompt, self._settings.seed, task.camera),
                long_edge=self._settings.long_edge,
                fps=self._settings.fps,
            )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _video_key(self, task: SimulatedTask) -> str:
        settings = self._settings
        made_of = [
            *(render.RENDER_VERSION, settings.seed, settings.long_edge, settings.fps),
            *(task.first_frame, task.last_frame, task.duration, task.prompt),
            *([task.camera] if task.camera else []),
        ]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]

    def _task_path(self, key: str) -> Path:
        return self._root / "tasks" / f"{key}.json"

    def _load_new(self) -> None:
        """Read the task files that aren't known yet; one that is just being written is left for the next time."""
        for path in (self._root / "tasks").glob("*.json"):
            if path.stem in self._tasks:
                continue
            try:
                self._tasks[path.stem] = SimulatedTask(**json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                continue


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    partial.write_bytes(data)
    partial.replace(path)
