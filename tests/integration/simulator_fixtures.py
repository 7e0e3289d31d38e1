"""Talking to the simulator over plain HTTP, as any client would: shared by the tests of the simulator."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from PIL import Image, ImageDraw

from kling_widget.simulator import Simulator, SimulatorServer, SimulatorSettings

PATH = "/v2/generate/video/kling/generation"
UNIVERSAL_PATH = "/v2/video/generations"
MODEL = "kling-video/v1.6/pro/image-to-video"
KEY = "sk-test-0123456789"


class Clock:
    """A clock that a test moves; starts at the real time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = time.time()

    def __call__(self) -> float:
        with self._lock:
            return self._now

    def forward(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


def picture(size: tuple[int, int] = (640, 360), colour: str = "teal", format: str = "PNG") -> bytes:
    """A picture with enough in it to be recognised: a disc and a bar on a plain ground."""
    image = Image.new("RGB", size, colour)
    draw = ImageDraw.Draw(image)
    width, height = size
    draw.ellipse((width * 0.2, height * 0.2, width * 0.5, height * 0.8), fill="white")
    draw.rectangle((width * 0.65, 0, width * 0.75, height), fill="black")
    target = io.BytesIO()
    image.save(target, format)
    return target.getvalue()


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def body(**changes: Any) -> dict[str, Any]:
    """A good body of a submission, with changes; None takes a field away."""
    fields = {"model": MODEL, "image_url": data_uri(picture()), "prompt": "a quiet harbour", **changes}
    return {name: value for name, value in fields.items() if value is not None}


def small(**changes: Any) -> SimulatorSettings:
    """Settings for tests: small videos are made in a tenth of the time."""
    return SimulatorSettings(**{"long_edge": 160, **changes})


class Caller:
    """A server, its clock, and a client of it."""

    def __init__(self, server: SimulatorServer, clock: Clock, client: httpx.AsyncClient) -> None:
        self.server = server
        self.simulator = server.simulator
        self.clock = clock
        self.client = client

    async def submit(self, path: str = PATH, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
        return await self.client.post(path, json=body(**changes), headers=headers)

    async def accepted(self, **changes: Any) -> str:
        answer = await self.submit(**changes)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    async def retrieve(self, generation_id: str, path: str = PATH) -> httpx.Response:
        return await self.client.get(path, params={"generation_id": generation_id})

    async def finished(self, generation_id: str) -> dict[str, Any]:
        """The task after all its time has passed."""
        self.clock.forward(1000)
        return dict((await self.retrieve(generation_id)).json())

    async def video_url(self, **changes: Any) -> str:
        return str((await self.finished(await self.accepted(**changes)))["video"]["url"])

    async def video(self, **changes: Any) -> bytes:
        answer = await self.client.get(await self.video_url(**changes))
        assert answer.status_code == 200, answer.text
        return answer.content


@contextmanager
def serving(settings: SimulatorSettings | None = None) -> Iterator[tuple[SimulatorServer, Clock]]:
    clock = Clock()
    with SimulatorServer(settings or small(), clock=clock) as server:
        yield server, clock


@asynccontextmanager
async def calling(settings: SimulatorSettings | None = None, timeout: float = 60) -> AsyncIterator[Caller]:
    with serving(settings) as (server, clock):
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=timeout) as client:
            yield Caller(server, clock, client)


@asynccontextmanager
async def calling_in_process(settings: SimulatorSettings | None = None, timeout: float = 60) -> AsyncIterator[Caller]:
    """The same as `calling`, without a network."""
    clock = Clock()
    with Simulator(settings or small(), clock=clock) as simulator:
        client = httpx.AsyncClient(
            transport=simulator.transport(),
            base_url="http://simulator.invalid",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=timeout,
        )
        async with client:
            server: Any = type("InProcess", (), {"simulator": simulator, "url": "http://simulator.invalid"})
            yield Caller(server, clock, client)
