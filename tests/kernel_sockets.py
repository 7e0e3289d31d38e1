"""Kernels that tests start are spoken to over sockets in a folder, not over ports.

Jupyter looks for five free ports, lets go of them, and connects to them again and again until the kernel, seconds
later, has bound them. Whatever asks for a free port in between may get one of these: every server that the other
tests start. Then that server has a stranger on its line, and the kernel dies; it is started anew on other ports, of
which an open page never learns. Tried with JupyterLab 4 and a port that was taken on purpose: it waits for good.
"""

from __future__ import annotations

import functools
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

TRANSPORT = {"KernelManager": {"transport": "ipc"}}
"""For a Jupyter application's configuration."""

ARGUMENT = "--KernelManager.transport=ipc"
"""The same on its command line."""


@functools.cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="kling-", dir="/tmp")  # an address has 107 bytes on Linux, 103 on macOS


def runtime_folder() -> Path:
    """Where Jupyter is to keep its connection files, beside which the sockets are; goes with this process."""
    return Path(_folder().name)


def client(notebook: NotebookNode, folder: Path, **options: Any) -> NotebookClient:
    """What runs a notebook in a folder, without a page."""
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, config=one_kernel(), resources=resources, **options)


def one_kernel() -> Config:
    """The configuration of a manager that starts one kernel."""
    return Config(KernelManager={**TRANSPORT["KernelManager"], "connection_file": f"{runtime_folder()}/{uuid4()}.json"})
