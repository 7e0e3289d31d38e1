"""Colours of what stands in a cell's output: JupyterLab's where the page has its variables, else those of its scheme.

A page that tells neither is taken for a light one.
"""

FAILED = "var(--jp-error-color1, light-dark(#b3261e, #f28b82))"
QUIET = "var(--jp-ui-font-color2, light-dark(#757575, #a0a0a0))"
LINE = "var(--jp-border-color2, light-dark(#cccccc, #4a4a4a))"
BEHIND = "var(--jp-layout-color2, light-dark(#eeeeee, #303030))"
