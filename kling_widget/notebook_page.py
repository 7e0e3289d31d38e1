"""A notebook as one HTML page: nbconvert's, without what it fetches from elsewhere when the page is opened.

Its own template loads require.js, MathJax, Mermaid and the widgets' renderer from content delivery networks. Formulas
become MathML, which browsers draw by themselves.
"""

from __future__ import annotations

import html
from typing import Any
from xml.etree import ElementTree

from bs4 import BeautifulSoup
from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_latex scoped -%}
<div class="jp-RenderedLatex jp-OutputArea-output" data-mime-type="text/latex">
{{ output.data['text/latex'] | formula }}
</div>
{%- endblock data_latex -%}
"""
# Widgets need a kernel or a script from elsewhere: what else an output has is shown.
_PRIORITY = [
    "text/html",
    "application/javascript",
    "text/markdown",
    "image/svg+xml",
    "text/latex",
    "image/png",
    "image/jpeg",
    "text/plain",
]
_MARKUP = {"text/html", "image/svg+xml"}
_ONLY_LIVE = "This output can only be shown while the notebook is open in Jupyter."


class PageExporter(HTMLExporter):
    """nbconvert's exporter, for a page that is opened without a network."""

    raw_template = _TEMPLATE

    @property
    def default_config(self) -> Any:
        """nbconvert's, with our order of what is shown of an output."""
        config = super().default_config
        config.NbConvertBase.display_data_priority = _PRIORITY
        return config

    def default_filters(self) -> Any:
        """nbconvert's, and the one for formulas in outputs."""
        yield from super().default_filters()
        yield "formula", formulas

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Markdown as nbconvert renders it, with formulas as MathML."""
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(escape=False, attachments=attachments, anchor_link_text=self.anchor_link_text)
        return _closed(MarkdownWithMath(renderer=renderer).render(source))


class _Renderer(IPythonRenderer):
    def inline_math(self, body: str) -> str:
        return mathml(body, display=False)

    def block_math(self, body: str) -> str:
        return mathml(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True)


def page_of(notebook: Any, title: str) -> str:
    """The notebook as a page; files beside it are still referred to.

    Parameters
    ----------
    notebook
        A notebook of format 4, as nbformat reads it; its saved widget state is dropped.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data")
            if data and not any(kind in data for kind in _PRIORITY):
                data["text/plain"] = _ONLY_LIVE
            for kind in _MARKUP & set(data or ()):
                data[kind] = _closed(data[kind])
    page, _resources = PageExporter().from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return str(page)


def _closed(markup: str) -> str:
    """Markup that ends where it ends: Jupyter holds outputs apart, here an open ``<style>`` would hide all below."""
    return str(BeautifulSoup(markup, "html.parser"))


def mathml(tex: str, *, display: bool) -> str:
    """A formula as MathML; as it was written where that cannot be."""
    try:
        from latex2mathml.converter import convert_to_element
    except ImportError:
        return _as_written(tex)
    try:
        element = convert_to_element(tex, display="block" if display else "inline")
    except _unreadable():
        return _as_written(tex)
    for node in element.iter():
        node.text = html.unescape(node.text or "")  # it writes `&#x0003C;` where it means the character
        for name in ("xmlns", "href", "style"):
            node.attrib.pop(name, None)
    return ElementTree.tostring(element, encoding="unicode")


def formulas(text: str) -> str:
    """A ``text/latex`` output: dollar signs around it say how it is set."""
    bare = text.strip()
    for mark in ("$$", "$"):
        if len(bare) > 2 * len(mark) and bare.startswith(mark) and bare.endswith(mark):
            return mathml(bare.removeprefix(mark).removesuffix(mark), display=mark == "$$")
    return mathml(bare, display=True)


def _as_written(tex: str) -> str:
    return f"<code>{html.escape(tex)}</code>"


def _unreadable() -> tuple[type[Exception], ...]:
    """What latex2mathml raises for formulas it cannot read: errors of its own without a common base, and Python's."""
    from latex2mathml import exceptions

    found = vars(exceptions).values()
    own = [each for each in found if isinstance(each, type) and issubclass(each, Exception)]
    return (*own, ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError)
