"""What is left when the dust has settled: the vendor's books against the ledger and the files."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import av

from kling_widget.ledger import Ledger, Row
from kling_widget.ledger_places import FILE
from kling_widget.money import Sums
from kling_widget.simulator import SimulatorServer
from kling_widget.simulator.tasks import SimulatedTask
from kling_widget.workspace import Workspace


@dataclass
class Audit:
    """The books after a run.

    Attributes
    ----------
    submissions
        Rows in the ledger.
    accepted
        Generations in the vendor's books: what was paid for.
    duplicates
        Acceptances beyond the first, by client request id and by request.
    lost
        Accepted, but no row, no file, or a file that does not decode to the end.
    undelivered
        Rows that never reached the vendor; they end as *unknown* and wait for a person.
    stuck
        Rows that are neither saved nor rightly unknown.
    integrity
        What SQLite's own check says of the ledger, and whether its sums are those of its rows.
    leftovers
        Partial videos. (A note under ``pending/`` that was torn while it was written is 2 KB that nobody reads.)
    """

    submissions: int = 0
    accepted: int = 0
    duplicates: int = 0
    lost: list[str] = field(default_factory=list)
    undelivered: int = 0
    stuck: list[str] = field(default_factory=list)
    integrity: str = ""
    leftovers: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not (self.duplicates or self.lost or self.stuck or self.leftovers) and self.integrity == "ok"


def audit(server: SimulatorServer, folder: Path, database: str | None = None) -> Audit:
    """Compare the vendor's books with a workspace that no process works in any more."""
    tasks = server.simulator.tasks
    ledger = Workspace(folder, database).ledger
    rows = {row.client_request_id: row for row in ledger.rows()}
    result = Audit(len(rows), len(tasks), integrity=integrity(folder, ledger, server.url))
    ledger.close()
    for kind in ("client_request_id", "prompt"):
        result.duplicates += sum(count - 1 for count in Counter(getattr(task, kind) for task in tasks).values())
    result.lost = [problem for task in tasks if (problem := _lost(task, rows, folder))]
    accepted = {task.client_request_id for task in tasks}
    for key, row in rows.items():
        if row.status == "unknown" and key not in accepted:
            result.undelivered += 1
        elif row.status != "completed" or row.saved is None:
            result.stuck.append(f"{key}: {row.status}")
    result.leftovers = [path.name for path in folder.glob("videos/*part")]
    return result


def integrity(folder: Path, ledger: Ledger, provider: str) -> str:
    """SQLite's check of the whole file, where it is one; and whether the sums are those of the rows."""
    kept, single = ledger.sums(provider), Sums.of(ledger.expenses(provider))
    if abs(kept.charged - single.charged) > 1e-6 or dict(kept.waiting) != dict(single.waiting):
        return f"the sums are {kept}, those of the rows {single}"
    if not (folder / FILE).exists():
        return "ok"
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return "; ".join(str(line[0]) for line in connection.execute("PRAGMA integrity_check"))


def statuses(folder: Path, database: str | None = None) -> dict[str, int]:
    """How many rows have which status, and how many downloads lie there half done."""
    found: Counter[str] = Counter()
    if database is not None or (folder / FILE).exists():
        ledger = Workspace(folder, database).ledger
        found.update("saved" if row.saved is not None else row.status for row in ledger.rows())
        ledger.close()
    found["half"] = len(list(folder.glob("videos/*.part")))
    return {name: count for name, count in found.items() if count}


def _lost(task: SimulatedTask, rows: dict[str, Row], folder: Path) -> str | None:
    """Why a paid generation is lost; None if its video is there and decodes to the last frame."""
    row = rows.get(task.client_request_id or "")
    if row is None:
        return f"{task.client_request_id}: no row"
    if row.generation_id != task.id or not row.video_file:
        return f"{task.client_request_id}: {row.status}, id {row.generation_id}"
    try:
        with av.open(str(folder / "videos" / row.video_file)) as container:
            frames = sum(1 for _ in container.decode(video=0))
    except (OSError, av.error.FFmpegError) as error:
        return f"{task.client_request_id}: {type(error).__name__}"
    return None if frames else f"{task.client_request_id}: no frames"
