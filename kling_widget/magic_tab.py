"""The Tab key on a magic's line, as IPython asks: in one way from 8.6 on, in another before, as in Colab (7.34)."""

from __future__ import annotations

from typing import Any

from IPython.core import completer

from .magic_completion import MAGIC, Offer, offers

_IS_TOLD_ALL = hasattr(completer, "context_matcher")  # of the line: IPython's matcher API v2
_HOOK = "complete_command"  # before it


class Tab:
    """Our answers to a shell's Tab key."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def plug_in(self) -> None:
        """Answer from now on."""
        if _IS_TOLD_ALL:
            self.shell.Completer.custom_matchers.append(self._matching)
        else:
            self.shell.set_hook(_HOOK, self._completing, re_key=MAGIC)

    def take_out(self) -> None:
        """Answer no longer."""
        if _IS_TOLD_ALL:
            self.shell.Completer.custom_matchers.remove(self._matching)
        else:
            del self.shell.strdispatchers[_HOOK].regexs[MAGIC]

    def _matching(self, context: Any) -> dict[str, Any]:
        """From IPython 8.6 on: what replaces which piece of the line, and of which kind it is."""
        found = self._offers(context.line_with_cursor, context.cursor_position)
        if found is None:
            return {"completions": []}
        typed, texts = found
        completions = [completer.SimpleCompletion(text, type=kind) for text, kind in texts]
        return {"completions": completions, "matched_fragment": typed, "suppress": True, "ordered": True}

    _matching.matcher_api_version = 2  # type: ignore[attr-defined]

    def _completing(self, _: Any, event: Any) -> list[str]:
        """Before: what goes on from the last word, which begins after any quote, brace or blank.

        So a name with blanks is offered once its quote is there: nothing before the word can be replaced.
        """
        found = self._offers(event.line, len(event.text_until_cursor))
        if found is None:
            return []
        typed, texts = found
        before = typed[: len(typed) - len(event.symbol)]
        return [text[len(before) :] for text, _ in texts if text.startswith(before)]

    def _offers(self, line: str, cursor: int) -> tuple[str, list[Offer]] | None:
        shell = self.shell
        names = {name: it for name, it in shell.user_ns.items() if name not in shell.user_ns_hidden}
        return offers(line, cursor, names)
