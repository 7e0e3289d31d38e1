"""A process that makes clips is killed with SIGKILL at random instants, again and again, and nothing is lost."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.torture.audit import Audit, audit, statuses
from tests.torture.maker import context, keep_making, settle
from tests.torture.vendor import Counting, vendor

SOON, LATE = 0.3, 2.0
"""Seconds: half of the lives end while the process takes up and submits, half while it polls and downloads."""
PATIENCE = 300.0
"""Seconds the last, undisturbed process has to settle everything."""


def run(
    kills: int, seed: int, folder: Path, tell: Callable[[str], object] = print, database: str | None = None
) -> Audit:
    """Kill `kills` processes one after the other, let a last one finish, and check the books.

    Parameters
    ----------
    kills
        How many.
    seed
        All instants follow from it.
    folder
        For the workspace.
    tell
        Takes each line of the protocol.
    database
        Of the ledger; None is a file in the workspace.
    """
    instants = random.Random(seed)
    processes = context()
    seen: Counter[str] = Counter()
    began = time.monotonic()
    with vendor() as (server, counting):
        for number in range(1, kills + 1):
            life = instants.uniform(0.0, SOON if instants.random() < 0.5 else LATE)
            process = processes.Process(target=keep_making, args=(server.url, folder / "clips", None, None, database))
            process.start()
            time.sleep(life)
            process.kill()
            process.join()
            if process.exitcode != -9:
                raise RuntimeError(f"life {number} ended by itself, with {process.exitcode}")
            process.close()
            left = statuses(folder / "clips", database)
            seen.update(dict.fromkeys(left, 1))
            tell(f"kill {number:3} after {life:5.3f} s: {' '.join(f'{n} {name}' for name, n in sorted(left.items()))}")
        last = processes.Process(target=settle, args=(server.url, folder / "clips", None, database))
        last.start()
        last.join(PATIENCE)
        ended = last.exitcode
        last.kill()
        result = audit(server, folder / "clips", database)
        result.stuck += [] if ended == 0 else [f"the last process ended with {ended}"]
        tell(f"found after a kill, in how many of them: {dict(seen.most_common())}")
        close(result, counting, tell)
    tell(f"seed {seed}, {time.monotonic() - began:.0f} s")
    tell(
        f"kills {kills}, submissions {result.submissions}, accepted {result.accepted}, "
        f"duplicates {result.duplicates}, lost {len(result.lost)}"
    )
    return result


def close(result: Audit, counting: Counting, tell: Callable[[str], object]) -> None:
    """Beyond the vendor's books: no client request id may have come twice, accepted or not."""
    twice = sum(count - 1 for count in counting.posts.values())
    result.duplicates += twice
    for problem in (*result.lost, *result.stuck, *result.leftovers):
        tell(f"wrong: {problem}")
    tell(
        f"requests {counting.requests}, submissions that arrived {sum(counting.posts.values())}, ids that came twice "
        f"{twice}, unknown and never arrived {result.undelivered}, stuck {len(result.stuck)}, "
        f"ledger {result.integrity}"
    )
