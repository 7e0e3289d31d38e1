"""A saved notebook becomes one page that holds its videos and needs nothing else; what cannot be in it is told."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import warnings

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import kling_widget as kw
from kling_widget import export
from tests.unit.media_samples import make_clip
from tests.unit.picture_samples import PHOTOS

LIVE = """'"><img src='data:,' onerror='window.__pwned=1'><script>window.__pwned=1</script>"""


def written(path, *cells):
    """A notebook file: strings become Markdown, dicts the data of a code cell's output."""
    nodes = [
        new_markdown_cell(cell)
        if isinstance(cell, str)
        else new_code_cell("code", outputs=[new_output("display_data", data=cell)])
        for cell in cells
    ]
    nbformat.write(new_notebook(cells=nodes), path)
    return path


def html(page):
    """A `text/html` output."""
    return {"text/html": page, "text/plain": "plain"}


def exported(notebook, **settings):
    """The page made of a notebook, and what was said meanwhile."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        page = kw.export_html(notebook, **settings)
    said = [str(each.message) for each in told if each.category is UserWarning]
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser"), said


@pytest.fixture
def folder(tmp_path):
    """A notebook's folder with a clip and a picture."""
    (tmp_path / "kling_videos" / "videos").mkdir(parents=True)
    make_clip(tmp_path / "kling_videos" / "videos" / "a.mp4", frames=3)
    shutil.copy(PHOTOS / "rocket.jpg", tmp_path / "rocket.jpg")
    return tmp_path


CLIP = '<video controls src="kling_videos/videos/a.mp4"><img src="data:image/png;base64,AA" alt="poster"></video>'


def test_the_page_of_the_quickstart_holds_its_videos_and_asks_nobody_for_anything(saved_quickstart, tmp_path):
    page, said = exported(saved_quickstart, output=tmp_path / "page.html")
    assert said == []
    held = {base64.b64decode(video["src"].removeprefix("data:video/mp4;base64,")) for video in page.select("video")}
    files = (saved_quickstart.parent / "kling_videos" / "videos").glob("*.mp4")
    assert held == {file.read_bytes() for file in files}
    assert len(page.select("figure video")) == 3
    assert len(page.select("details video")) == 2, "of the contact sheet that ends it"
    assert not page.select("script, link, iframe")
    for tag in page.find_all(True):
        for attribute in {"src", "poster", "data", "srcset"} & set(tag.attrs):
            assert tag[attribute].startswith("data:"), tag
    assert "Open this notebook in Jupyter" in page.get_text()
    assert "Steam curls from the cup, slow dolly in" in page.get_text()


def test_the_state_of_widgets_is_not_needed_and_not_in_the_page(folder):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "0a", "version_major": 2, "version_minor": 0}}
    notebook = written(folder / "n.ipynb", view | html("<em>a panel</em>"), view)
    read = nbformat.read(notebook, as_version=4)
    state = {"0a": {"model_name": "AnyModel", "model_module": "anywidget", "state": {"_esm": "export default 1"}}}
    read.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": state, "version_major": 2}}
    nbformat.write(read, notebook)
    page, _ = exported(notebook)
    first, second = page.select(".jp-OutputArea-output")
    assert first.get_text().strip() == "a panel"
    assert "can only be shown while the notebook is open in Jupyter" in second.get_text()
    assert "export default" not in str(page)


def test_pictures_beside_the_notebook_come_along_and_formulas_need_no_script(folder):
    notebook = written(
        folder / "n.ipynb", "# On $x^2$\n\n![a rocket](rocket.jpg) $a<b$\n\n$$\\frac{1}{2}$$", {"text/latex": "$y$"}
    )
    page, said = exported(notebook)
    picture = page.select_one("img[alt='a rocket']")
    assert base64.b64decode(picture["src"].partition(",")[2]) == (folder / "rocket.jpg").read_bytes()
    assert [formula.get_text() for formula in page.select("math")] == ["x2", "a<b", "12", "y"]
    assert page.select("math")[2]["display"] == "block"
    assert said == []


def test_a_formula_is_shown_as_written_where_it_cannot_be_drawn(folder, monkeypatch):
    notebook = written(folder / "n.ipynb", "so $\\begin{matrix} <b>$ then")
    assert exported(notebook)[0].select_one("code").get_text() == "\\begin{matrix} <b>"
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    notebook = written(folder / "n.ipynb", "so $x$ then")
    assert exported(notebook)[0].select_one("code").get_text() == "x"


HOSTILE = {
    "../outside.mp4": "not in the notebook's folder",
    "/etc/passwd": "not in the notebook's folder",
    "file:///etc/passwd": "not in the notebook's folder",
    "javascript:window.__pwned=1": "not in the notebook's folder",
    "kling_videos/link.mp4": "not in the notebook's folder",
    "kling_videos/gone.mp4": "gone.mp4 was not there",
    "kling_videos/text.mp4": "no picture or video",
    "https://example.org/a.mp4": "on the web",
}


FORMS = {
    "video": '<video src="{}"><img src="data:image/png;base64,AA" alt="poster"></video>',
    "source": '<video><source src="{}"><img src="data:image/png;base64,AA" alt="poster"></video>',
    "img": '<img src="{}" alt="poster">',
}


def test_no_address_leads_out_of_the_folder_and_each_refusal_is_told(tmp_path):
    folder = tmp_path / "work"
    (folder / "kling_videos").mkdir(parents=True)
    make_clip(tmp_path / "outside.mp4", frames=2)
    (folder / "kling_videos" / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    (folder / "kling_videos" / "text.mp4").write_text("password")
    asked = [(address, form) for address in HOSTILE for form in FORMS.values()]
    page, said = exported(written(folder / "n.ipynb", *(html(form.format(address)) for address, form in asked)))
    outputs = page.select(".jp-OutputArea-output")
    for (address, _form), output in zip(asked, outputs, strict=True):
        reason = HOSTILE[address]
        assert not output.select("video, source")
        assert reason in output.get_text()
        assert reason in said[0]
        assert all(tag["src"].startswith("data:image/") for tag in output.select("[src]"))
        assert output.select_one("img[alt=poster]") or "poster" in output.get_text(), "its poster, or its words, stay"
        assert [a["href"] for a in output.select("a")] == ([address] if reason == "on the web" else [])


def test_a_clip_above_the_limit_leaves_its_poster_and_a_sentence(folder):
    page, said = exported(written(folder / "n.ipynb", html(CLIP)), limit=100)
    output = page.select_one(".jp-OutputArea-output")
    assert output.select_one("img[alt=poster]")
    assert "a.mp4 is too large for this page" in output.get_text()
    assert said == [f"Not everything is in n.html. {output.get_text().strip()}"]


def test_a_giant_page_is_told(folder, monkeypatch):
    monkeypatch.setattr(export, "HEAVY", 1000)
    assert "n.html is large" in exported(written(folder / "n.ipynb", html(CLIP)))[1][0]


RUNS = {
    "script": "<b>kept</b><script>window.__pwned=1</script>",
    "javascript": {"application/javascript": "window.__pwned=1", "text/plain": "kept"},
    "frame": '<b>kept</b><iframe src="https://example.org/map"></iframe>',
}


@pytest.mark.parametrize("output", RUNS.values(), ids=RUNS)
def test_what_needs_a_script_or_another_page_is_told_or_kept_if_wanted(folder, output):
    notebook = written(folder / "n.ipynb", output if isinstance(output, dict) else html(output))
    page, _ = exported(notebook)
    assert not page.select("script, iframe")
    said = page.select_one(".jp-OutputArea-output").get_text()
    assert "scripts=True" in said or "https://example.org/map" in said
    page, _ = exported(notebook, scripts=True)
    assert page.select("script, iframe")
    assert not page.select("meta[http-equiv]")
    assert not page.select("script[src]"), "nothing of nbconvert's from elsewhere"


def test_nothing_that_runs_fetches_or_leads_away_is_left(folder):
    page, _ = exported(
        written(
            folder / "n.ipynb",
            html(
                f"<p>{LIVE}</p><a onclick='x()' href='javascript:x()'>go</a><svg onload=x()><script>x()</script></svg>"
            ),
            html("<meta http-equiv=refresh content='0;url=https://example.org'><base href='https://example.org/'>"),
            html(
                "<!--><meta http-equiv=refresh content='0;url=x'>--><link rel=stylesheet href='https://example.org/'>"
            ),
            html("<noscript><p title='</noscript><meta http-equiv=refresh content=0>'></noscript>"),
            f"{LIVE} <object data='x'></object><embed src='x'><form action='https://example.org'></form>",
        )
    )
    assert not page.select("script, base, link, noscript, object, embed")
    policies = page.select("meta[http-equiv]")
    assert [policy["http-equiv"] for policy in policies] == ["Content-Security-Policy"]
    assert policies[0]["content"].startswith("default-src 'none'")
    assert page.head.find(True) is policies[0], "before anything it is about"
    assert not [name for tag in page.find_all(True) for name in tag.attrs if name.startswith("on")]


@pytest.mark.parametrize(
    "broken",
    [
        "<script>var x = 1;",
        "<style>.a {",
        "<svg><style>a {",
        "<!-- never closed",
        "<textarea>words",
        "<title>words",
        "<plaintext>words",
        "<noscript>words",
        "<template>words",
        "<iframe src='x'>",
        "<table><tr><td>1",
        "<a href='x",
        '<div title="words',
        "</div></div></div></main>",
    ],
)
@pytest.mark.parametrize("cell", [html, lambda markup: f"Words\n\n{markup}"], ids=["output", "markdown"])
def test_markup_that_is_never_closed_hides_nothing_that_follows(folder, broken, cell):
    notebook = written(folder / "n.ipynb", cell(broken), "Afterwards", html(CLIP))
    page, _ = exported(notebook)
    words = page.find(string="Afterwards")
    assert words.find_parent(class_="jp-MarkdownCell").parent.name == "main"
    assert words.find_parent(["style", "script", "textarea", "title", "svg", "template", "table", "iframe"]) is None
    assert page.video["src"].startswith("data:video/mp4;base64,")


def test_the_notebook_itself_is_untouched_and_an_older_page_replaced(folder):
    notebook = written(folder / "n.ipynb", html(CLIP))
    before = notebook.read_bytes()
    (folder / "n.html").write_text("an older page")
    assert kw.export_html(notebook) == folder / "n.html"
    assert "an older page" not in (folder / "n.html").read_text(encoding="utf-8")
    assert kw.export_html(notebook, folder / "kling_videos") == folder / "kling_videos" / "n.html"
    assert notebook.read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["kling_videos", "n.html", "n.ipynb", "rocket.jpg"]


def test_an_embedded_clip_needs_no_file(folder):
    video = kw.Video(folder / "kling_videos" / "videos" / "a.mp4").embed()
    notebook = written(folder / "n.ipynb", html(video.html()))
    held = video.path.read_bytes()
    video.path.unlink()
    page, said = exported(notebook)
    assert base64.b64decode(page.select_one("video")["src"].partition(",")[2]) == held
    assert said == []


def test_what_cannot_be_exported_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(
        kw.ExportError, match=r"gone\.ipynb cannot be read: no such file or directory\. Save it first\."
    ):
        kw.export_html(tmp_path / "gone.ipynb")
    for text in ("not json", "[]", json.dumps({"nbformat": 4})):
        (tmp_path / "bad.ipynb").write_text(text)
        with pytest.raises(kw.ExportError, match=r"bad\.ipynb is not a Jupyter notebook, or is damaged"):
            kw.export_html(tmp_path / "bad.ipynb")
    notebook = written(tmp_path / "n.ipynb", "![x](attachment:missing.png)")
    with pytest.raises(kw.ExportError, match=r"n\.ipynb cannot be made into a page: missing attachment: missing\.png"):
        kw.export_html(notebook)
    notebook = written(tmp_path / "n.ipynb", "words")
    (tmp_path / "link.html").symlink_to(notebook)
    for itself in (notebook, tmp_path / "link.html"):
        with pytest.raises(kw.ExportError, match="would replace the notebook"):
            kw.export_html(notebook, itself)
    with pytest.raises(kw.ExportError, match=r"page\.html cannot be written: (file exists|not a directory)\."):
        kw.export_html(notebook, notebook / "page.html")
    monkeypatch.setitem(sys.modules, "nbconvert", None)
    with pytest.raises(kw.ExportError, match=r'needs nbconvert.*pip install "kling-widget\[export\]"'):
        kw.export_html(notebook)


def test_the_command_line_says_where_the_page_is_and_what_is_not_in_it(folder, capsys):
    written(folder / "n.ipynb", html(CLIP), html('<img src="gone.png">'))
    command = [sys.executable, "-m", "kling_widget.export", "n.ipynb", "-o", "page.html"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split(" (")[0]) == (0, "page.html")
    assert done.stderr == "Not everything is in page.html. The file gone.png was not there when this page was made.\n"

    assert export.main([str(folder / "gone.ipynb")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "gone.ipynb cannot be read: no such file or directory" in told.err
