"""A saved notebook where people only read it: an exported page, nbconvert's page, GitHub; all without a network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bleach
import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import expect

import kling_widget as kw
from tests.e2e.lab import Lab
from tests.e2e.people import assert_plays
from tests.e2e.test_hostile import PAYLOAD, assert_nothing_ran
from tests.unit.media_samples import make_clip

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OpenPage = Callable[[Path], "Page"]
STEAM = ("Steam curls from the cup, slow dolly in", (960, 640))
CLIPS = [STEAM, ("The cat turns into coffee", (960, 638)), STEAM]
"""What the quickstart shows: prompt, size in pixels; the last cell asks for what is there."""
OUTPUTS = ".jp-OutputArea-output"


@pytest.fixture
def open_page(browser: Browser) -> Generator[OpenPage]:
    """Opens a file as a double click does, offline; what the page asks for elsewhere, or cannot show, is an error."""
    context = browser.new_context(offline=True, viewport={"width": 1100, "height": 900})
    problems: list[str] = []

    def open_it(path: Path) -> Page:
        page = context.new_page()
        page.on("request", lambda request: re.match("(file|data|blob):", request.url) or problems.append(request.url))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield open_it
    context.close()
    assert problems == []


def test_an_exported_page_plays_from_disk_without_a_network(
    saved_quickstart: Path, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(kw.export_html(saved_quickstart, tmp_path / "page.html"))
    figures = page.locator("figure")
    expect(figures).to_have_count(len(CLIPS))
    for index, (prompt, size) in enumerate(CLIPS):
        expect(figures.nth(index).locator("figcaption")).to_contain_text(prompt)
        assert_plays(figures.nth(index).locator("video"), size)
    expect(page.locator(OUTPUTS).first).to_contain_text("Open this notebook in Jupyter")


def test_formulas_are_drawn_and_pictures_shown_without_a_network(open_page: OpenPage, tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parent.parent.parent / "notebooks" / "images" / "coffee.png", tmp_path / "cup.png")
    cells = [new_markdown_cell("![a cup](cup.png)\n\n$$\\frac{a}{b}$$")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "n.ipynb")
    page = open_page(kw.export_html(tmp_path / "n.ipynb", tmp_path / "elsewhere" / "page.html"))
    assert page.get_by_alt_text("a cup").evaluate("image => image.naturalWidth") > 0
    above, below = (page.locator("math mi").nth(index).bounding_box() for index in (0, 1))
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] <= below["y"] + 1, "a fraction, not a line of letters"


def test_nbconvert_s_own_page_plays_beside_its_notebook(saved_quickstart: Path, browser: Browser) -> None:
    made = saved_quickstart.with_suffix(".html")
    made.write_text(HTMLExporter().from_filename(str(saved_quickstart))[0], encoding="utf-8")
    page = browser.new_page()  # it asks for require.js and MathJax elsewhere, in vain
    page.goto(made.as_uri())
    for index, (prompt, size) in enumerate(CLIPS):
        expect(page.locator("figcaption").nth(index)).to_contain_text(prompt)
        assert_plays(page.locator("figure video").nth(index), size)
    expect(page.locator(OUTPUTS).first).to_contain_text("Open this notebook in Jupyter")
    page.close()


# GitHub does not publish what its notebook viewer lets through. Its README pipeline does: gjtorikian/html-pipeline,
# lib/html_pipeline/sanitization_filter.rb (version 3), lib/html/pipeline/sanitization_filter.rb (version 1: without
# `figure`, `small` and `span`). That the viewer takes the video tag away: jupyter/notebook#2380; that pictures in
# `data:` addresses stay, as every plot is one: activeviam/atoti-notebooks#425. Both lists take `style` away.
OLD = """h1 h2 h3 h4 h5 h6 h7 h8 br b i strong em a pre code img tt div ins del sup sub p ol ul table thead tbody
    tfoot blockquote dl dt dd kbd q samp var hr ruby rt rp li tr td th s strike summary details"""
NEW = f"{OLD} caption figure figcaption abbr bdo cite dfn mark small span time wbr"
ATTRIBUTES = {"*": ["align", "alt", "height", "title", "width"], "a": ["href"], "img": ["src", "longdesc"]}


@pytest.mark.parametrize("tags", [OLD, NEW], ids=["version 1", "version 3"])
def test_on_github_poster_and_caption_are_seen(
    saved_quickstart: Path, open_page: OpenPage, tmp_path: Path, tags: str
) -> None:
    fragment = HTMLExporter(template_name="basic").from_filename(str(saved_quickstart))[0]
    schemes = {"http", "https", "mailto", "data"}
    left = bleach.clean(fragment, tags=tags.split(), attributes=ATTRIBUTES, protocols=schemes, strip=True)
    assert "<video" in fragment
    assert "<video" not in left
    (tmp_path / "github.html").write_text(f"<!DOCTYPE html><meta charset='utf-8'>{left}", encoding="utf-8")
    page = open_page(tmp_path / "github.html")
    posters = page.locator("img:not([alt=''])")
    expect(posters).to_have_count(len(CLIPS))
    expect(page.locator("details img")).to_have_count(2)  # of the contact sheet, with a caption each
    for index, (prompt, _size) in enumerate(CLIPS):
        expect(posters.nth(index)).to_have_attribute("alt", prompt)
        expect(posters.nth(index)).to_be_visible()
        assert posters.nth(index).evaluate("image => image.naturalWidth") > 0
        expect(page.get_by_text(prompt, exact=False).last).to_be_visible()
    expect(page.get_by_text("Open this notebook in Jupyter")).to_be_visible()


def test_an_embedded_clip_plays_without_its_file_and_one_too_large_says_what_to_do(
    open_page: OpenPage, tmp_path: Path
) -> None:
    video = kw.Video(make_clip(tmp_path / "clip.mp4", frames=75), metadata={"prompt": "a grey that grows"})
    both = video.embed().html() + video.embed(limit=100).html()
    video.path.unlink()
    (tmp_path / "mine.html").write_text(f"<!DOCTYPE html><meta charset='utf-8'>{both}", encoding="utf-8")
    page = open_page(tmp_path / "mine.html")
    embedded, too_large = page.locator("figure").all()
    assert_plays(embedded.locator("video"), (320, 180))
    expect(embedded).to_contain_text(re.compile(r"adds \d+ KB to the notebook"))
    expect(too_large.locator("video")).to_have_count(0)
    assert too_large.locator("img").evaluate("image => image.naturalWidth") > 0
    expect(too_large).to_contain_text(re.compile(r"embed\(limit=\d+\) .* save\(path\)"))


def test_an_embedded_clip_as_the_last_line_of_a_cell_stays_in_the_notebook(lab: Lab) -> None:
    clip = make_clip(lab.folder / "clip.mp4", frames=75)
    notebook = lab.notebook(["import kling_widget as kw\nkw.Video('clip.mp4').embed()"])
    notebook.run(0)
    clip.unlink()
    assert_plays(notebook.output(0).locator("video"), (320, 180))
    notebook.save()
    notebook.shutdown()
    notebook = lab.reload(notebook)  # without a kernel, and without the file
    assert_plays(notebook.output(0).locator("video"), (320, 180))


RUNS: Mapping[str, Any] = {
    "markup": f"<p>{PAYLOAD}</p><svg onload=window.__pwned=1></svg><a href='javascript:window.__pwned=1'>here</a>",
    "leads away": "<meta http-equiv=refresh content='0;url=about:blank'><!--><meta http-equiv=refresh content=0>-->",
    "clip": kw.Video("gone.mp4", metadata={"prompt": PAYLOAD, "take": PAYLOAD, "provider": PAYLOAD}).html("page"),
}


def test_nothing_runs_in_an_exported_page_whoever_wrote_it(open_page: OpenPage, tmp_path: Path) -> None:
    outputs = [new_output("display_data", data={"text/html": page}) for page in RUNS.values()]
    outputs.append(new_output("display_data", data={"application/javascript": "window.__pwned = 1"}))
    cells = [new_code_cell("", outputs=outputs), new_markdown_cell(f"# {PAYLOAD}")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "n.ipynb")
    with pytest.warns(UserWarning, match="Not everything is in n.html"):  # the payload's picture has no bytes
        made = kw.export_html(tmp_path / "n.ipynb")
    page = open_page(made)
    page.get_by_text("here", exact=True).click()
    expect(page.locator("figcaption")).to_contain_text("onerror")
    assert_nothing_ran(page)
    assert page.url.endswith("n.html")
