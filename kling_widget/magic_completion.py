"""What the Tab key offers on the line of a magic: options, their values, files and variables."""

from __future__ import annotations

import os
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any

from .magic_options import CELL, CHOICES, FOLDER, LINE, PICTURE, Options
from .magic_words import Word, split

PICTURE_FILES = (  # what picture_files.py reads; a video is no picture
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".j2k"),
)

_NO_PICTURES = (
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    type,
    complex,
    float,
    int,
    types.NoneType,
)

MAGIC = re.compile(r"\s*(?:[^\s=%]+\s*=\s*)?(%%?)kling\s+")
"""How a line begins on which offers can be made, also after ``w =``."""

Offer = tuple[str, str]
"""What is put in place of the word, and its kind, in IPython's words: ``param``, ``path``, ``instance``."""


def offers(line: str, cursor: int, names: Mapping[str, Any]) -> tuple[str, list[Offer]] | None:
    """What may stand where the cursor is.

    Parameters
    ----------
    line
        The line with the cursor.
    cursor
        Characters before it.
    names
        The variables of the notebook.

    Returns
    -------
    The piece of the line before the cursor that an offer replaces, and the offers; None where we know of none.
    """
    magic = MAGIC.match(line[:cursor])
    if magic is None:
        return None
    options = CELL if magic[1] == "%%" else LINE
    words = split(line[magic.end() : cursor])
    ended = not words or (not words[-1].unclosed and line[cursor - 1].isspace())
    word = Word("", 0, 0) if ended else words.pop()
    typed = "" if ended else line[magic.end() + word.start : cursor]
    found = list(_fitting(options, words, word, names))
    rest = line[cursor:]
    found = [(_without(text, rest), kind) for text, kind in found]
    return (typed, found) if found else None


def _fitting(options: Options, words: list[Word], word: Word, names: Mapping[str, Any]) -> Iterable[Offer]:
    before = [each.text for each in words]
    if before and options.takes_value(before[-1]):
        yield from _values(options.stands_for(before[-1]), word, names)
        return
    has_picture = any(
        not text.startswith("-") and not (number and options.takes_value(before[number - 1]))
        for number, text in enumerate(before)
    )
    if not has_picture and not word.text.startswith("-"):
        yield from _values(PICTURE, word, names)
    if not word.unclosed:
        free = sorted(name for name in options.names if name not in before)
        yield from ((name, "param") for name in free if name.startswith(word.text))


def _values(kind: str, word: Word, names: Mapping[str, Any]) -> Iterable[Offer]:
    if kind in (PICTURE, FOLDER) and word.unclosed != "{":
        yield from ((name, "path") for name in _files(word, folders_only=kind == FOLDER))
    if not word.unclosed or word.unclosed == "{":
        yield from ((choice, "param") for choice in CHOICES.get(kind, ()) if choice.startswith(word.text))
        if kind == PICTURE:
            yield from ((f"{{{name}}}", "instance") for name in _variables(names) if f"{{{name}".startswith(word.text))


def _variables(names: Mapping[str, Any]) -> Iterable[str]:
    """Names of what may be a picture, or a picture's name."""
    return sorted(name for name, it in names.items() if not name.startswith("_") and not isinstance(it, _NO_PICTURES))


def _files(word: Word, *, folders_only: bool) -> Iterable[str]:
    folder, prefix = os.path.split(word.text)
    try:
        entries = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda entry: entry.name)
    except OSError:  # no such folder, or it may not be read
        return
    for entry in entries:
        if not entry.name.startswith(prefix) or (entry.name.startswith(".") and not prefix):
            continue
        path = os.path.join(folder, entry.name)
        if entry.is_dir():
            yield _quoted(path + "/", word.unclosed)
        elif not folders_only and entry.name.lower().endswith(PICTURE_FILES):
            yield _quoted(path, word.unclosed)


def _quoted(path: str, quote: str) -> str:
    """As it is written on the line. The quote of a folder stays open: one goes on writing."""
    path = path.replace("{", "{{").replace("}", "}}")
    if not quote and re.search(r"[\s'\"{\\]", path):
        quote = "'" if '"' in path else '"'
    return quote + path + ("" if path.endswith("/") else quote)


def _without(text: str, rest: str) -> str:
    """Without the closing brace or quote that editors have put behind the cursor."""
    return text[:-1] if text[-1] in "}\"'" and rest.startswith(text[-1]) else text
