"""The vendor's endpoints (aimlapi.md §1 and §2) as a Starlette app."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kling_widget.simulator import accounts, answers, files, validation
from kling_widget.simulator.answers import VendorError
from kling_widget.simulator.control import control_routes
from kling_widget.simulator.gate import GENERATION_PATHS, Gate
from kling_widget.simulator.pictures import PictureError, read_picture
from kling_widget.simulator.settings import CREDITS_PER_USD
from kling_widget.simulator.store import file_key
from kling_widget.simulator.tasks import SimulatedTask, new_task

if TYPE_CHECKING:
    from kling_widget.simulator.simulator import Simulator

# A page in a browser on this machine must not reach the simulator under a name of its own (DNS rebinding).
HOSTS = ["127.0.0.1", "localhost", "simulator.invalid"]
TIME_FACTOR_HEADER = "x-simulator-time-factor"  # ours, not the vendor's: tells a client what to expect
FAILURE = {"name": "ContentFilterError", "message": "The prompt was rejected by the content filter"}
PICTURE_FIELDS = ("image_url", "tail_image_url", "static_mask")


def build_app(simulator: Simulator) -> Starlette:
    """The app around this simulator's state."""
    endpoints = Endpoints(simulator)
    routes = [Route(path, endpoints.submit, methods=["POST"]) for path in GENERATION_PATHS]
    routes += [Route(path, endpoints.retrieve, methods=["GET"]) for path in GENERATION_PATHS]
    routes += [
        Route("/v2/logs", endpoints.logs),
        Route("/v2/billing", endpoints.billing),
        Route("/v2/billing/transactions", endpoints.transactions),
        Route(files.PREFIX + "{key}.mp4", endpoints.download),
        *control_routes(simulator),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS), Middleware(Gate, simulator=simulator)],
        exception_handlers={VendorError: endpoints.refuse, HTTPException: endpoints.refuse},
    )


class Endpoints:
    """One method per endpoint; the state is the simulator's."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.settings = simulator.settings
        self.store = simulator.store
        self._accepting = threading.Lock()  # two submissions must not both take the last credit

    async def refuse(self, request: Request, problem: Exception) -> Response:
        """Turn an exception into the vendor's error body."""
        if isinstance(problem, HTTPException):  # an address or method the vendor doesn't know
            problem = VendorError(404, f"Cannot {request.method} {request.url.path}")
        if not isinstance(problem, VendorError):
            raise problem
        request_id = self.simulator.next_request_id()
        return answers.error(request, problem, now=self.simulator.clock(), request_id=request_id)

    async def submit(self, request: Request) -> Response:
        """``POST``: check, keep, answer with the id."""
        self._authorize(request)
        try:
            body = json.loads(await request.body())
        except ValueError as problem:
            raise VendorError(400, "Unexpected token in JSON: the body is not valid JSON") from problem
        if found := validation.problems(body):
            raise VendorError(400, validation.sentence(found))
        pictures = await asyncio.to_thread(self._pictures, body)
        task = await asyncio.to_thread(self._accept, body, pictures, answers.client_request_id(request))
        shown = self._show(task, request, {"id": task.id})
        headers = {"x-inference-id": task.id}
        if self.settings.id_in != "id":
            del shown["id"]
        if self.settings.id_in == "generation_id":
            shown, headers = {"generation_id": task.id, **shown}, {}
        return self._answer(request, self.settings.submit_status, shown, headers)

    async def retrieve(self, request: Request) -> Response:
        """``GET``: the task as it is now."""
        self._authorize(request)
        generation_id = request.query_params.get("generation_id")
        if not generation_id:
            raise VendorError(400, "generation_id: Required")
        task = await asyncio.to_thread(self.store.find, file_key(generation_id))
        if task is None:
            raise VendorError(404, "Generation not found")
        headers = {"x-inference-id": task.id}
        if task.phase(self.simulator.clock()) == "completed":
            headers |= self._cost(task)
        return self._answer(request, 200, self._show(task, request, {"id": task.id}), headers)

    async def logs(self, request: Request) -> Response:
        """``GET /v2/logs``."""
        self._authorize(request)
        now = self.simulator.clock()
        if not self.simulator.log_calls.allow(now):
            raise VendorError(429, "Too many requests", {"retry-after": "60"})
        tasks = await asyncio.to_thread(self.store.tasks)
        return answers.answer(request, 200, accounts.logs(tasks, self.settings, now, request.query_params))

    async def billing(self, request: Request) -> Response:
        """``GET /v2/billing``."""
        self._authorize(request)
        tasks = await asyncio.to_thread(self.store.tasks)
        return answers.answer(request, 200, accounts.balance(tasks, self.settings, self.simulator.clock()))

    async def transactions(self, request: Request) -> Response:
        """``GET /v2/billing/transactions``."""
        self._authorize(request)
        tasks = await asyncio.to_thread(self.store.tasks)
        page = accounts.transactions(tasks, self.settings, self.simulator.clock(), request.query_params)
        return answers.answer(request, 200, page)

    async def download(self, request: Request) -> Response:
        """The video itself."""
        return await files.download(request, self.settings, self.store, self.simulator.clock())

    def _answer(self, request: Request, status: int, body: Any, headers: dict[str, str]) -> Response:
        return answers.answer(request, status, body, {**headers, TIME_FACTOR_HEADER: f"{self.settings.time_factor:g}"})

    def _authorize(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        good = self.settings.api_keys
        if scheme.lower() != "bearer" or not key.strip() or (good is not None and key.strip() not in good):
            raise VendorError(401, "Invalid API key. Check the Authorization header")

    def _pictures(self, body: dict[str, Any]) -> dict[str, str]:
        """Check and keep the pictures of a submission: SHA-256 by field."""
        kept = {}
        for name in PICTURE_FIELDS:
            if name in body:
                try:
                    kept[name] = self.store.add_picture(read_picture(body[name]))
                except PictureError as problem:
                    raise VendorError(400, f"{name}: {problem}") from problem
        return kept

    def _accept(self, body: dict[str, Any], pictures: dict[str, str], client_request_id: str | None) -> SimulatedTask:
        """Keep the task unless the account or the limits are against it."""
        now = self.simulator.clock()

        def make(number: int) -> SimulatedTask:
            return new_task(
                self.settings,
                number,
                created=now,
                body=body,
                first_frame=pictures["image_url"],
                last_frame=pictures.get("tail_image_url"),
                client_request_id=client_request_id,
            )

        with self._accepting:
            self._check_account(body, now)
            return self.store.create(make)

    def _check_account(self, body: dict[str, Any], now: float) -> None:
        tasks = self.store.tasks()
        price = self.settings.price_usd[body.get("duration", 5)] * CREDITS_PER_USD
        if accounts.spoken_for(tasks) + price > self.settings.credits:
            raise VendorError(403, "You have run out of credits. Please top up your balance")
        limit = self.settings.concurrency_limit
        if limit is not None and sum(now < task.ends for task in tasks) >= limit:
            raise VendorError(429, f"Concurrency limit reached: {limit} unfinished generations")

    def _cost(self, task: SimulatedTask) -> dict[str, str]:
        told = {
            "credits": ("x-aimlapi-credits-used", str(task.credits)),
            "usd": ("x-aimlapi-usd-spent", f"{task.usd:g}"),
        }
        return dict(told[name] for name in self.settings.cost_in)

    def _show(self, task: SimulatedTask, request: Request, shown: dict[str, Any]) -> dict[str, Any]:
        """The task in the vendor's words, added to `shown`."""
        now = self.simulator.clock()
        phase = task.phase(now)
        words = dict(zip(("queued", "generating", "completed"), self.settings.status_words, strict=True))
        shown |= {"status": words.get(phase, phase), "video": None, "error": None, "meta": None}
        if phase == "error":
            shown["error"] = dict(FAILURE)
        if phase == "completed":
            shown["video"] = self._video(task, request, now)
            if "credits" in self.settings.cost_in:
                shown["meta"] = {"usage": {"credits_used": task.credits}}
        elif phase != "error":
            self.store.video(task)  # after a restart: begun again, to be ready in time
        return shown

    def _video(self, task: SimulatedTask, request: Request, now: float) -> dict[str, Any]:
        video: dict[str, Any] = {
            "url": files.video_url(self.settings, str(request.base_url), task.id, now),
            "content_type": "video/mp4",
            "file_name": f"{file_key(task.id)}.mp4",
        }
        made = self.store.video(task)
        if made.done() and not made.exception():
            video["file_size"] = made.result().stat().st_size
        return video
