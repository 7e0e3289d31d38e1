"""The words of a magic's line: quotes, spaces, and ``{expressions}`` that stand for objects."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import InvalidRequestError

# Not shlex: it takes the quotes out of {pictures["a cat"]} and the backslashes out of C:\cat.png.
_QUOTES = "\"'"
_ESCAPABLE = _QUOTES + " "  # nothing else: a backslash is also what paths on Windows are written with

# What an expression raises that is mistyped; anything else is the person's own program failing, with its own traceback.
_MISTYPED = (NameError, AttributeError, LookupError, TypeError, ValueError, SyntaxError)


@dataclass(frozen=True)
class Word:
    """One word of a line.

    Attributes
    ----------
    text
        Without its quotes and backslashes; an expression with its braces.
    start, end
        Where it stands in the line.
    unclosed
        The quote or brace that is still open at the end of the line; empty where none is.
    """

    text: str
    start: int
    end: int
    unclosed: str = ""


def split(line: str) -> list[Word]:
    """The words of a line, from left to right. An unclosed quote or brace reaches to the end of the line."""
    words, at = [], 0
    while at < len(line):
        if line[at].isspace():
            at += 1
        else:
            words.append(_read(line, at))
            at = words[-1].end
    return words


def _read(line: str, start: int) -> Word:
    parts, at, unclosed = [], start, ""
    while at < len(line) and not line[at].isspace():
        character = line[at]
        if character in _QUOTES or character == "{":
            end = _end_of_braces(line, at) if character == "{" else line.find(character, at + 1) + 1
            unclosed = "" if end else character
            end = end or len(line)
            parts.append(line[at:end] if character == "{" else line[at + 1 : end if unclosed else end - 1])
            at = end
        elif character == "\\" and line[at + 1 : at + 2] and line[at + 1] in _ESCAPABLE:
            parts.append(line[at + 1])
            at += 2
        else:
            parts.append(character)
            at += 1
    return Word("".join(parts), start, at, unclosed)


def _end_of_braces(text: str, at: int) -> int:
    """Where the expression that begins at `at` is over; 0 where it never is."""
    depth = 0
    while at < len(text):
        if text[at] in _QUOTES:
            at = text.find(text[at], at + 1)
            if at < 0:
                return 0
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if not depth:
            return at
    return 0


def closed(words: list[Word]) -> list[str]:
    """The words' texts.

    Raises
    ------
    InvalidRequestError
        A quote or brace is not closed.
    """
    if words and words[-1].unclosed:
        what = "brace" if words[-1].unclosed == "{" else "quote"
        raise InvalidRequestError(
            f"A {what} on the line is not closed.",
            hint="Names with spaces or quotes in them go between double quotes.",
        )
    return [word.text for word in words]


def value(text: str, names: Mapping[str, Any]) -> Any:
    """What a word stands for.

    ``{img}`` alone is the object itself, braces in a longer word are filled in as text (``frame{n:03d}.png``), and
    doubled braces are braces.

    Parameters
    ----------
    text
        A word.
    names
        The variables of the notebook.

    Raises
    ------
    InvalidRequestError
        An expression cannot be evaluated.
    """
    if "{" not in text and "}" not in text:
        return text
    try:
        if text.startswith("{") and not text.startswith("{{") and _end_of_braces(text, 0) == len(text):
            return eval(text[1:-1].strip(), dict(names))
        return _Expressions().vformat(text, (), names)
    except _MISTYPED as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidRequestError(
            f"{text[:80]} cannot be used: {reason.rstrip('.')}.",
            hint="Between braces stands a variable or an expression; braces of a file name are doubled.",
        ) from None


class _Expressions(string.Formatter):
    """``str.format`` with whole expressions between the braces."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        return eval(field_name.strip(), dict(kwargs)), field_name
