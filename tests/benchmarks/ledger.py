"""The ledger with 100,000 rows against one with 100: ``python -m tests.benchmarks.ledger``."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from kling_widget.ledger import Ledger, Row
from kling_widget.ledger_schema import table, values_of
from kling_widget.money import check_budget
from tests.benchmarks.verdicts import verdict

MANY, FEW = 100_000, 100
PAGE = 50  # rows
ROUNDS = 21
TARGET = 1.5
PICTURE = {"name": "harbour.png", "sha256": "0" * 64, "url": None, "width": 1920, "height": 1080, "size": 2_000_000}
BEGAN = 1_760_000_000.0  # Unix seconds; any


def made(number: int) -> Row:
    """A saved generation as a batch leaves it."""
    created = BEGAN + number
    return Row(
        f"kw-{number:032x}", "https://api.aimlapi.com", f"{number:064x}", status="completed",
        generation_id=f"bA23_2Dk4Yh6RWT5{number:06d}",
        request={"prompt": f"clip {number}: a quiet harbour at dawn, slow dolly in", "duration": 5, "cfg_scale": 0.5},
        pictures={"image_url": PICTURE}, created=created, accepted=created + 1, completed=created + 187,
        saved=created + 190, took=180.0 + number % 20, video_file=f"{number}.mp4", usd=0.5, notebook="batch.ipynb",
    )  # fmt: skip


def ledger_with(rows: int, folder: Path) -> Path:
    """A ledger file with so many rows."""
    ledger = Ledger(folder / f"{rows}" / "ledger.sqlite")

    def fill(connection: sa.Connection) -> None:
        for start in range(0, rows, 5000):
            batch = [made(number) for number in range(start, min(start + 5000, rows))]
            connection.execute(table.insert(), [{**values_of(row), "held_take": 1} for row in batch])

    ledger._write(fill)
    ledger.close()
    return folder / f"{rows}" / "ledger.sqlite"


def open_it(ledger: Ledger) -> None:
    Ledger(ledger._place).close()


def first_page(ledger: Ledger) -> None:
    assert len(ledger.rows(limit=PAGE)) == PAGE


def insert(ledger: Ledger) -> None:
    assert ledger.admit(Row(f"kw-{uuid.uuid4().hex}", "https://api.aimlapi.com", uuid.uuid4().hex))[1]


def insert_with_a_budget(ledger: Ledger) -> None:
    row = Row(f"kw-{uuid.uuid4().hex}", "https://api.aimlapi.com", uuid.uuid4().hex)
    assert ledger.admit(row, check=lambda sums: check_budget(1e6, 5, sums))[1]


def sums(ledger: Ledger) -> None:
    assert ledger.sums("https://api.aimlapi.com").charged > 0


def learned(ledger: Ledger) -> None:
    assert len(ledger.durations("https://api.aimlapi.com", 5, limit=FEW)) == FEW


def seconds(act: Callable[[Ledger], None], ledger: Ledger) -> float:
    began = time.perf_counter()
    act(ledger)
    return time.perf_counter() - began


def report() -> list[bool]:
    """Print the lines of the table that are about the ledger; whether each target is reached."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        many, few = (Ledger(ledger_with(rows, Path(folder))) for rows in (MANY, FEW))
        for act in (open_it, first_page, insert, insert_with_a_budget, sums, learned):
            seconds(act, many), seconds(act, few)  # caches
            times = [(seconds(act, many), seconds(act, few)) for _ in range(ROUNDS)]
            ratio = statistics.median(a / b for a, b in times)
            shown = [f"{1000 * statistics.median(column):.1f} ms" for column in zip(*times, strict=True)]
            figure = f"{ratio:.2f} ({' / '.join(shown)}, {ROUNDS} alternating runs)"
            name = f"ledger with {MANY:,} rows / with {FEW}, {act.__name__.replace('_', ' ')}"
            results.append(verdict(name, figure, ratio <= TARGET, f"≤ {TARGET:g}"))
        many.close(), few.close()
    return results


if __name__ == "__main__":
    sys.exit(0 if all(report()) else 1)
