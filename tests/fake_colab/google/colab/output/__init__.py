"""Outputs: only what lets widgets in that Colab does not know."""

from google.colab.output import _widgets as _widgets
from google.colab.output._widgets import enable_custom_widget_manager as enable_custom_widget_manager
