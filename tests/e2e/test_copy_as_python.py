"""Copy as Python: a finished clip from the list into a cell of its own, by the clipboard or by hand."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.lab import Lab
from tests.e2e.people import MADE, WIDGET, assert_plays, fill_in, generations, press_generate

KEYS = "[generation.key for generation in kw.generations(simulate=True)]"


def test_a_clip_of_the_list_is_pasted_into_another_cell_and_shown_there_without_paying(lab: Lab) -> None:
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook = lab.notebook([WIDGET, ""])
    notebook.run(0)
    widget = notebook.output(0)
    fill_in(widget)
    press_generate(widget)
    expect(generations(widget)).to_contain_text("Ready", timeout=MADE)
    copy = widget.get_by_role("button", name="Copy as Python", exact=True)
    expect(copy).to_have_count(0)  # no room for it beside a small picture
    widget.get_by_role("button", name="Play").click()
    copy.click()
    expect(generations(widget)).to_contain_text("Copied.")
    made = notebook.kernel_eval(KEYS)

    notebook.cell(1).locator(".cm-content").click()
    lab.page.keyboard.press("Control+v")
    expect(notebook.cell(1).locator(".cm-content")).to_contain_text("kw.resume(")
    notebook.run(1)
    assert_plays(notebook.output(1).locator("figure video"), (960, 640))
    assert notebook.kernel_eval(KEYS) == made
    assert len(made) == 1


def test_where_the_page_may_not_copy_the_python_is_shown_with_its_lines(lab: Lab) -> None:
    notebook = lab.notebook([WIDGET])
    notebook.run(0)
    widget = notebook.output(0)
    fill_in(widget)
    press_generate(widget)
    expect(generations(widget)).to_contain_text("Ready", timeout=MADE)
    widget.get_by_role("button", name="Play").click()
    lab.page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as on plain http
    widget.get_by_role("button", name="Copy as Python").click()
    code = generations(widget).get_by_role("status")
    expect(code).to_contain_text("import kling_widget as kw")
    lines = code.inner_text().splitlines()
    assert lines[0] == "import kling_widget as kw"
    assert lines[-1].startswith("video = kw.resume(")
