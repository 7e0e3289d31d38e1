"""``/_simulator/``: faults and records of a simulator that runs as a server. Not part of the vendor's API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kling_widget.simulator.faults import Fault

if TYPE_CHECKING:
    from kling_widget.simulator.simulator import Simulator


def control_routes(simulator: Simulator) -> list[Route]:
    """The routes that read and change this simulator's faults and records."""

    async def show_faults(request: Request) -> Response:
        return JSONResponse([fault.to_json() for fault in simulator.faults])

    async def add_faults(request: Request) -> Response:
        try:
            data = json.loads(await request.body())
            faults = [Fault.from_json(item) for item in (data if isinstance(data, list) else [data])]
        except (ValueError, TypeError) as problem:
            return JSONResponse({"message": str(problem)}, 400)
        simulator.faults.add(*faults)
        return await show_faults(request)

    async def clear_faults(request: Request) -> Response:
        simulator.faults.clear()
        return await show_faults(request)

    async def show_requests(request: Request) -> Response:
        return JSONResponse([record.summary() for record in simulator.requests])

    async def clear_requests(request: Request) -> Response:
        simulator.recorder.clear()
        return JSONResponse([])

    return [
        Route("/_simulator/faults", show_faults, methods=["GET"]),
        Route("/_simulator/faults", add_faults, methods=["POST"]),
        Route("/_simulator/faults", clear_faults, methods=["DELETE"]),
        Route("/_simulator/requests", show_requests, methods=["GET"]),
        Route("/_simulator/requests", clear_requests, methods=["DELETE"]),
    ]
