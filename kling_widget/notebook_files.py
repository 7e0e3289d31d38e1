"""Can the page that shows the notebook load a file from its folder, and under which relative address?

JupyterLab and Notebook 7 turn a relative ``src`` of an HTML output into the server's ``files/…``; the server gives what
lies under its root and is not hidden. VS Code, Colab and Voila give nothing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import background

_EMBED_ONLY = {  # environment variable → host whose pages cannot load files beside the notebook
    "VSCODE_PID": "vscode",
    "KAGGLE_KERNEL_RUN_TYPE": "kaggle",
    "DATABRICKS_RUNTIME_VERSION": "databricks",
}


def notebook_relative(path: str | os.PathLike[str]) -> str | None:
    """Address of a file relative to the notebook, quoted for a ``src``.

    Returns
    -------
    None where the page cannot load it: another host than Jupyter, a file outside the server's root or a hidden one,
    or a kernel on another machine than the notebook.
    """
    folder = _notebook_folder() if host() == "jupyter" else None
    if folder is None:
        return None
    root = _server_root() or folder
    for resolve in (os.path.abspath, os.path.realpath):  # as written first: the server follows links below its root
        target, base, top = resolve(os.fspath(path)), resolve(folder), resolve(root)
        try:
            inside = os.path.relpath(target, top)
            relative = os.path.relpath(target, base)
        except ValueError:  # another drive on Windows
            continue
        parts = Path(inside).parts
        if os.path.isabs(inside) or any(part.startswith(".") for part in parts):  # covers "..": outside the root
            continue
        return quote(Path(relative).as_posix())
    return None


def host() -> str:
    """Who shows the output: ``jupyter``, ``vscode``, ``colab``, ``voila``, ``marimo``, ``kaggle`` or ``databricks``."""
    if "google.colab" in sys.modules:
        return "colab"
    if "marimo" in sys.modules and kernel_shell() is None:
        return "marimo"
    # The latter where the kernel was started before anybody asked for the page (`preheat_kernel`).
    if os.environ.get("SERVER_SOFTWARE", "").lower().startswith("voila") or "VOILA_PREHEAT" in os.environ:
        return "voila"
    if "-jvsc-" in os.environ.get("JPY_SESSION_NAME", "") or _vscode_notebook():
        return "vscode"
    return next((name for variable, name in _EMBED_ONLY.items() if variable in os.environ), "jupyter")


def kernel_shell() -> Any:
    """IPython's shell where it runs in a notebook's kernel; None in a terminal and in plain Python."""
    shell = _shell()
    return shell if getattr(shell, "kernel", None) is not None else None


def in_marimo_cell() -> bool:
    """Whether the calling code, on this very thread, runs in a marimo cell. Never imports marimo: it takes a second."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


def in_notebook() -> bool:
    """Whether what is printed here goes below a notebook's cell."""
    return kernel_shell() is not None or in_marimo_cell()


def takes_input() -> bool:
    """Whether ``input()`` reaches a person here: in a kernel, a terminal, and a marimo notebook that is edited.

    A marimo app has nowhere to ask, even if the terminal that serves it is one.
    """
    if in_marimo_cell():
        return bool(sys.modules["marimo"].app_meta().mode == "edit")
    return kernel_shell() is not None or (sys.stdin is not None and sys.stdin.isatty())


def running_cell() -> int | None:
    """Number of the cell that runs (or ran last) in this kernel."""
    return getattr(kernel_shell(), "execution_count", None)


def runs_now(cell: int | None) -> bool:
    """Whether this is the number of the cell that runs (or ran last) in this kernel."""
    return cell is not None and cell == running_cell()


def when_cell_ends(tell: Callable[[BaseException | None], object]) -> bool:
    """Call once when the cell that runs is over, with the error that ended it. For what an interrupt ends.

    Returns
    -------
    Whether there will be a call: in IPython, on the thread that Ctrl-C reaches.
    """
    shell = _shell()
    if shell is None or not background.on_main_thread():
        return False

    def over(result: Any) -> None:  # whose name counts: IPython 7 looks at it
        if background.on_main_thread():  # else a cell of another subshell is over
            shell.events.unregister("post_run_cell", over)
            tell(getattr(result, "error_in_exec", None))

    shell.events.register("post_run_cell", over)
    return True


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _vscode_notebook() -> bool:
    """VS Code's Jupyter extension puts the notebook's path into the kernel's namespace."""
    shell = _shell()
    return shell is not None and "__vsc_ipynb_file__" in shell.user_ns


def notebook_name() -> str | None:
    """File name of the notebook this kernel belongs to, or of the script that runs; None where it can't be known."""
    shell = kernel_shell()
    if shell is None:
        import __main__

        path = getattr(__main__, "__file__", None)
    else:
        path = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    return os.path.basename(path)[:255] or None if isinstance(path, str) else None


def _notebook_folder() -> str | None:
    """jupyter_server starts a kernel with ``JPY_SESSION_NAME``: the notebook's path on disk (`get_kernel_env`).

    It stays true after ``os.chdir``. Elsewhere (nbclient, papermill) kernels start in the notebook's folder.
    """
    session = os.environ.get("JPY_SESSION_NAME", "")
    if not os.path.isabs(session):
        return os.getcwd()
    folder = os.path.dirname(session)
    return folder if os.path.isdir(folder) else None  # a remote kernel: its files are not on the server


def _server_root() -> str | None:
    """The folder the server serves, from the file it leaves for `jupyter server list`."""
    parent = os.environ.get("JPY_PARENT_PID", "")  # set by jupyter_client; a handle, not a pid, on Windows
    if not parent.isdigit():
        return None
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        facts = json.loads(Path(jupyter_runtime_dir(), f"jpserver-{parent}.json").read_text())
    except (ImportError, OSError, ValueError):
        return None
    root = facts.get("root_dir") if isinstance(facts, dict) else None
    return root if isinstance(root, str) and os.path.isdir(root) else None
