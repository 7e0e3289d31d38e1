"""Starts servers of notebooks that neither know nor change the user's: for the demo and for the browser tests."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT = 90.0
"""Seconds until a server must answer; a cold start on a slow machine takes about 10."""

STOP_TIMEOUT = 15.0
"""Seconds for a server to shut its kernels down before it is killed."""

SETTINGS = {
    # Or JupyterLab asks at its first start whether it may fetch news.
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


class ServerFailed(RuntimeError):
    """The server ended or never answered; the message holds the end of its log."""


@dataclass
class RunningServer:
    """A server on loopback: JupyterLab, or another that shows notebooks.

    Attributes
    ----------
    url
        Its address, with a slash at the end.
    token
        What it asks for.
    root
        The folder it serves.
    home
        Where it keeps its own files.
    process
        The server itself; leader of its own process group.
    """

    url: str
    token: str
    root: Path
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.home / "server.log"

    def address(self, page: str) -> str:
        """The address of a page such as ``lab/tree/x.ipynb``, with the token."""
        return f"{self.url}{page}{'&' if '?' in page else '?'}token={self.token}"

    def ask(self, path: str, method: str = "GET") -> Any:
        """What the REST API answers, read as JSON; None for an empty answer."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            body = response.read()
        return json.loads(body) if body else None

    def stop(self) -> None:
        """Ends the server and its kernels; killed if it doesn't go in time."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def own_jupyter(home: Path, runtime: Path | None = None) -> dict[str, str]:
    """Environment variables that keep Jupyter and IPython inside `home`, which is filled with our settings.

    Connection files and notes of running servers are kept in `runtime`, if that is given.
    """
    overrides = home / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text(json.dumps(SETTINGS), encoding="utf-8")
    return {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime or home / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


def start(
    home: Path,
    root: Path,
    *,
    environment: Mapping[str, str],
    arguments: Sequence[str] = (),
    application: str = "jupyterlab",
    python: str | Path = sys.executable,
    runtime: Path | None = None,
    port: int = 0,
) -> RunningServer:
    """Starts a Jupyter server on a free port of 127.0.0.1 and returns when it answers.

    Parameters
    ----------
    home
        Where Jupyter keeps its configuration, data, and log.
    root
        The folder to serve.
    environment
        The whole environment of the server, which its kernels inherit.
    arguments
        More command line arguments.
    application
        The module to run: ``jupyterlab`` or ``notebook``.
    python
        Of which environment.
    runtime
        Where its connection files go, if not into `home`.
    port
        From which on it takes the first free one; 0 is any. Of two that begin at one port at once, both choose the
        same, and the second ends.

    Raises
    ------
    ServerFailed
        It ended or did not answer in `START_TIMEOUT` seconds.
    """
    token = secrets.token_hex(24)
    # By environment variable, so that the token is in no list of processes.
    variables = {**environment, **own_jupyter(home, runtime), "JUPYTER_TOKEN": token}
    command = [
        *(str(python), "-m", application, "--no-browser", "--ip=127.0.0.1", f"--ServerApp.root_dir={root}"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=200"),
        *("--LabApp.extension_manager=readonly", *arguments),
    ]
    if os.geteuid() == 0:
        command.append("--allow-root")
    return launch(command, home, root, variables, token, answers(Path(variables["JUPYTER_RUNTIME_DIR"])))


def launch(
    command: Sequence[str],
    home: Path,
    root: Path,
    environment: Mapping[str, str],
    token: str,
    ready: Callable[[RunningServer], bool],
) -> RunningServer:
    """Starts a server in `root`, its log in `home`, and returns when `ready` has found its address and says so.

    Raises
    ------
    ServerFailed
        It ended or was not ready in `START_TIMEOUT` seconds.
    """
    with (home / "server.log").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to pass on, and the whole group can be killed
        )
    server = RunningServer("", token, root, home, process)
    try:
        wait_until_ready(server, ready)
    except BaseException:
        server.stop()
        raise
    return server


def wait_until_ready(server: RunningServer, ready: Callable[[RunningServer], bool]) -> None:
    """Waits as long as the server lives and its time is not up."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.process.poll() is None:
        if ready(server):
            return
        time.sleep(0.1)
    tail = server.log.read_text(encoding="utf-8", errors="replace")[-3000:]
    raise ServerFailed(f"The server did not start. The end of {server.log}:\n{tail}")


def answers(runtime: Path) -> Callable[[RunningServer], bool]:
    """Tells whether a Jupyter server has left its note of its address there, and answers at it."""

    def ready(server: RunningServer) -> bool:
        note = runtime / f"jpserver-{server.process.pid}.json"
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError, urllib.error.URLError):
            server.url = server.url or json.loads(note.read_text(encoding="utf-8"))["url"]
            server.ask("api/status")
            return True
        return False

    return ready
