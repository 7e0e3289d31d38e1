"""Rows that come when they like, or not at all: a source that waits, or ends the program, holds up nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kling_widget as kw
from kling_widget.simulator import SimulatorServer
from tests.integration.conftest import KEY, Serve, submissions
from tests.integration.test_batch import plain, python, start_on
from tests.integration.test_money import DEADLINE, eventually


@pytest.fixture
def vendor(serve: Serve) -> SimulatorServer:
    """Clips of 64 px that take a third of a second."""
    return serve(long_edge=64, fps=2)


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(plain())
    return path


WAITING = """
import queue, sys
import kling_widget as kw

inbox = queue.Queue()

def incoming():
    while True:
        yield {"image": inbox.get(), "prompt": "as it comes"}

options = {"confirm": False, "progress": False, "workspace": sys.argv[2]}
inbox.put(sys.argv[1])
batch = kw.batch(incoming(), **options)
for result in batch:
    print(result.row, result.status)
    break
batch.stop()
print(len(batch.wait(30)), batch.over)
others = [kw.batch(incoming(), **options) for _ in range(40)]  # more than a pool of threads has
print(kw.generate(sys.argv[1], "in between", progress=False, workspace=sys.argv[2], timeout=30).path.exists())
"""


def test_rows_that_are_waited_for_hold_up_neither_stop_nor_other_work_nor_the_end_of_a_script(
    vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    said = python(vendor, WAITING, str(cat), str(tmp_path / "clips"))
    assert said.stdout.splitlines() == ["0 completed", "1 True", "True"]
    assert said.stderr == ""
    assert len(submissions(vendor)) == 2


def test_what_keeps_all_rows_from_being_made_ends_a_batch_whose_next_row_never_comes(
    vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    script = WAITING.partition("for result in batch")[0] + "print([each.status for each in batch.wait(30)])"
    refused = script.replace('"confirm"', '"api_key": "sk-wrong", "confirm"')
    assert python(vendor, refused, str(cat), str(tmp_path / "clips")).stdout == "['rejected']\n"


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt])
def test_rows_that_end_the_program_end_only_their_batch(
    vendor: SimulatorServer, tmp_path: Path, cat: Path, leave: type[BaseException]
) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        yield {"image": cat, "prompt": "one"}
        raise leave("no such folder")

    settings = {"api_key": KEY, "base_url": vendor.url, "workspace": tmp_path / "clips", "progress": False}
    batch = start_on(vendor, tmp_path, rows())
    eventually(lambda: len(batch.finished) == 1)
    other = kw.submit(cat, "nothing to do with it", **settings)
    with pytest.raises(RuntimeError, match=f"{leave.__name__}: no such folder") as raised:
        batch.wait(DEADLINE)
    assert isinstance(raised.value.__cause__, leave)
    assert other.wait(DEADLINE).path.exists()
    assert kw.generate(cat, "and later", **settings).path.exists()


def test_a_source_that_takes_its_time_to_begin_is_no_matter_of_the_background_loop(
    vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    class Folder:
        def __iter__(self) -> Iterator[Path]:
            sys.exit("no such folder")

    with pytest.raises(RuntimeError, match="SystemExit: no such folder"):
        start_on(vendor, tmp_path, Folder(), prompt="one").wait(DEADLINE)
