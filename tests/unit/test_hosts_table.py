"""docs/hosts.md claims nothing without naming a test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
TEXT = (TESTS.parent / "docs" / "hosts.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|") and not line.startswith("| ---")
]
NAMED = dict(re.findall(r"^(\d+)\. `([^`]+)`", TEXT, re.MULTILINE))
NOTES = set(re.findall(r"^- \*\*(\w)\.\*\*", TEXT, re.MULTILINE))


def test_every_test_it_names_is_there():
    assert NAMED
    for name in NAMED.values():
        file, function = name.split("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        assert function in [each for each in functions if each.startswith("test_")], name


def test_every_cell_names_a_test_or_says_that_there_is_none():
    head, *hosts = ROWS
    assert len(hosts) == 12
    used = set()
    for host, *cells in hosts:
        assert len(cells) == len(head) - 1, host
        for cell in cells:
            words, marks = re.sub(r"\[\w\]|\[\d+\]", "", cell).strip(), re.findall(r"\[(\w+)\]", cell)
            numbers = {mark for mark in marks if mark.isdigit()}
            assert bool(numbers) != (words == "not tested" or words.startswith("cannot: ")), (host, cell)
            assert not numbers or not words, (host, cell)
            assert numbers <= set(NAMED), (host, cell)
            assert set(marks) - numbers <= NOTES, (host, cell)
            used |= set(marks)
    assert used == set(NAMED) | NOTES, "a test or a note that no cell refers to"
