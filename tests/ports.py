"""Ports of 127.0.0.1 for servers that have to be told theirs."""

from __future__ import annotations

import secrets
import socket


def free_port() -> int:
    """Below the ports that the system gives to whoever connects somewhere, one of which it could take before we do."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
