"""``make bench``: what the package costs. Times only as ratios of runs that alternate in one session; what is simulated
follows from its seed. Parts run by themselves too: ``python -m tests.benchmarks.polling``."""

from __future__ import annotations

import gzip
import statistics
import subprocess
import sys
import time
from pathlib import Path

import kling_widget
from scripts import bench
from tests.benchmarks import body, browser, ledger, polling, rivals, thousand, workers
from tests.benchmarks.verdicts import verdict

STATIC = Path(kling_widget.__file__).parent / "static"
BUNDLE_TARGET = 20_000  # bytes; docs/architecture.md
IMPORT_TARGET = 1.10
ROUNDS = 15


def bundle() -> bool:
    """Bytes of the front end as it travels: each file gzipped on its own."""
    sizes = {name: len(gzip.compress((STATIC / name).read_bytes(), 9)) for name in ("widget.js", "widget.css")}
    total = sum(sizes.values())
    parts = " + ".join(f"{name} {size:,}" for name, size in sizes.items())
    return verdict("front end, gzipped bytes", f"{total:,} ({parts})", total <= BUNDLE_TARGET, f"≤ {BUNDLE_TARGET:,}")


def seconds(code: str, by: str) -> float:
    """Seconds a fresh interpreter takes for `code`."""
    began = time.perf_counter()
    subprocess.run([by, "-c", code], check=True)
    return time.perf_counter() - began


def ratio(
    name: str, ours: str, theirs: str, target: float | None, *, rounds: int = ROUNDS, by: str = sys.executable
) -> bool:
    """Median of the ratios of alternating runs of two imports, by this Python or another."""
    seconds(ours, by), seconds(theirs, by)  # bytecode and file caches
    ratios = [seconds(ours, by) / seconds(theirs, by) for _ in range(rounds)]
    low, median, high = min(ratios), statistics.median(ratios), max(ratios)
    shown = f"{median:.2f} (min {low:.2f}, max {high:.2f}, {rounds} alternating runs)"
    aim = "none" if target is None else f"≤ {target:.2f}"
    return verdict(name, shown, target is None or median <= target, aim)


def main() -> int:
    theirs, others = "import anywidget, httpx", bench.interpreter()
    results = [
        bundle(),
        ratio("import kling_widget / import anywidget, httpx", "import kling_widget", theirs, IMPORT_TARGET),
        # The package imports its rooms on first use; this is what the first KlingWidget() pays.
        ratio("… and its widget / the same", "import kling_widget; kling_widget.KlingWidget", theirs, None),
        # With what the first KlingWidget() pays, for Gradio imports all of its own at once.
        ratio(
            "import gradio / import kling_widget and its widget",
            "import gradio",
            "import kling_widget; kling_widget.KlingWidget",
            None,
            rounds=5,
            by=others,
        ),
        *body.report(),
        *thousand.report(),
        *rivals.report(others),
        *polling.report(),
        *ledger.report(),
        *browser.report(),
        *workers.report(),
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
