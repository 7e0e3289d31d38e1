"""The vendor's API on this machine: in process or on loopback, with faults on demand and real MP4s.

>>> from kling_widget.simulator import Simulator
>>> simulator = Simulator()
>>> transport = simulator.transport()  # for ``httpx.AsyncClient(transport=..., base_url="http://simulator.invalid")``

Nothing here leaves the machine: pictures given by URL are drawn, not fetched, and servers listen on loopback only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kling_widget.simulator.faults import Fault
    from kling_widget.simulator.server import SimulatorServer
    from kling_widget.simulator.settings import SimulatorSettings
    from kling_widget.simulator.simulator import Simulator

__all__ = ["Fault", "Simulator", "SimulatorServer", "SimulatorSettings"]

# Each is imported when it is first used: a widget that was just opened asks the settings how long a clip takes.
_ROOM_OF = {"Fault": "faults", "Simulator": "simulator", "SimulatorServer": "server", "SimulatorSettings": "settings"}


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_ROOM_OF[name]}", __name__), name)
    globals()[name] = value
    return value
