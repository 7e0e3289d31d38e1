"""The newest Python of this machine, where it is newer than the one all tests run on: dependencies differ there.

PyAV 19 asks for Python 3.12, and hung there what 18 did not (`kling_widget.media.converted`). ``python -m
scripts.newest_python make`` makes a virtual environment of it beside `.venv`, ``… test`` runs the unit tests and those
of real kernels there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.kernels import COLAB
from scripts.thin_environments import directory, python

NAME = "newest-python"
MINORS = range(sys.version_info.minor + 1, 14)
"""Of Python 3, up to the newest for which all of our dependencies have wheels."""
TESTS = ("tests/unit", "tests/integration/test_generation_shown.py", "tests/integration/test_magics.py")
ONLY = f"not [{COLAB}"
"""Which of them: Colab's kernel is of the Python that all tests run on."""
NONE = "The newest Python here is the one all tests run on."


def newest() -> str | None:
    """The newest Python above the running one, on the PATH or of pyenv's; None where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for minor in reversed(MINORS):
        others = sorted(str(each) for each in pyenv.glob(f"3.{minor}.*/bin/python3"))
        for candidate in (shutil.which(f"python3.{minor}"), *others):
            # A command on the PATH may be a version manager's, which only complains.
            if (
                candidate is not None
                and subprocess.run([candidate, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0
            ):
                return candidate
    return None


def make() -> int:
    """Make its environment, with everything that tests need."""
    found = newest()
    if found is None:
        print(NONE)
        return 0
    subprocess.run(["sh", "scripts/make-venv", str(directory(NAME)), found], check=True)
    pip = [str(python(NAME)), "-m", "pip", "install", "--quiet"]
    return subprocess.run([*pip, "--editable", ".", "--group", "dev"]).returncode


def test(arguments: list[str]) -> int:
    """Run the tests there; `arguments` go to pytest."""
    if not python(NAME).exists():
        print(NONE)
        return 0
    return subprocess.run([str(python(NAME)), "-m", "pytest", *arguments, "-k", ONLY, *TESTS]).returncode


if __name__ == "__main__":
    sys.exit(make() if sys.argv[1] == "make" else test(sys.argv[2:]))
