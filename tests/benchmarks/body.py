"""A picture of 10 MB on its way into the body of a request: ours against base64, JSON and the same POST by hand.

``python -m tests.benchmarks.body`` prints the table. The server is a process of our own on 127.0.0.1 that reads a
request to its last byte and answers with the moment at which it had it, as the id.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import io
import json
import math
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from PIL import Image

import kling_widget as kw
from kling_widget.client import GENERATION_PATH
from kling_widget.connections import TIMEOUT
from kling_widget.kept_pictures import wire_body
from kling_widget.ledger import Row
from kling_widget.request import MODEL
from kling_widget.workspace import Workspace
from tests.benchmarks.processes import MB, forget_peak, memory, process, said, tell
from tests.benchmarks.verdicts import verdict

SIZE = 10_000_000  # bytes of the picture: the largest that is sent as it is
ROUNDS = 15
TIME_TARGET, MEMORY_TARGET = 1.2, 2.0
MODULE = "tests.benchmarks.body"
KEY = "sk-bench"
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"

Send = Callable[[Path], Awaitable[int]]  # a picture's file → when its last byte was there, ns


def picture() -> bytes:
    """A JPEG of noise and, to make it exactly as long, bytes after its end, which nobody minds."""
    target = io.BytesIO()
    Image.effect_noise((3400, 2500), 60).convert("RGB").save(target, "JPEG", quality=88)
    assert len(target.getvalue()) < SIZE
    return target.getvalue().ljust(SIZE, b"\0")


def serve() -> None:
    """Answer requests until the process is ended."""
    listening = socket.create_server(("127.0.0.1", 0))
    tell({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"})
    buffer = bytearray(1 << 20)
    while True:
        connection, _ = listening.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1 << 16)
            head, _, body = head.partition(b"\r\n\r\n")
            told = re.search(rb"content-length: (\d+)", head.lower())  # none: a question, once it is submitted
            received = len(body)
            while told is not None and received < int(told[1]):
                received += connection.recv_into(buffer)
            content = json.dumps({"id": str(time.monotonic_ns()), "status": "queued"}).encode()
            connection.sendall(ANSWER % (len(content), content))


def ours(url: str, workspace: Workspace) -> Send:
    """As a generation is submitted: the picture lies in the workspace, the row names it."""
    client = kw.Client(KEY, url)

    async def send(path: Path) -> int:
        row = Row("kw-1", url, "", request={"image_url": f"sha256:{path.stem}", "prompt": "slow dolly in"})
        body = await asyncio.to_thread(wire_body, workspace, row)
        return int((await client.create(body)).id or "")

    return send


def by_hand(url: str, _: Workspace) -> Send:
    """What a person writes: everything at once, and a connection for it as ours has."""
    limits = httpx.Limits(max_keepalive_connections=0)
    client = httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, limits=limits, timeout=TIMEOUT)

    async def send(path: Path) -> int:
        encoded = base64.b64encode(await asyncio.to_thread(path.read_bytes)).decode()
        fields = {"model": MODEL, "image_url": f"data:image/jpeg;base64,{encoded}", "prompt": "slow dolly in"}
        headers = {"Content-Type": "application/json"}
        answer = await client.post(GENERATION_PATH, content=json.dumps(fields), headers=headers)
        return int(answer.json()["id"])

    return send


def whole(url: str, workspace: Workspace) -> Send:
    """All of `submit`: the picture is checked, kept and written down first."""

    async def send(path: Path) -> int:
        generation = kw.submit(path, "slow dolly in", api_key=KEY, base_url=url, workspace=workspace.path / "own")
        known = threading.Event()
        generation.on_change(lambda each: each.id and known.set())
        await asyncio.to_thread(known.wait, 60)
        generation.stop()
        return int(generation.id or "")

    return send


WAYS = {"ours": ours, "by hand": by_hand, "all of submit": whole}


async def seconds(send: Send, path: Path) -> float:
    """From the file to its last byte at the server."""
    began = time.monotonic_ns()
    return (await send(path) - began) / 1e9


async def raced(url: str, folder: Path) -> dict[str, list[float]]:
    """Seconds by way, the ways taking turns. Each round has a picture of its own, so that nothing is known of it."""
    workspace, data = Workspace(folder), picture()
    sends = {name: way(url, workspace) for name, way in WAYS.items()}
    times: dict[str, list[float]] = {name: [] for name in sends}
    for number in range(ROUNDS + 1):
        path = kept(workspace, data, number)
        for name, send in sends.items():
            times[name].append(await seconds(send, path))
    return {name: each[1:] for name, each in times.items()}  # without the first: imports and caches


def kept(workspace: Workspace, data: bytes, number: int) -> Path:
    """A picture like no other, kept in the workspace as `submit` keeps it."""
    data = data[:-8] + number.to_bytes(8, "big")
    return workspace.keep_image(hashlib.sha256(data).hexdigest(), ".jpg", data)


async def grown(name: str, url: str, folder: Path) -> float:
    """Peak memory that one picture costs beyond a small one before it, as a share of its size."""
    workspace = Workspace(folder)
    send = WAYS[name](url, workspace)
    small = io.BytesIO()
    Image.new("RGB", (320, 320)).save(small, "JPEG")
    await send(kept(workspace, small.getvalue() + bytes(8), 0))
    [path] = [path for path in (folder / "images").iterdir() if path.stat().st_size == SIZE]
    gc.collect()
    forget_peak()
    before = memory("VmRSS")
    await send(path)
    return (memory("VmHWM") - before) * MB / SIZE


def report() -> list[bool]:
    """Print the lines of the table that are about the request's body; whether each target is reached."""
    with tempfile.TemporaryDirectory() as name, process(MODULE, "serve") as serving:
        url, folder = said(serving)["url"], Path(name)
        times = asyncio.run(raced(url, folder / "times"))
        growth = {}
        for way in WAYS:
            place = folder / way
            kept(Workspace(place), picture(), 1)
            with process(MODULE, "grow", way, url, str(place)) as child:
                growth[way] = said(child)["growth"]
    results = []
    for way, aims in (("ours", (TIME_TARGET, MEMORY_TARGET)), ("all of submit", (None, None))):
        ratios = [ours / theirs for ours, theirs in zip(times[way], times["by hand"], strict=True)]
        medians = " / ".join(f"{1000 * statistics.median(times[each]):.0f}" for each in (way, "by hand"))
        figure = f"{statistics.median(ratios):.2f} ({medians} ms, {ROUNDS} alternating runs)"
        what = "10 MB picture → body on the wire" + ("" if way == "ours" else ", all of submit")
        time_aim, memory_aim = aims
        aim = "none" if time_aim is None else f"≤ {time_aim:g}"
        results.append(verdict(f"{what} / by hand", figure, statistics.median(ratios) <= (time_aim or math.inf), aim))
        figure = f"{growth[way]:.2f} (by hand {growth['by hand']:.2f})"
        aim = "none" if memory_aim is None else f"≤ {memory_aim:g}"
        results.append(verdict(f"{what}, peak memory / picture", figure, growth[way] <= (memory_aim or math.inf), aim))
    return results


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["grow", way, url, folder]:
            tell({"growth": asyncio.run(grown(way, url, Path(folder)))})
        case _:
            sys.exit(0 if all(report()) else 1)
