"""What the JupyterLab extension (``js/extension``) asks a notebook's kernel, by a request that leaves no trace."""

from __future__ import annotations

from typing import Any

from . import panel_output
from .widget import KlingWidget


def panel(model_id: str | None = None) -> Any:
    """The widget that this kernel's side panel shows: the one put there last, else a new one, made once.

    Parameters
    ----------
    model_id
        One that was there before and is wanted again; without effect if it is closed.

    Returns
    -------
    IPython.display.JSON
        ``{model_id}``, in the form in which a front end gets values of expressions.
    """
    from IPython.display import JSON

    widget = panel_output.find(model_id) or KlingWidget()
    panel_output.place(widget)
    return JSON({"model_id": widget.model_id})
