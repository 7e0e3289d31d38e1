"""The short run of `make torture`: a process that makes clips is killed at random instants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import kills

KILLS = 20


def test_nothing_paid_for_is_lost_or_paid_twice_when_the_process_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print()
        result = kills.run(KILLS, seed=20260823, folder=tmp_path, tell=_last_line_only)
    assert result.accepted >= KILLS / 2, "the run did not do what it is for"
    assert result.good, result


def test_nor_when_its_ledger_is_on_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    with capsys.disabled():
        print()
        result = kills.run(KILLS // 2, seed=20261125, folder=tmp_path, tell=_last_line_only, database=postgres_url)
    assert result.accepted >= KILLS / 4, "the run did not do what it is for"
    assert result.good, result
    assert not (tmp_path / "clips" / "ledger.sqlite").exists()


def _last_line_only(line: str) -> None:
    if line.startswith(("kills", "wrong")):
        print(line)
