"""One line of the table that ``make bench`` prints."""

from __future__ import annotations


def verdict(name: str, figure: object, reached: bool, target: str) -> bool:
    """Print a figure beside its target; whether it was reached."""
    print(f"{'ok    ' if reached else 'MISSED'}  {name}: {figure}; target {target}", flush=True)
    return reached
