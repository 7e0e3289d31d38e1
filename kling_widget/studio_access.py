"""``StudioAccess``: a studio's way to its provider: address, key, HTTP client."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from .credentials import ApiKey, hidden, require_key, simulation_forced
from .providers import BASE_URL, SIMULATOR, SIMULATOR_URL

if TYPE_CHECKING:
    from .client import Client
    from .simulator import Simulator, SimulatorSettings


class StudioAccess:
    """How a studio reaches the vendor, another server that speaks its API, or the built-in simulator.

    Parameters
    ----------
    api_key, base_url, simulate
        As of :class:`kling_widget.Studio`.
    simulator_state
        Folder in which the built-in simulator keeps what it was asked for.
    """

    def __init__(
        self, api_key: str | ApiKey | None, base_url: str | None, *, simulate: bool, simulator_state: Path
    ) -> None:
        api_key = hidden(api_key)
        self.simulated = simulate or (api_key is None and simulation_forced())
        # Two lines: verbose tracebacks show os.environ, and a key in it, beside the line that fails.
        chosen = base_url or os.environ.get("KLING_WIDGET_BASE_URL") or BASE_URL
        self.base_url = chosen.rstrip("/")
        self._api_key = ApiKey(api_key) if api_key is not None else None
        self._simulator_state = simulator_state

    @property
    def provider(self) -> str:
        """Who makes the videos: the API's base URL, or ``simulator``."""
        return SIMULATOR if self.simulated else self.base_url

    @cached_property
    def _simulator(self) -> Simulator:
        from .simulator import Simulator

        return Simulator(self._simulator_settings)

    @cached_property
    def _simulator_settings(self) -> SimulatorSettings:
        from .simulator import SimulatorSettings

        free = {5: 0.0, 10: 0.0}  # USD
        return SimulatorSettings(state_dir=self._simulator_state, price_usd=free)

    @property
    def time_factor(self) -> float:
        """How much faster than the vendor this provider is known to run; 1 for the vendor."""
        return float(self._simulator_settings.time_factor) if self.simulated else 1.0

    @cached_property
    def client(self) -> Client:
        """The HTTP client, for use on the background loop.

        Raises
        ------
        MissingKeyError
            No key anywhere.
        """
        from .client import Client  # only now, for a widget is shown before anybody needs httpx
        from .gate import gate_of

        gate = gate_of(self.provider)
        if self.simulated:
            return Client(simulate=True, base_url=SIMULATOR_URL, transport=self._simulator.transport(), gate=gate)
        return Client(require_key(self._api_key), self.base_url, gate=gate)

    def require_key(self) -> None:
        """Raise :class:`MissingKeyError` if there is no key: it is said before anything else."""
        _ = self.client

    def key(self) -> ApiKey:
        """The key it works with.

        Raises
        ------
        MissingKeyError
            No key anywhere.
        """
        return require_key(self._api_key)

    def offer_key(self, api_key: ApiKey) -> None:
        """Use this key if none was given. What Colab is asked for on the main thread is not to be asked on the loop."""
        if self._api_key is None and "client" not in self.__dict__:
            self._api_key = api_key

    def use_key(self, api_key: ApiKey) -> None:
        """Use this key from now on."""
        if self._api_key is None or self._api_key.reveal() != api_key.reveal():
            self._api_key = api_key
            self.__dict__.pop("client", None)  # the next call makes one with the new key
