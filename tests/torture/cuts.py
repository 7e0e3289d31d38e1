"""The network breaks at random bytes between a process that makes clips and the vendor, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tests.torture.audit import Audit, audit
from tests.torture.kills import close
from tests.torture.maker import context, keep_making, settle
from tests.torture.relay import Relay
from tests.torture.vendor import vendor

EARLY = 0.85
"""Share of the connections that break within their first 8 KB; the others break later."""
PATIENCE = 1.0
"""Seconds the client waits for an answer, instead of 60: a stalled connection is given up."""
DEADLINE = 600.0
"""Seconds a process has."""


def run(generations: int, seed: int, folder: Path, tell: Callable[[str], object] = print) -> Audit:
    """Make so many clips over a broken network, settle what is unknown over the same network, and check the books."""
    processes, began = context(), time.monotonic()
    with vendor() as (server, counting), Relay(urlsplit(server.url).port or 0, seed, EARLY) as relay:
        ends = []
        for work in ((keep_making, (generations, PATIENCE)), (settle, (PATIENCE,))):
            process = processes.Process(target=work[0], args=(relay.url, folder / "clips", *work[1]))
            process.start()
            process.join(DEADLINE)
            ends.append(process.exitcode)
            process.kill()
            process.join()
        result = audit(server, folder / "clips")
        result.stuck += [f"a process ended with {code}" for code in ends if code != 0]
        tell(f"harm done by the relay: {dict(relay.fates.most_common())}")
        close(result, counting, tell)
    tell(f"seed {seed}, {time.monotonic() - began:.0f} s")
    harmed = relay.fates.total() - relay.fates["none"]
    tell(
        f"cuts {harmed}, requests {counting.requests}, submissions {result.submissions}, "
        f"accepted {result.accepted}, duplicates {result.duplicates}, lost {len(result.lost)}"
    )
    return result
