"""The rules of Colab and VS Code, with where each was read. Nothing here was tried in the real hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import scripts.kernels


@dataclass(frozen=True)
class Rules:
    """What a host does to outputs and to the messages of widgets.

    Attributes
    ----------
    frames
        ``cell``: each cell has an output frame with a manager of its own; ``notebook``: all cells share one.
    state
        How a frame learns of a model. ``asked``: from the page around it, when it shows it, without buffers;
        ``opened``: from the kernel's ``comm_open``, with buffers.
    buffers
        What buffers arrive as.
    mark
        What a widget's output must have in its metadata to be shown; None: nothing.
    resolve_url
        Whether the manager's ``resolveUrl`` gives a relative address back as it is, or fails. Neither loads a file.
    limit
        Bytes from which a message of a widget is dropped without a word.
    sandbox
        Of the frame. Both hosts also have ``allow-same-origin``, on an origin of the frame's own. Here it is left out,
        so that the origin is opaque: at least as strict, and needs no second name for this machine.
    kernel
        Name of the kernel (`scripts.kernels`).
    environment
        Of the kernel.
    first
        Code that the host runs in the kernel before the first cell.
    """

    name: str
    kernel: str
    frames: Literal["cell", "notebook"]
    state: Literal["asked", "opened"]
    buffers: Literal["Uint8Array", "DataView"]
    mark: str | None
    resolve_url: Literal["as it is", "fails"]
    limit: int = 1_000_000  # Colab: jupyter-widgets/ipywidgets#3452. None is known for VS Code: the same, to be safe
    sandbox: str = "allow-scripts"
    environment: dict[str, str] = field(default_factory=dict)
    first: str = ""


COLAB = Rules(
    name="colab",
    kernel=scripts.kernels.COLAB,
    frames="cell",
    # colab-cdn-widget-manager, src/manager.ts: `get_model` asks `environment.getModelState`, `commChannelOpened` never
    # hands on `buffers` (googlecolab/colab-cdn-widget-manager#33), `ClassicComm.on_msg` wraps them in Uint8Array.
    state="asked",
    buffers="Uint8Array",
    mark="colab",  # colabtools, google/colab/output/_widgets.py: `_widget_display_hook`
    resolve_url="as it is",  # base-manager, src/manager-base.ts: the default, which Colab's manager keeps
    first="import google.colab",  # Colab's kernel class is of that package, so it is loaded before any cell
)

VSCODE = Rules(
    name="vscode",
    kernel=scripts.kernels.NEWEST,
    frames="notebook",  # vscode, backLayerWebView.ts: one webview for the notebook
    # vscode-jupyter, ipywidgets/kernel/kernel.ts: the webview runs JupyterLab's own KernelConnection on messages that
    # are passed on whole; vscode-jupyter-ipywidgets, src/manager.ts: JupyterLab's own manager, comm target registered.
    state="opened",
    buffers="DataView",
    mark=None,
    resolve_url="fails",  # vscode-jupyter-ipywidgets, src/documentContext.ts: `urlResolver` is never set
    environment={"VSCODE_PID": "1"},
    first="__vsc_ipynb_file__ = '/home/somebody/notebook.ipynb'",
)
