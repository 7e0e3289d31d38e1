"""1,000 generations at once in one kernel, against the simulator in a process of its own.

``python -m tests.benchmarks.thousand`` prints the table. The same picture and words a thousand times, as takes: the
simulator renders their one clip once, so that the figures are the kernel's and not the encoder's.
"""

from __future__ import annotations

import io
import sys
import tempfile
import threading
import time
from statistics import fmean
from typing import Any

from kling_widget.pacing import AT_ONCE, REQUESTS_PER_SECOND
from kling_widget.simulator import SimulatorServer, SimulatorSettings
from kling_widget.simulator.settings import CREDITS_PER_USD, MODEL
from kling_widget.simulator.tasks import new_task
from tests.benchmarks.processes import cpu_seconds, memory, process, said, tell, waited_for_processor
from tests.benchmarks.verdicts import verdict

MANY = 1000
TIME_FACTOR = 1.5
"""Times the vendor's speed: a 5 s clip takes about two minutes."""
FAST = 100.0
LONG_EDGE, FPS = 64, 4  # of the clip, which is downloaded a thousand times
WALL_TARGET, CPU_TARGET, MEMORY_TARGET = 1.10, 0.05, 150.0  # a ratio; seconds a generation; MB
MODULE = "tests.benchmarks.thousand"


def settings(factor: float) -> SimulatorSettings:
    """The vendor of this benchmark, who has credit for it."""
    return SimulatorSettings(time_factor=factor, long_edge=LONG_EDGE, fps=FPS, credits=10**6 * CREDITS_PER_USD)


def ideal(many: int, factor: float) -> float:
    """Seconds it would take if nothing counted but the vendor's time and the budget of requests.

    Submissions leave as the budget lets them: `AT_ONCE` together, then `REQUESTS_PER_SECOND`. Each clip is ready so
    much later as the simulator draws, and is known and saved in that moment; no question takes a place in the budget.
    """
    body = {"model": MODEL, "prompt": ""}
    last = 0.0
    for number in range(many):
        task = new_task(
            settings(factor), number, created=max(0, number + 1 - AT_ONCE) / REQUESTS_PER_SECOND,
            body=body, first_frame="", last_frame=None, client_request_id=None,
        )  # fmt: skip
        last = max(last, task.ends)
    return last


# In the kernel's process


def kernel(url: str, fast: str, folder: str, many: str) -> dict[str, Any]:
    """What a notebook would do: ask for all of them, then wait for all of them. Seconds and MB.

    Before them one of another vendor, who is fast: so that what everybody needs once is imported.
    """
    import kling_widget as kw

    before = memory("VmRSS")
    frame, options = picture(), {"api_key": "sk-bench", "base_url": url, "workspace": folder}
    kw.generate(frame, "the first one", timeout=600, **{**options, "base_url": fast})
    warm, cpu, began = memory("VmRSS"), cpu_seconds(), time.perf_counter()
    generations = [kw.submit(frame, "slow dolly in", take=take + 1, **options) for take in range(int(many))]
    asked = time.perf_counter() - began
    for generation in generations:
        generation.wait()
    wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    [loop] = [thread for thread in threading.enumerate() if thread.name == "kling_widget"]
    rows = [generation.row for generation in generations]
    return {
        "asked": asked, "wall": wall, "cpu": cpu, "before": before, "warm": warm, "peak": memory("VmHWM"),
        "starved": waited_for_processor(loop),
        "videos": sum(generation.video.path.exists() for generation in generations if generation.video),
        "known": {row.generation_id: row.completed for row in rows},
        "saved": {row.generation_id: row.saved for row in rows},
    }  # fmt: skip


def picture() -> bytes:
    """The one first frame of all of them."""
    from PIL import Image

    target = io.BytesIO()
    Image.linear_gradient("L").resize((640, 360)).convert("RGB").save(target, "JPEG")
    return target.getvalue()


# In the vendor's process


def vendor(factor: str) -> dict[str, Any]:
    """Serve until the input ends; how often it was asked, and when each clip was ready (Unix seconds)."""
    from tests.torture.vendor import Counting

    server = SimulatorServer(settings(float(factor)))
    counting = server.simulator.recorder = Counting()
    with server:
        tell({"url": server.url})
        sys.stdin.read()
        ready = {task.id: task.ends for task in server.simulator.tasks}
    return {"requests": counting.requests, "ready": ready, "cpu": cpu_seconds()}


# In the benchmark's process


def measured(many: int, factor: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the kernel and the vendor say of it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        process(MODULE, "vendor", str(factor)) as serving,
        process(MODULE, "vendor", str(FAST)) as another,
    ):
        urls = said(serving)["url"], said(another)["url"]
        with process(MODULE, "kernel", *urls, folder, str(many)) as child:
            ours = said(child)
        assert serving.stdin is not None
        serving.stdin.close()
        return ours, said(serving)


def report(many: int = MANY, factor: float = TIME_FACTOR) -> list[bool]:
    """Print the lines of the table that are about many at once; whether each target is reached."""
    ours, theirs = measured(many, factor)
    least = ideal(many, factor)
    lags = {name: fmean(at - theirs["ready"][key] for key, at in ours[name].items()) for name in ("known", "saved")}
    ratio, cpu, growth = ours["wall"] / least, ours["cpu"] / many, ours["peak"] - ours["before"]
    name = f"{many:,} generations at once"
    print(
        f"        {name}, clips of {186 / factor:.0f} s: asked for in {ours['asked']:.1f} s, "
        f"known {lags['known']:.2f} s and saved {lags['saved']:.2f} s after they were ready on average; "
        f"{theirs['requests'] / many:.1f} requests and {theirs['cpu'] / many:.4f} s of the vendor's processor each; "
        f"while the loop's thread waited {ours['starved']:.1f} s for a processor that other processes had",
        flush=True,
    )
    return [
        verdict(f"{name}, videos saved", f"{ours['videos']:,}", ours["videos"] == many, f"{many:,}"),
        verdict(
            f"{name}, wall / ideal", f"{ratio:.3f} ({ours['wall']:.1f} / {least:.1f} s)", ratio <= WALL_TARGET,
            f"≤ {WALL_TARGET:.2f}",
        ),
        verdict(f"{name}, processor seconds each", f"{cpu:.4f}", cpu <= CPU_TARGET, f"≤ {CPU_TARGET:.2f}"),
        verdict(
            f"{name}, peak memory growth, MB",
            f"{growth:.0f} (with the imports of a first clip; {ours['peak'] - ours['warm']:.0f} after it)",
            growth <= MEMORY_TARGET, f"≤ {MEMORY_TARGET:.0f}",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in ("kernel", "vendor"):
        tell({"kernel": kernel, "vendor": vendor}[sys.argv[1]](*sys.argv[2:]))
    else:
        sys.exit(0 if all(report()) else 1)
