"""A batch on four Dask workers against the same batch in one kernel, and again with a worker killed every 5 s.

``python -m tests.benchmarks.workers`` prints the table. Vendor (the simulator), kernel and workers are processes of
their own; both sides have the same PostgreSQL server, the same folder on one disk, the same number under way, and the
same budget of requests. The cluster is set up as docs/scale.md recommends for workers that do nothing else. All rows
have one picture and one prompt, so that the simulator renders their clip once, and each another negative prompt, so
that each is another request.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import cpu_seconds, process, said, tell
from tests.benchmarks.verdicts import verdict

MANY, WARM = 2000, 8  # rows; rows of another batch before, so that everything is imported
WORKERS, THREADS = 4, 2
CONCURRENCY = 400
TIME_FACTOR = 3.0
"""Times the vendor's speed: a 5 s clip takes 62 s, so that our budget of 100 requests a second is nearly used up."""
EVERY = 5.0  # seconds between two kills
TARGET = 1.0
MODULE = "tests.benchmarks.workers"
KEY = "sk-bench"


# In the vendor's process


def vendor() -> dict[str, Any]:
    """Serve until the input ends; then what the vendor's own books say of ids and requests."""
    from kling_widget.simulator import SimulatorServer, SimulatorSettings
    from kling_widget.simulator.records import Recorder
    from kling_widget.simulator.settings import CREDITS_PER_USD
    from kling_widget.simulator.simulator import RateLimit

    class Posts(Recorder):
        """Every submission that arrived: its client request id and what it asked for."""

        def __init__(self) -> None:
            super().__init__()
            self.posts: list[tuple[str, int]] = []
            self.requests = 0

        def add(
            self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
        ) -> None:
            self.requests += 1
            if method == "POST":
                self.posts.append((headers["x-client-request-id"], hash(body)))

    server = SimulatorServer(
        SimulatorSettings(time_factor=TIME_FACTOR, long_edge=64, fps=2, credits=10**6 * CREDITS_PER_USD)
    )
    recorder = server.simulator.recorder = Posts()
    server.simulator.log_calls = RateLimit(10**9)  # its limit is for a vendor whose clips take minutes
    with server:
        tell({"url": server.url})
        for line in sys.stdin:
            if line.strip() == "books":
                accepted = {task.client_request_id: task.id for task in server.simulator.tasks}
                asked = Counter(body for name, body in recorder.posts if name in accepted)
                tell({
                    "posts": len(recorder.posts), "accepted": len(server.simulator.tasks), "ids": accepted,
                    "doubles": len(recorder.posts) - len({name for name, _ in recorder.posts})
                    + len(server.simulator.tasks) - len(accepted) + sum(count - 1 for count in asked.values()),
                    "requests": recorder.requests, "cpu": cpu_seconds(),
                })  # fmt: skip
    return {}


# In the process that calls the batch


def rows(folder: str, many: int, name: str) -> list[dict[str, Any]]:
    """So many requests for one picture."""
    from PIL import Image

    picture = Path(folder, "picture.jpg")
    Image.linear_gradient("L").resize((640, 360)).convert("RGB").save(picture)
    return [
        {"image": picture, "prompt": "slow dolly in", "negative_prompt": f"{name} {number}"} for number in range(many)
    ]


def made(
    url: str, folder: str, database: str, many: int, executor: Any = None, meanwhile: Any = None
) -> dict[str, Any]:
    """The batch, after a small one; seconds, and what became of the rows."""
    import kling_widget as kw

    settings: dict[str, Any] = {
        "api_key": KEY, "base_url": url, "workspace": Path(folder, "clips"), "database": database, "executor": executor,
        "confirm": False, "progress": False,
    }  # fmt: skip
    warm = kw.batch(rows(folder, WARM, "warm"), concurrency=WARM, **settings).wait()
    before = sum(executor.run(cpu_seconds).values()) if executor is not None else 0.0
    began, cpu = time.perf_counter(), cpu_seconds()
    with meanwhile or nullcontext():
        results = kw.batch(rows(folder, many, "row"), concurrency=CONCURRENCY, **settings).wait()
    wall = time.perf_counter() - began
    # Of workers that were killed nobody knows any more.
    elsewhere = sum(executor.run(cpu_seconds).values()) - before if executor is not None and meanwhile is None else 0.0
    statuses = Counter(each.status for each in results)
    return {
        "wall": wall, "cpu": cpu_seconds() - cpu, "elsewhere": elsewhere, "statuses": statuses,
        "saved": [each.generation_id for each in results if each.place is not None and each.place.exists()],
        "warm": [each.generation_id for each in warm], "why": [str(each.error) for each in results.failed][:3],
    }  # fmt: skip


def hurry() -> None:
    """Look a lost submission up in seconds: this vendor's log is never late."""
    from kling_widget import retry

    retry.LOOKUP_DELAYS = tuple(delay / 100 for delay in retry.LOOKUP_DELAYS)


def kernel(url: str, folder: str, database: str, many: str) -> dict[str, Any]:
    """One kernel makes them all."""
    hurry()
    return made(url, folder, database, int(many))


def workers(url: str, folder: str, database: str, many: str, every: str) -> dict[str, Any]:
    """Dask workers make them; one is killed every so many seconds, or none with 0."""
    import dask
    from distributed import Client, LocalCluster, WorkerPlugin

    from tests.local_cluster import nothing_else_to_do, workers_come_back

    class Hurry(WorkerPlugin):  # type: ignore[misc]
        def setup(self, worker: Any) -> None:
            hurry()

    hurry()
    with (
        dask.config.set(workers_come_back() | nothing_else_to_do()),
        LocalCluster(n_workers=WORKERS, threads_per_worker=THREADS, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(Hurry())
        kills: list[int] = []
        client.wait_for_workers(WORKERS)
        meanwhile = killing(cluster, float(every), kills) if float(every) else None
        told = made(url, folder, database, int(many), client, meanwhile)
        told["kills"] = len(kills)
        # Said before the cluster is closed: Dask may wait for good for a worker that was killed while it started.
        tell(told)
        sys.stdin.read()
    return {}


@contextmanager
def killing(cluster: Any, every: float, kills: list[int]) -> Iterator[None]:
    """Kill one of a cluster's workers every so many seconds; `kills` are their process numbers."""
    from distributed import Status

    over = threading.Event()

    def kill() -> None:
        while not over.wait(every):
            # Not one that is starting: a nanny does not start again what died before it was a worker.
            nannies = [nanny for nanny in cluster.workers.values() if nanny.process is not None]
            alive = [nanny.pid for nanny in nannies if nanny.process.status == nanny.status == Status.running]
            if alive:
                kills.append(random.choice(alive))
                os.kill(kills[-1], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    try:
        yield
    finally:
        over.set()


# In the benchmark's process


def run(side: str, url: str, *words: str) -> dict[str, Any]:
    """One run in a folder of its own; with the vendor's books."""
    with tempfile.TemporaryDirectory() as folder, process(MODULE, side, url, folder, *words) as child:
        return said(child)


def books(serving: Any) -> dict[str, Any]:
    serving.stdin.write("books\n")
    serving.stdin.flush()
    return said(serving)


def report(many: int = MANY) -> list[bool]:
    """Print the lines of the table that are about workers; whether each target is reached."""
    from tests import postgres

    runs = {"kernel": ("kernel", ()), "workers": ("workers", ("0",)), "killed": ("workers", (f"{EVERY:g}",))}
    told = {}
    with postgres.serving() as server:
        for name, (side, words) in runs.items():
            with process(MODULE, "vendor") as serving:
                url = said(serving)["url"]
                ours = run(side, url, server.url(server.new_database()), str(many), *words)
                told[name] = ours, books(serving)
            _print(name, many, *told[name])
    (kernel, _), (workers, _), (killed, vendor) = (told[name] for name in runs)
    ratio = workers["wall"] / kernel["wall"]
    doubles = sum(books["doubles"] for _, books in told.values())
    lost = set(vendor["ids"].values()) - set(killed["saved"]) - set(killed["warm"])
    name = f"batch of {many:,} on {WORKERS} Dask workers + PostgreSQL"
    figure = f"{ratio:.3f} ({workers['wall']:.1f} / {kernel['wall']:.1f} s)"
    kills = f"{killed['kills']} workers killed, one every {EVERY:g} s"
    return [
        verdict(f"{name}, wall / one kernel's", figure, ratio <= TARGET, f"≤ {TARGET:.1f}"),
        verdict(f"{name}, duplicates in all runs, {kills}", f"{doubles}", doubles == 0, "0"),
        verdict(f"{name}, accepted and without a video, {kills}", f"{len(lost)}", not lost, "0"),
    ]


def _print(name: str, many: int, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    statuses = ", ".join(f"{count:,} {status}" for status, count in ours["statuses"].items())
    print(
        f"        {name}: {ours['wall']:.1f} s, {statuses}; processor seconds each: {ours['cpu'] / many:.4f} where it "
        f"was called, {ours.get('elsewhere', 0.0) / many:.4f} on the workers, "
        f"{theirs['cpu'] / many:.4f} the vendor's; {theirs['requests'] / many:.1f} requests each",
        flush=True,
    )
    for why in ours["why"]:
        print(f"        {why}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("kernel", "workers", "vendor"):
        tell({"kernel": kernel, "workers": workers, "vendor": vendor}[sys.argv[1]](*sys.argv[2:]))
    else:
        sys.exit(0 if all(report(*map(int, sys.argv[1:2]))) else 1)
