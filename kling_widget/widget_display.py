"""How a widget is shown: in its cell, or in the side panel with its videos left in the cell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from . import background, panel_output
from .notebook_files import running_cell, runs_now
from .progress import CellOutput


class Display:
    """Where a widget is shown."""

    # What it needs of the widget.
    comm: Any
    placed_in_cell: int | None
    _outputs: list[CellOutput]
    _shown: asyncio.Event  # used on the background loop only
    _repr_mimebundle_: Callable[..., tuple[dict[str, Any], dict[str, Any]]]

    def side_panel(self) -> None:
        """Show the widget in the side panel of JupyterLab or Notebook 7; elsewhere here, with the reason.

        A notebook's panel shows the widget put there last, and each only once: run this again to bring it back. Videos
        still appear in the output of the cell, where they stay when the notebook is saved.
        """
        if self.comm is not None:
            panel_output.show(self, *self._repr_mimebundle_())
            self.placed_in_cell = running_cell()
            self._outputs.append(CellOutput(videos_only=True))
            background.call(self._shown.set)

    def _ipython_display_(self) -> None:
        """Show the widget, and below it, in the same cell's output, the videos as they come."""
        from IPython.display import display

        if self.comm is None or runs_now(self.placed_in_cell):  # closed, or the cell says it is in the side panel
            return
        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)
        self._outputs.append(CellOutput(videos_only=True))
        background.call(self._shown.set)
