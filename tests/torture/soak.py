"""``python -m tests.torture.soak``: a simulated day with 500 generations in one process; what it holds must not grow.

The vendor runs in a process of its own, so that the figures are those of a person's kernel. A day passes in six
minutes. A person looks at each clip as it comes: its page is made, as a notebook would show it.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import kling_widget as kw
from tests.torture.maker import picture
from tests.torture.vendor import KEY

HOURS = 24
GENERATIONS = 500
FACTOR = 240.0
"""Times the vendor's speed: an hour passes in 15 s, a 5 s clip takes 0.8 s."""
AT_ONCE = 12
"""Generations that are asked for at the very beginning."""
GROWTH = 0.10
"""What the process may hold more after the day than after its first hour, as a share of the latter."""


@dataclass
class Held:
    """What the process holds: resident memory in MB, open descriptors, threads."""

    memory: float
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Held:
        """As it is, after a collection of garbage."""
        gc.collect()
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd")), threading.active_count())

    def __str__(self) -> str:
        return f"{self.memory:.1f} MB, {self.descriptors} descriptors, {self.threads} threads"


def run(hours: int, generations: int, factor: float, folder: Path) -> tuple[Held, Held, int]:
    """Spread the generations over the hours; what is held after the first hour and at the end, and how many came."""
    seconds = hours * 3600 / factor
    command = [sys.executable, "-m", "kling_widget.simulator", "--time-factor", str(factor), "--long-edge", "64"]
    server = subprocess.Popen([*command, "--api-key", KEY], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        studio = kw.Studio(api_key=KEY, base_url=url, workspace=folder)
        began, made, first = time.monotonic(), 0, None
        under_way: list[kw.Generation] = []
        for number in range(generations):
            # The first ones come at once, so that every pool of threads and connections is as full as it gets.
            due = began + seconds * number / generations if number >= AT_ONCE else began
            while time.monotonic() < due:
                time.sleep(min(0.2, max(0.0, due - time.monotonic())))
            under_way.append(studio.submit(picture(), f"clip {number}", send_anyway=True))
            made += _look_at(under_way)
            if first is None and time.monotonic() - began >= 3600 / factor:
                first = Held.now()
                print(f"after 1 h: {first}, {made} generations", flush=True)
            elif number % 100 == 99:
                hour = (time.monotonic() - began) * factor / 3600
                print(f"after {hour:.1f} h: {Held.now()}, {made} generations", flush=True)
        while under_way:
            under_way[0].wait(60)
            made += _look_at(under_way)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        assert first is not None
        return first, Held.now(), made
    finally:
        server.terminate()
        server.wait()


def _look_at(under_way: list[kw.Generation]) -> int:
    """Show what has come, and let go of it."""
    ready = [generation for generation in under_way if generation.video is not None]
    for generation in ready:
        generation.wait().html()
        under_way.remove(generation)
    return len(ready)


def main() -> int:
    """Run the day; 0 if nothing grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.soak", description=__doc__)
    parser.add_argument("--hours", type=int, default=HOURS)
    parser.add_argument("--generations", type=int, default=GENERATIONS)
    parser.add_argument("--factor", type=float, default=FACTOR)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kling-soak-") as folder:
        first, last, made = run(given.hours, given.generations, given.factor, Path(folder))
    grown = last.memory / first.memory - 1
    print(f"at the end: {last}")
    print(
        f"soak {given.hours} h, {made} of {given.generations} generations, memory {grown:+.1%}, "
        f"descriptors {last.descriptors - first.descriptors:+}, threads {last.threads - first.threads:+}"
    )
    steady = last.descriptors <= first.descriptors and last.threads <= first.threads
    return 0 if made == given.generations and grown <= GROWTH and steady else 1


if __name__ == "__main__":
    sys.exit(main())
