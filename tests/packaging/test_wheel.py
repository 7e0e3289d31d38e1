"""What people install: wheel and sdist hold the front end and the extension, and work on a machine without Node."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from scripts.node import search_path
from scripts.thin_environments import site_packages

ROOT = Path(__file__).parents[2]
BUNDLE = {"kling_widget/static/widget.js", "kling_widget/static/widget.css"}
EXTENSION = "share/jupyter/labextensions/kling-widget"

SMOKE = """
import io, pathlib, shutil, sys
import kling_widget as kw
from kling_widget.simulator import SimulatorServer, SimulatorSettings
from PIL import Image

assert pathlib.Path(kw.__file__).is_relative_to(sys.prefix), kw.__file__
assert shutil.which("node") is None and shutil.which("npm") is None
picture = io.BytesIO()
Image.effect_noise((400, 300), 60).save(picture, "PNG")
settings = SimulatorSettings(time_factor=2000, long_edge=320, api_keys=frozenset({"sk-smoke"}))
with SimulatorServer(settings) as vendor:
    where = {"base_url": vendor.url, "workspace": "videos", "api_key": "sk-smoke"}
    video = kw.generate(picture.getvalue(), "smoke", **where)
    widget = kw.KlingWidget(picture.getvalue(), "smoke", **where)
state = widget.get_state()
print(video.width, state["prompt"], state["first_frame"]["width"], "export" in state["_esm"], ".kling" in state["_css"])
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist, and the wheel built from it, by the command that a release uses."""
    out = tmp_path_factory.mktemp("dist")
    # The build requirements are among the test tools; the isolated build is tried below, by installing the sdist.
    run(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--skip-dependency-check",
        "--outdir",
        out,
        ROOT,
        path=search_path(),
    )
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with what the package says it depends on, and nothing else.

    Each dependency is a link to where the tests have it: installing them anew would take a minute.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, symlinks=True)
    here, there = site_packages(Path(sys.prefix)), site_packages(folder)
    files = [file for name in dependencies("kling-widget") for file in metadata.files(name) or []]
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        (there / top).symlink_to(here / top)
    return folder


def dependencies(package: str) -> set[str]:
    """Distributions that a package needs, and those that they need, without extras."""
    found: set[str] = set()
    queue = [package]
    while queue:
        needs = [Requirement(need) for need in metadata.requires(queue.pop()) or []]
        wanted = {need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})} - found
        found |= wanted
        queue += wanted
    return found


@pytest.fixture(scope="module")
def path_without_node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with all programs of this one but Node's."""
    folder = tmp_path_factory.mktemp("bin")
    for program in ("sh", "uname", "ldd", "ldconfig", "gcc"):  # what pip and ctypes ask for
        if found := shutil.which(program):
            (folder / program).symlink_to(found)
    return str(folder)


def run(*command: str | Path, path: str | None = None, cwd: Path | None = None, **variables: str) -> str:
    """What a command prints; where it fails, that fails the test."""
    environment = {**os.environ, **variables, "PATH": path or os.environ["PATH"]}
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def installed(name: str) -> str | None:
    """Where a file of the wheel's data comes to lie, below the environment."""
    return name.split(".data/data/", 1)[1] if ".data/data/" in name else None


def test_the_wheel_holds_the_front_end_and_the_extension_and_nothing_else_of_ours(built: dict[str, Path]) -> None:
    names = in_wheel(built["wheel"])
    assert names >= BUNDLE
    data = {where for name in names if (where := installed(name))}
    assert data >= {f"{EXTENSION}/package.json", f"{EXTENSION}/install.json"}
    with zipfile.ZipFile(built["wheel"]) as file:
        (package,) = (name for name in names if name.endswith("labextensions/kling-widget/package.json"))
        about = json.loads(file.read(package))
    assert f"{EXTENSION}/{about['jupyterlab']['_build']['load']}" in data
    assert about["version"] == built["wheel"].name.split("-")[1]
    others = {name for name in names if not name.startswith("kling_widget/")}
    assert {name.split("/", 1)[0].rsplit(".", 1)[1] for name in others} == {"data", "dist-info"}
    assert not [name for name in names if "node_modules" in name or "test" in name or name.endswith(".ts")]


def test_the_sdist_holds_what_was_built_and_the_sources(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as file:
        names = {name.split("/", 1)[1] for name in file.getnames() if "/" in name}
    assert names >= BUNDLE | {
        "js/labextension/package.json",
        "js/src/index.ts",
        "js/extension/index.ts",
        "hatch_build.py",
    }
    assert [name for name in names if name.startswith("js/labextension/static/remoteEntry.")]
    assert not [name for name in names if "node_modules" in name]


@pytest.mark.parametrize("form", ["wheel", "sdist"])
def test_installed_without_node_it_makes_a_video_a_widget_and_an_extension_that_jupyterlab_lists(
    built: dict[str, Path], clean: Path, path_without_node: str, tmp_path: Path, form: str
) -> None:
    python = clean / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = built["wheel"]
    if form == "sdist":  # what pip does with one, but for the environment in which it would install hatchling first
        run(*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", tmp_path, built[form], path=path_without_node)
        (wheel,) = tmp_path.glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--force-reinstall", wheel, path=path_without_node)
    said = run(python, "-c", SMOKE, path=path_without_node, cwd=tmp_path)
    assert said.split() == ["320", "smoke", "400", "True", "True"]

    listed = run(
        sys.executable, "-m", "jupyterlab.labextensions", "list", JUPYTER_PATH=str(clean / "share" / "jupyter")
    )
    ours = listed.split(f"{clean / EXTENSION}".removesuffix("/kling-widget"), 1)[1].split("\n\n", 1)[0]
    assert re.search(r"kling-widget v\S+ \S*enabled\S* \S*OK", ours)
