"""Other places where people open notebooks, beside the JupyterLab that the environment itself has.

``python -m scripts.hosts`` makes one thin virtual environment for each. They stay apart, and out of `.venv`, because
each brings an extension that every other Jupyter page would load: Notebook 7's throws in Voilà and in JupyterLab 4.2.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.thin_environments import directory, make, python, shared_data

HOSTS = {
    "jupyterlab-4.2": ("jupyterlab", "jupyterlab==4.2.*"),
    "notebook-7": ("notebook", "notebook==7.*"),
    "voila": ("voila", "voila>=0.5"),
    "marimo": ("marimo", "marimo>=0.20"),
}
"""Name of the environment, the module that is its server, and what pip installs for it."""


def jupyter_variables(host: str) -> dict[str, str]:
    """Environment variables by which a Jupyter server of a host finds what the environment behind it has.

    Its own comes first: Voilà would take a page of nbconvert's for its own of the same name.
    """
    own, behind = shared_data(directory(host)), shared_data(sys.prefix)
    return {
        "JUPYTER_PATH": os.pathsep.join([str(own), str(behind)]),
        "JUPYTER_CONFIG_PATH": str(Path(sys.prefix) / "etc" / "jupyter"),
    }


def version(host: str) -> str:
    """Which version of a host its environment really starts."""
    module = HOSTS[host][0]
    code = f"from importlib.metadata import version; import {module}; print(version({module!r}))"
    return subprocess.run([python(host), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def link_jupyterlab_s_share() -> None:
    """Notebook 7 looks for JupyterLab's settings and themes beside its own, where they are after a plain install."""
    own, behind = (shared_data(prefix) / "lab" for prefix in (directory("notebook-7"), sys.prefix))
    for name in ("schemas/@jupyterlab", "themes"):
        (own / name).symlink_to(behind / name)


def main() -> int:
    """Makes all of them, several at a time, and says which versions they really import."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: make(host, [HOSTS[host][1]]), HOSTS))
        link_jupyterlab_s_share()
        for host, found in zip(HOSTS, pool.map(version, HOSTS), strict=True):
            print(host, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
