"""The package's face: every public name is there, typed, and cheap to import."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import kling_widget

STUB = Path(kling_widget.__file__).with_suffix(".pyi")


def test_the_stub_names_what_the_module_gives():
    tree = ast.parse(STUB.read_text())
    stubbed = {
        (node.module, alias.name) for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert stubbed == {(room, name) for room, names in kling_widget._ROOMS.items() for name in names}


@pytest.mark.parametrize("name", kling_widget.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name):
    assert getattr(kling_widget, name).__doc__


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        kling_widget.nonsense  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, kling_widget; print(*(name for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"anywidget", "httpx", "PIL", "av", "sqlalchemy", "numpy", "starlette", "uvicorn", "IPython", "asyncio"}
    assert not heavy & set(loaded)


def test_a_widget_is_shown_before_what_only_a_submission_needs_is_imported(tmp_path):
    code = "import sys, kling_widget; kling_widget.KlingWidget(); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    assert "anywidget" in loaded
    assert not {"httpx", "sqlalchemy", "PIL", "av", "starlette", "msgspec"} & set(loaded)
    rooms = (
        "images",
        "picture_sources",
        "request",
        "prepare",
        "video",
        "remote_workspace",
        "money",
        "simulator.server",
    )
    assert not {f"kling_widget.{room}" for room in rooms} & set(loaded)


def test_rooms_that_several_threads_import_at_once_are_all_there(tmp_path):
    """What a widget puts off is imported beside the loop, while a cell may import the same."""
    code = """
import importlib, pkgutil, random, threading, IPython, kling_widget  # IPython's own rooms import one another
rooms = [room.name for room in pkgutil.iter_modules(kling_widget.__path__) if not room.name.startswith("dask_")]
start, errors = threading.Barrier(6), []
def load(seed):
    start.wait()
    for room in random.Random(seed).sample(rooms, len(rooms)):
        try:
            importlib.import_module(f"kling_widget.{room}")
        except Exception as error:
            errors.append((room, error))
threads = [threading.Thread(target=load, args=(seed,)) for seed in range(6)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
assert len(rooms) > 60 and not errors, errors
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)


def test_who_may_say_where_the_workspace_is_may_say_where_its_ledger_is():
    asked = {name: inspect.signature(getattr(kling_widget, name)).parameters for name in ASKED}
    assert {name for name, parameters in asked.items() if "database" in parameters} == set(ASKED)


ASKED = ("KlingWidget", "Studio", "batch", "generate", "generations", "resume", "spending", "submit", "sweep")
