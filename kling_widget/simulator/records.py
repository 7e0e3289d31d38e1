"""What was asked of the simulator, for tests of the wire. Keys are masked before they are kept."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEPT_REQUESTS = 5_000  # our choice: hours of polling, a few MB
KEPT_BODY_BYTES = 64 * 2**20  # our choice: six pictures of the largest size as base64; the demo must not fill a kernel


@dataclass
class RecordedRequest:
    """One request as it arrived.

    Attributes
    ----------
    method, path, query, headers
        As sent; header names in lower case, the key behind ``Authorization: Bearer`` masked.
    body
        The bytes sent; emptied when more than 64 MiB of newer bodies are kept.
    sha256, size
        Digest (hex) and length (bytes) of the body as sent.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    sha256: str
    size: int

    def summary(self) -> dict[str, Any]:
        """The request as JSON, with digest and size instead of the body."""
        return {
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": {"sha256": self.sha256, "size": self.size},
        }


def mask(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with the key of ``Authorization`` replaced; the scheme stays to be seen."""
    masked = {name.lower(): value for name, value in headers.items()}
    if "authorization" in masked:
        scheme, space, key = masked["authorization"].partition(" ")
        masked["authorization"] = f"{scheme} ***" if space and key else "***"
    return masked


class Recorder:
    """The newest requests, oldest first. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[RecordedRequest] = deque(maxlen=KEPT_REQUESTS)

    def add(self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> None:
        """Keep one request; old bodies give way to new ones."""
        digest = hashlib.sha256(body).hexdigest()
        record = RecordedRequest(method, path, dict(query), mask(headers), body, digest, len(body))
        with self._lock:
            self._requests.append(record)
            kept = sum(len(item.body) for item in self._requests)
            for item in self._requests:
                if kept <= KEPT_BODY_BYTES:
                    break
                kept -= len(item.body)
                item.body = b""

    def list(self) -> list[RecordedRequest]:
        """All requests kept, oldest first."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._requests.clear()
