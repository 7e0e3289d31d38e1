"""The smallest Gradio page from a picture to a video: ``python gradio_app.py PORT``, in `.venv-bench`."""

from __future__ import annotations

import sys

import gradio as gr


def make(picture: str) -> str:
    """Nothing: the benchmark looks at the page only."""
    return picture


page = gr.Interface(make, gr.Image(type="filepath", label="First frame"), gr.Video())
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
