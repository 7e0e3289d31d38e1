"""``StudioAccess``: a studio's way to its provider: address, key, HTTP client."""

from __future__ import annotations

import os
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from . import background
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
        self._given = api_key is not None  # by a person, for this studio: it is never looked for elsewhere
        self._simulator_state = simulator_state
        self._renewing = threading.Lock()

    def forget_connections(self) -> list[object]:
        """In a fork's child: returns what has the parent's connections, unclosed. The next call makes others."""
        self._renewing = threading.Lock()
        return [self.__dict__.pop(name, None) for name in ("client", "_simulator")]

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
        if self._api_key is None and not self.simulated:
            self._api_key = require_key()
        return self._connected(self._api_key)

    def _connected(self, key: ApiKey | None) -> Client:
        from .client import Client  # only now, for a widget is shown before anybody needs httpx
        from .gate import gate_of

        gate = gate_of(self.provider)
        if self.simulated:
            return Client(simulate=True, base_url=SIMULATOR_URL, transport=self._simulator.transport(), gate=gate)
        return Client(key, self.base_url, gate=gate)

    def require_key(self) -> None:
        """Raise :class:`MissingKeyError` if there is no key: it is said before anything else. As :meth:`renew`."""
        self.renew()
        _ = self.client

    def renew(self) -> None:
        """Look for the key anew if it was refused, and for the network's settings if no connection could be made.

        A key that was given stays. Asks a keyring only after a refusal; not to be called on the background loop.

        Raises
        ------
        MissingKeyError, AuthenticationError, InvalidRequestError
            There is no key any more; it, or a setting of the network, cannot be used.
        """
        with self._renewing:  # a keyring is asked once, by whoever of many comes first
            client = self.__dict__.get("client")
            if client is None or self.simulated:
                return
            if client.key_refused and not self._given:
                self._change(require_key())
            elif client.unreachable:
                self._change(self._api_key)

    def _change(self, key: ApiKey | None) -> None:
        """From now on a client with this key and the network's settings of now; the old one ends what it has begun."""
        fresh = self._connected(key)  # first: if that is impossible, what is under way keeps what it has
        self._drop()
        self._api_key, self.__dict__["client"] = key, fresh

    def _drop(self) -> None:
        old = self.__dict__.pop("client", None)
        if old is not None:
            background.go(old.retire())

    def key(self) -> ApiKey:
        """The key it works with.

        Raises
        ------
        MissingKeyError
            No key anywhere.
        """
        return require_key(self._api_key)

    def offer_key(self, api_key: ApiKey) -> None:
        """Use this key if none was given, and none was found that is good.

        What Colab is asked for on the main thread is not to be asked on the loop.
        """
        client = self.__dict__.get("client")
        if self._api_key is None:
            self._api_key = api_key
        elif client is not None and client.key_refused and not self._given:
            self._change(api_key)

    def use_key(self, api_key: ApiKey) -> None:
        """Use this key from now on."""
        if self._api_key is not None and self._api_key.reveal() == api_key.reveal():
            return
        self._api_key, self._given = api_key, True
        self._drop()  # at once: the next press makes a client with the new key, and never finds the old one
