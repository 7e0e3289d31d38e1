"""``python -m tests.torture kills|cuts``: the full runs of `make torture`. The last line holds the figures."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.torture import cuts, kills


def main() -> int:
    """Run one of them; 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("what", choices=("kills", "cuts"))
    parser.add_argument("--count", type=int, help="kills (default 200) or generations (default 300)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="default: a new one each time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kling-torture-") as folder:
        print(f"seed {given.seed}", flush=True)
        if given.what == "kills":
            result = kills.run(given.count or 200, given.seed, Path(folder), _tell)
        else:
            result = cuts.run(given.count or 300, given.seed, Path(folder), _tell)
    return 0 if result.good else 1


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
