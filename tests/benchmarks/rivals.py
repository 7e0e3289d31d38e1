"""The same generations watched by our own code and by what people would pick instead: fal-client's and replicate's
loops, run from their packages, and the vendor's sample as a loop of ours with its interval.

``python -m tests.benchmarks.rivals`` prints the table. The simulator's tasks are asked for in each one's protocol, on
the same server. Time runs `FACTOR` times as fast, and so do the others' intervals; ours learns it from the answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from statistics import fmean
from typing import Any

from kling_widget.client import GENERATION_PATH
from kling_widget.simulator import SimulatorServer, SimulatorSettings
from kling_widget.simulator.records import Recorder
from kling_widget.simulator.store import file_key
from tests.benchmarks.polling import FAL, REPLICATE, SAMPLE
from tests.benchmarks.processes import process, said, tell
from tests.benchmarks.verdicts import verdict

MODULE = "tests.benchmarks.rivals"
FACTOR = 4.0
"""Times the vendor's speed: a 5 s clip takes 46 s."""
MANY = 4
TARGETS = {"fal-client": 0.05, "replicate": 0.05, "the vendor's sample": None}  # our questions / theirs
KEY = "sk-bench"


class Asked(Recorder):
    """When each of them asked for each generation (Unix seconds), by who it is and the generation's id."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> None:
        """Note a question for the status; nothing else counts, and so fal's last one, for the result, does not."""
        words = path.strip("/").split("/")
        if words[0] == "fal" and words[-1] == "status":
            self.times["fal-client", words[1]].append(time.time())
        elif words[:2] == ["v1", "predictions"]:
            self.times["replicate", words[2]].append(time.time())
        elif method == "GET" and path == GENERATION_PATH:
            who = "ours" if headers.get("user-agent") == "kling-widget" else "the vendor's sample"
            self.times[who, query["generation_id"]].append(time.time())


def serve() -> dict[str, Any]:
    """The simulator with two more protocols, until the input ends; then who asked how often, and how late they knew."""
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    server = SimulatorServer(SimulatorSettings(time_factor=FACTOR, long_edge=64, fps=4))
    simulator, asked = server.simulator, Asked()
    simulator.recorder = asked

    def is_ready(request: Request) -> bool:
        task = simulator.store.find(file_key(request.path_params["id"]))
        assert task is not None
        return task.phase(simulator.clock()) == "completed"

    def fal(request: Request) -> JSONResponse:
        return JSONResponse({"status": "COMPLETED" if is_ready(request) else "IN_PROGRESS", "logs": None})

    def replicate(request: Request) -> JSONResponse:
        answer = dict.fromkeys(
            ("input", "output", "logs", "error", "metrics", "created_at", "started_at", "completed_at", "urls")
        )
        answer |= {"id": request.path_params["id"], "model": "m", "version": "v"}
        return JSONResponse({**answer, "status": "succeeded" if is_ready(request) else "processing"})

    simulator.app.router.routes[:0] = [
        Route("/fal/{id}/status", fal),
        Route("/fal/{id}", lambda request: JSONResponse({})),
        Route("/v1/predictions/{id}", replicate),
    ]
    with server:
        tell({"url": server.url})
        sys.stdin.read()
        ready = {task.id: task.ends for task in simulator.tasks}
    figures: dict[str, Any] = {}
    for (who, key), times in asked.times.items():
        figures.setdefault(who, []).append((len(times), times[-1] - ready[key]))
    return figures


# Each of them, in a process of its own


async def fal_client(url: str, ids: list[str]) -> None:
    """Their handle's `get`. Its addresses are what the answer to a submission says, so that they may be ours."""
    import fal_client as theirs
    import httpx

    async with httpx.AsyncClient() as client:
        handles = [
            theirs.AsyncRequestHandle(
                request_id=key, response_url=f"{url}/fal/{key}", status_url=f"{url}/fal/{key}/status",
                cancel_url=f"{url}/fal/{key}/cancel", client=client,
            )
            for key in ids
        ]  # fmt: skip
        await asyncio.gather(*(handle.get(interval=FAL / FACTOR) for handle in handles))


async def replicate(url: str, ids: list[str]) -> None:
    """Their prediction's `async_wait`."""
    import replicate as theirs

    client = theirs.Client(api_token=KEY, base_url=url)
    assert client.poll_interval == REPLICATE
    client.poll_interval /= FACTOR

    async def watch(key: str) -> None:
        await (await client.predictions.async_get(key)).async_wait()

    await asyncio.gather(*map(watch, ids))


async def sample(url: str, ids: list[str]) -> None:
    """The vendor's documentation shows a loop, not a package."""
    import httpx

    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client:

        async def watch(key: str) -> None:
            while True:
                answer = await client.get(GENERATION_PATH, params={"generation_id": key})
                if answer.json()["status"] == "completed":
                    return
                await asyncio.sleep(SAMPLE / FACTOR)

        await asyncio.gather(*map(watch, ids))


def ours(url: str, folder: str, many: str) -> None:
    """`submit` from an empty ledger on; says the ids as soon as all are accepted, and ends when all are saved."""
    import kling_widget as kw
    from tests.benchmarks.thousand import picture

    options = {"api_key": KEY, "base_url": url, "workspace": folder}
    generations = [kw.submit(picture(), "slow dolly in", take=take + 1, **options) for take in range(int(many))]
    for generation in generations:
        accepted = threading.Event()
        generation.on_change(lambda each, accepted=accepted: each.id and accepted.set())
        if generation.id is None:
            accepted.wait(60)
    tell({"ids": [generation.id for generation in generations]})
    for generation in generations:
        generation.wait()


WATCHERS: dict[str, Callable[[str, list[str]], Awaitable[None]]] = {
    "fal-client": fal_client,
    "replicate": replicate,
    "the vendor's sample": sample,
}


def report(interpreter: str) -> list[bool]:
    """Print the lines of the table that are about others' loops; whether each target is reached.

    Parameters
    ----------
    interpreter
        A Python that has fal-client and replicate.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        serving = stack.enter_context(process(MODULE, "serve"))
        url = said(serving)["url"]
        children = [stack.enter_context(process(MODULE, "ours", url, folder, str(MANY)))]
        ids = json.dumps(said(children[0])["ids"])
        children += [stack.enter_context(process(MODULE, who, url, ids, by=interpreter)) for who in WATCHERS]
        assert [child.wait() for child in children] == [0] * len(children)
        assert serving.stdin is not None
        serving.stdin.close()
        figures = said(serving)
    means = {who: [fmean(column) for column in zip(*each, strict=True)] for who, each in figures.items()}
    results = []
    for who, target in TARGETS.items():
        (polls, lag), (their_polls, their_lag) = means["ours"], means[who]
        ratio = polls / their_polls
        figure = (
            f"{ratio:.3f} ({polls:.1f} / {their_polls:.1f} questions; known {lag * FACTOR:.2f} and "
            f"{their_lag * FACTOR:.2f} vendor's seconds after it was ready; {MANY} clips at once, no history)"
        )
        reached, aim = ratio <= (target or ratio), "none" if target is None else f"≤ {target:g}"
        results.append(verdict(f"questions a generation / {who}'s, over HTTP", figure, reached, aim))
    return results


def main(words: list[str]) -> int:
    """The benchmark, or one of its processes."""
    match words:
        case []:
            from scripts.bench import interpreter

            return 0 if all(report(interpreter())) else 1
        case ["serve"]:
            tell(serve())
        case ["ours", url, folder, many]:
            ours(url, folder, many)
        case [who, url, ids]:
            asyncio.run(WATCHERS[who](url, json.loads(ids)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
