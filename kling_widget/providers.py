"""Where the API is, and how the simulator in process is called: known before anybody needs HTTP."""

from __future__ import annotations

BASE_URL = "https://api.aimlapi.com"  # the specification
SIMULATOR = "simulator"  # in process, as ledgers name it; any other provider is its base URL
SIMULATOR_URL = "http://simulator.invalid"  # the simulator in process; .invalid never resolves (RFC 2606)
