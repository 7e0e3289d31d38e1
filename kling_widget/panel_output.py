"""What ``KlingWidget.side_panel()`` puts into the output of its cell, and which widgets it has put into the panel.

The output says everything at once: the extension of JupyterLab and Notebook 7 (``js/extension``) hears it, opens its
panel and shows a line in the cell; a page without the extension shows the widget itself, with the reason below it. So
nothing waits for an answer, which could not arrive while the cell runs.
"""

from __future__ import annotations

from typing import Any

MIME = "application/vnd.kling-widget.side-panel+json"
"""``{model_id}`` of the widget that the panel shows, or ``{hint: true}``; named in js/extension/line.ts, too."""

HINT = (
    "This page has no side panel, so the widget is here. JupyterLab and Notebook 7 have one where kling_widget is "
    "installed beside them: <code>jupyter labextension list</code> says whether it is on."
)

_placed: dict[str, Any] = {}  # model id → widget; the one the panel shows is the last


def show(widget: Any, inline: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Show a widget in the side panel, or else in the output of the running cell.

    Parameters
    ----------
    widget
        A KlingWidget.
    inline, metadata
        The MIME bundle that shows it in a cell.
    """
    from IPython.display import display

    place(widget)
    display({MIME: {"model_id": widget.model_id}, **inline}, metadata=metadata, raw=True)
    display({MIME: {"hint": True}, "text/html": f"<small>{HINT}</small>", "text/plain": ""}, raw=True)


def place(widget: Any) -> None:
    """Remember a widget as the one that the panel shows; it is there once, however often it is put there."""
    _placed.pop(widget.model_id, None)
    _placed[widget.model_id] = widget


def find(model_id: str | None = None) -> Any:
    """The widget that was put into the panel with this id, or the last one; only those not closed since."""
    for key in [key for key, widget in _placed.items() if widget.comm is None]:
        del _placed[key]
    return _placed.get(model_id or "") or next(reversed(_placed.values()), None)
