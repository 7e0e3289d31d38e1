"""Python, TypeScript and the table in docs/architecture.md name the same traits and messages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = (ROOT / "js" / "src" / "model.ts").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def interface_of(name: str) -> dict[str, str]:
    """Keys of a TypeScript interface, each with what follows it up to the next key."""
    body = re.search(rf"^export interface {name} {{\n(.*?)^}}", MODEL, re.MULTILINE | re.DOTALL)
    assert body, f"model.ts has no interface {name}"
    parts = re.split(r"^  (\w+)\??: ", body[1], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table_of(heading: str) -> list[list[str]]:
    """Rows of the table under a heading of architecture.md, cells without back quotes."""
    section = DOCS.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


def named(cell: str) -> set[str]:
    """Names in back quotes at the outermost level: ``form: {…}`` names ``form``."""
    return {re.split(r"\W", quoted, maxsplit=1)[0] for quoted in re.findall(r"`([^`]+)`", cell)}


def synced_traits() -> set[str]:
    """Traits that KlingWidget adds to what every widget syncs (layout, tooltip, _esm, …)."""
    from kling_widget.widget import KlingWidget

    inherited = {name for base in KlingWidget.__mro__[1:] for name in getattr(base, "_traits", {})}
    return {name for name in KlingWidget.class_traits(sync=True) if name not in inherited and not name.startswith("_")}


def test_traits_have_the_same_names_everywhere() -> None:
    documented = {row[0].strip("`") for row in table_of("Traits")}
    assert set(interface_of("Traits")) == documented
    assert synced_traits() == documented


@pytest.mark.parametrize(
    ("interface", "heading", "constant"),
    [
        ("ToKernel", "Messages, front end → kernel", "MESSAGES_IN"),
        ("FromKernel", "Messages, kernel → front end", "MESSAGES_OUT"),
    ],
)
def test_messages_have_the_same_names_and_fields_everywhere(interface: str, heading: str, constant: str) -> None:
    from kling_widget import messages

    typed = interface_of(interface)
    documented = {row[0].strip("`"): named(row[1]) for row in table_of(heading)}
    assert set(typed) == set(documented)
    assert set(getattr(messages, constant)) == set(documented)
    for message, fields in documented.items():
        flat = re.sub(r"\s+", " ", typed[message])
        assert set(re.findall(r"(\w+)\??:", flat)) == fields, message


@pytest.mark.parametrize(
    ("interface", "opening"), [("Frame", "Frame: "), ("Entry", "Entry: "), ("Problem", "Problem: ")]
)
def test_frames_entries_and_problems_have_the_same_fields(interface: str, opening: str) -> None:
    listed = re.search(rf"^{opening}`{{(.*?)}}`", DOCS, re.MULTILINE | re.DOTALL)
    assert listed
    documented = set(re.findall(r"(\w+)(?:: \[\w+\])?(?:,|$)", listed[1].replace("\n", " ")))
    optional = {"url"} if interface == "Frame" else set()  # told in the sentence after the list
    assert set(interface_of(interface)) - optional == documented


def test_what_python_sends_has_the_typed_fields() -> None:
    """The dictionaries themselves, not only their description."""
    from io import BytesIO
    from types import SimpleNamespace

    from PIL import Image

    from kling_widget.entries import entry_of, frame_of, problem_of
    from kling_widget.errors import ImageError
    from kling_widget.images import SourceImage

    file = BytesIO()
    Image.new("RGB", (400, 300)).save(file, "PNG")
    frame = frame_of(SourceImage.load(file.getvalue()))
    assert frame is not None
    assert set(frame) == set(interface_of("Frame"))
    assert set(problem_of(ImageError("No."))) == set(interface_of("Problem"))

    row = SimpleNamespace(request={"prompt": "p"}, take=1, created=0.0, error_message=None, usd=0.66, provider="x")
    facts = {"key": "k", "id": None, "status": "queued", "elapsed": 1.0, "expected": None, "active": True}
    generation = SimpleNamespace(row=row, error=None, note="", simulated=True, video=None, **facts)
    assert set(entry_of(generation)) == set(interface_of("Entry"))  # type: ignore[arg-type]


def test_the_form_offers_the_cameras_there_are() -> None:
    from kling_widget.camera import PATHS, WAYS

    controls = (ROOT / "js" / "src" / "components" / "Controls.tsx").read_text(encoding="utf-8")
    paths = re.search(r"^const PATHS = \[(.*?)\]", controls, re.MULTILINE | re.DOTALL)
    ways = re.search(r"^const WAYS\b.*?= \{(.*?)^\}", controls, re.MULTILINE | re.DOTALL)
    assert paths
    assert ways
    assert set(re.findall(r'"(\w+)"', paths[1])) == set(PATHS)
    offered = re.findall(r'(\w+): \["(\w+)", "(\w+)"\]', ways[1])
    assert {name: (below, above) for name, below, above in offered} == WAYS


def test_statuses_are_the_same_words() -> None:
    from kling_widget.progress import WORDS

    typed = re.search(r"export type Status =(.*?);", MODEL, re.DOTALL)
    assert typed
    assert set(re.findall(r'"(\w+)"', typed[1])) == set(WORDS)
