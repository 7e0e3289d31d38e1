"""Thin virtual environments beside `.venv`: each holds a few packages and sees everything else through `.venv`."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path


def directory(name: str) -> Path:
    """Where a thin environment is: beside the running environment, named after it."""
    return Path(f"{sys.prefix}-{name}")


def python(name: str) -> Path:
    """The Python of a thin environment."""
    return directory(name) / "bin" / "python"


def shared_data(prefix: str | Path) -> Path:
    """Where an environment keeps what a Jupyter server looks for: kernelspecs and extensions."""
    return Path(prefix) / "share" / "jupyter"


def make(name: str, packages: Sequence[str], *, alone: bool = False) -> None:
    """Makes a thin environment in place of what was there.

    Parameters
    ----------
    name
        Part of its folder's name.
    packages
        What pip installs into it, as pip takes it, with those of its dependencies that the environment behind does not
        have, or has in a version that does not fit.
    alone
        Leave the dependencies out.
    """
    environment = directory(name)
    venv.create(environment, clear=True, symlinks=True)
    # A plain path would do for packages, but only `addsitedir` follows the .pth of our own editable install.
    behind = f"import site; site.addsitedir({str(site_packages(Path(sys.prefix)))!r})\n"
    (site_packages(environment) / "behind.pth").write_text(behind, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python(name)), "install", "--quiet"]
    subprocess.run([*pip, *(["--no-deps", "--ignore-installed"] if alone else []), *packages], check=True)


def site_packages(environment: Path) -> Path:
    """The `site-packages` of a virtual environment of the running Python's version."""
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
