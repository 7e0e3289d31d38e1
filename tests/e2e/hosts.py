"""The other hosts as the browser tests see them: their servers, and a page in each."""

from __future__ import annotations

import json
import os
import re
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts.hosts import jupyter_variables
from scripts.jupyter import RunningServer, launch, own_jupyter, start
from scripts.thin_environments import python
from tests import kernel_sockets
from tests.ports import free_port

Start = Callable[[Path, Mapping[str, str]], RunningServer]
"""Starts a server: its home, an empty folder, and environment variables for it and its kernels."""

NOISE = {
    "widget model not found": "JupyterLab 4.2, of any widget in a notebook opened without a kernel",
    r"ERR_NAME_NOT_RESOLVED \(https://cdn\.jsdelivr\.net/npm/@fortawesome/": "Voilà's icons, where there is no network",
    r"(?s)reading 'schema'.*/static/notebook/notebook_core": "Notebook 7.6.5, with any notebook: of its own shortcuts",
}
"""Pattern of an error → why it is the host's own and harmless."""


def jupyterlab_4_2(home: Path, variables: Mapping[str, str]) -> RunningServer:
    """The oldest JupyterLab we support."""
    environment = {**os.environ, **jupyter_variables("jupyterlab-4.2"), **variables}
    return start(
        home,
        root_of(home),
        environment=environment,
        arguments=["--LabApp.expose_app_in_browser=True", kernel_sockets.ARGUMENT],
        python=python("jupyterlab-4.2"),
        runtime=kernel_sockets.runtime_folder(),
    )


def notebook_7(home: Path, variables: Mapping[str, str]) -> RunningServer:
    """The newest Notebook 7."""
    environment = {**os.environ, **jupyter_variables("notebook-7"), **variables}
    return start(
        home,
        root_of(home),
        environment=environment,
        arguments=["--JupyterNotebookApp.expose_app_in_browser=True", kernel_sockets.ARGUMENT],
        application="notebook",
        python=python("notebook-7"),
        runtime=kernel_sockets.runtime_folder(),
    )


def voila(home: Path, variables: Mapping[str, str]) -> RunningServer:
    """Voilà on a folder: ``voila/render/<name>.ipynb`` runs the notebook and shows its outputs."""
    root, token = root_of(home), secrets.token_hex(24)
    own = own_jupyter(home, kernel_sockets.runtime_folder())
    environment = {**os.environ, **own, **jupyter_variables("voila"), **variables}
    # By configuration file, so that the token is in no list of processes.
    settings = {"Voila": {"token": token}, **kernel_sockets.TRANSPORT}
    (home / "config" / "voila.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [str(python("voila")), "-m", "voila", str(root), "--no-browser", "--Voila.ip=127.0.0.1"]
    return launch(command, home, root, environment, token, finds_address(r"(http://127\.0\.0\.1:\d+/)"))


def marimo(mode: str, notebook: str) -> Start:
    """marimo on one notebook, given by its source: ``edit`` shows and runs its cells, ``run`` shows it as an app."""

    def start_it(home: Path, variables: Mapping[str, str]) -> RunningServer:
        root, token = root_of(home), secrets.token_hex(24)
        (root / "notebook.py").write_text(notebook, encoding="utf-8")
        (home / "token").write_text(token, encoding="utf-8")
        (home / "config" / "marimo").mkdir(parents=True)
        settings = "[runtime]\nauto_instantiate = true\n"  # a notebook that is opened runs
        (home / "config" / "marimo" / "marimo.toml").write_text(settings, encoding="utf-8")
        own = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")}
        command = [
            *(str(python("marimo")), "-m", "marimo", mode, "notebook.py", "--headless", "--host=127.0.0.1"),
            # Of two that look for a port at the same time both would find the same.
            *(f"--port={free_port()}", f"--token-password-file={home / 'token'}", "--no-sandbox"),
        ]
        environment = {**os.environ, **own, **variables}
        return launch(command, home, root, environment, token, finds_address(r"(http://[\w.]+:\d+)"))

    return start_it


def root_of(home: Path) -> Path:
    """The folder a server serves."""
    root = home / "root"
    root.mkdir(parents=True)
    return root


def finds_address(pattern: str) -> Callable[[RunningServer], bool]:
    """Waits until the server's log names its address, which it does once it listens."""

    def ready(server: RunningServer) -> bool:
        found = re.search(pattern, server.log.read_text(encoding="utf-8", errors="replace"))
        if found:
            server.url = re.sub(r"//[\w.]+:", "//127.0.0.1:", found.group(1)).rstrip("/") + "/"
        return found is not None

    return ready


def kept_digests(workspace: Path) -> Sequence[str]:
    """SHA-256 of the first frames that were asked for from a workspace, as they were given, in the order of asking."""
    with sqlite3.connect(f"file:{workspace / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
        rows = ledger.execute("SELECT pictures FROM generations ORDER BY created").fetchall()
    return [json.loads(pictures)["image_url"]["sha256"] for (pictures,) in rows]
