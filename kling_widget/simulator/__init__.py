"""The vendor's API on this machine: in process or on loopback, with faults on demand and real MP4s.

>>> from kling_widget.simulator import Simulator
>>> simulator = Simulator()
>>> transport = simulator.transport()  # for ``httpx.AsyncClient(transport=..., base_url="http://simulator.invalid")``

Nothing here leaves the machine: pictures given by URL are drawn, not fetched, and servers listen on loopback only.
"""

from __future__ import annotations

from kling_widget.simulator.faults import Fault
from kling_widget.simulator.server import SimulatorServer
from kling_widget.simulator.settings import SimulatorSettings
from kling_widget.simulator.simulator import Simulator

__all__ = ["Fault", "Simulator", "SimulatorServer", "SimulatorSettings"]
