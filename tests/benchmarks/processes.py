"""A part of a benchmark in a process of its own, and what that process used."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MB = 1e6
GOING = 10.0  # seconds in which a process may end by itself


@contextmanager
def process(module: str, *words: str, by: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    """``python -m module words…``, by this Python or another; it is ended with the block."""
    command = [by, "-m", module, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            assert child.stdin is not None
            child.stdin.close()  # at which a vendor ends, and takes its folder away
            try:
                child.wait(GOING)
            except subprocess.TimeoutExpired:
                child.kill()


def said(child: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a process, which is a JSON object."""
    assert child.stdout is not None
    return dict(json.loads(child.stdout.readline()))


def tell(what: dict[str, Any]) -> None:
    """Say a line to the process that began this one."""
    print(json.dumps(what), flush=True)


def cpu_seconds() -> float:
    """Processor time of this process, in user and system mode."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def waited_for_processor(thread: threading.Thread) -> float:
    """Seconds that a thread of ours could have run and did not, since other processes did (Linux, ``schedstat``)."""
    return int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


def memory(which: str) -> float:
    """MB of this process as Linux counts them: ``VmRSS`` now, ``VmHWM`` at most."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / MB for line in lines if line.startswith(which))


def forget_peak() -> None:
    """Count ``VmHWM`` anew from now on (man 5 proc, ``clear_refs``)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
