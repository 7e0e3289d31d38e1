"""Our dependencies in the lowest versions that pyproject.toml allows: pip keeps an older one that is there, if it may.

Tests had only ever seen the newest, and `%load_ext kling_widget` failed with IPython 7.34, which Colab has.
``python -m scripts.lowest_dependencies make`` makes a thin environment of them beside `.venv`, ``… test`` runs the
unit tests there.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

from packaging.requirements import Requirement

from scripts import thin_environments
from scripts.thin_environments import python

NAME = "lowest-dependencies"


def lowest() -> list[str]:
    """Each dependency that is no extra, in its lowest version, as pip takes it."""
    needed = [Requirement(text) for text in importlib.metadata.requires("kling-widget") or ()]
    return [f"{each.name}=={_lower(each)}" for each in needed if each.marker is None]


def _lower(requirement: Requirement) -> str:
    (bound,) = requirement.specifier
    if bound.operator != ">=":
        raise ValueError(f"{requirement} has no lowest version.")
    return bound.version


def test(arguments: list[str]) -> int:
    """Run the unit tests there; `arguments` go to pytest."""
    return subprocess.run([str(python(NAME)), "-m", "pytest", *arguments, "tests/unit"]).returncode


if __name__ == "__main__":
    if sys.argv[1] == "test":
        sys.exit(test(sys.argv[2:]))
    thin_environments.make(NAME, lowest())
