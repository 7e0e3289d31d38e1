"""What only the benchmarks need: ``python -m scripts.bench`` makes the thin environment `.venv-bench` of it.

It stays out of `.venv`, because Gradio asks for older versions of packages that the tests run with.
"""

from __future__ import annotations

import sys

from scripts.thin_environments import make, python

NAME = "bench"


def interpreter() -> str:
    """The Python that has them."""
    return str(python(NAME))


def main() -> int:
    """Makes the environment in place of what was there."""
    make(NAME, ["--group", "bench"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
