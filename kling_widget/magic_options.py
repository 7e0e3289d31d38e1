"""The options of ``%kling`` and ``%%kling``: what they are called, their help, and reading them from a line."""

from __future__ import annotations

import argparse
import difflib
import textwrap
from collections.abc import Mapping
from typing import Any, NoReturn

from .camera import PATHS, WAYS
from .errors import InvalidRequestError
from .magic_words import closed, split, value

PICTURE, FOLDER = "PICTURE", "FOLDER"  # what stands for a value in the help, and what Tab then offers
CHOICES = {
    "SECONDS": ("5", "10"),  # the specification's
    "TAKE": ("2", "new"),  # those people ask for
    "MOVE": (*(f"{name}=" for name in WAYS), *PATHS),
}

_NUMBERS = ("duration", "cfg", "take", "budget")
_KEY_OPTIONS = ("--api-key", "--api_key", "--key")
KEY = (
    "The key is never written into a cell, where it would be saved with the notebook: set the environment variable "
    "AIMLAPI_KEY, a Colab secret or a keyring entry of that name, or type it into the widget."
)

_CELL = """Make a video of a picture. The text of the cell is the prompt, word for word.

    %%kling cat.png --duration 10 --as clip
    The cat yawns and looks away

The same request is made and paid once: run again, the cell shows the video that is there. --take 2 asks for
another one. Without --as the video is the cell's value."""
_LINE = """Open the widget, with these values in its form.

    %kling cat.png --duration 10

The widget is the line's value: "w = %kling" keeps it. What the form holds is submitted when Generate is pressed."""
_EPILOG = f"""A picture is a file, a URL, or a variable between braces: {{img}} may be anything that is a picture (a PIL
image, an array, a figure, a Video: its last frame …). Names with spaces go between quotes.

{textwrap.fill(KEY, 110)}
Without a key, --simulate tries it on the built-in simulator, free of charge."""


class Options(argparse.ArgumentParser):
    """The options of one of the two magics.

    argparse and not IPython.core.magic_arguments: that one leaves the quotes in the values, its errors are no error
    outputs, and its help is markup for Sphinx.
    """

    def __init__(self, name: str, description: str) -> None:
        super().__init__(
            prog=name,
            usage="%(prog)s [PICTURE] [options]",
            description=description,
            epilog=_EPILOG,
            formatter_class=_Help,
            add_help=False,
            allow_abbrev=False,
            exit_on_error=False,
        )
        self._positionals.title = "picture"
        self.color = False  # the help is also a docstring (Python 3.14 would colour it)

    def read(self, line: str, names: Mapping[str, Any]) -> argparse.Namespace:
        """The options of a line, with numbers as numbers and ``{expressions}`` as what they stand for.

        Parameters
        ----------
        line
            What follows the magic's name.
        names
            The variables of the notebook.

        Raises
        ------
        InvalidRequestError
            An option is unknown, has no value, or its expression cannot be evaluated.
        """
        try:
            given, extra = self.parse_known_args(closed(split(line)))
        except argparse.ArgumentError as error:
            option = str(error.argument_name)
            needs = "needs a" if self.takes_value(option) else "takes no"
            raise InvalidRequestError(f"{option} {needs} value.", hint=self._see_help) from None
        if extra:
            self._refuse(extra)
        for name, text in vars(given).items():
            if isinstance(text, str):
                found = value(text, names)
                setattr(given, name, _number(found) if name in _NUMBERS else found)
        return given

    def takes_value(self, option: str) -> bool:
        """Whether a value follows this option; False where there is no such option."""
        action = self._option_string_actions.get(option)
        return action is not None and action.nargs != 0

    def stands_for(self, option: str) -> str:
        """What the value of an option is called in the help."""
        return str(self._option_string_actions[option].metavar)

    @property
    def names(self) -> list[str]:
        """All options, as in the help."""
        return list(self._option_string_actions)

    @property
    def _see_help(self) -> str:
        return f"{self.prog} --help shows them all."

    def error(self, message: str) -> NoReturn:
        """Instead of ending the process."""
        raise InvalidRequestError(f"{message[:1].upper()}{message[1:]}.")

    def _refuse(self, extra: list[str]) -> NoReturn:
        """Say what is wrong, without repeating any value: it may be a key."""
        option = next((each.partition("=")[0] for each in extra if each.startswith("-")), None)
        if option is None:
            raise InvalidRequestError(
                f"{self.prog} takes one picture, and there is more on the line.",
                hint="A name with spaces goes between quotes; the last frame is --last-frame PICTURE.",
            )
        if option in _KEY_OPTIONS:
            raise InvalidRequestError(f"There is no option {option}.", hint=f"{KEY} Take it out of this cell.")
        near = [name for name in self.names if name.startswith(option) or option.startswith(name)]
        near = near or difflib.get_close_matches(option, self.names, n=1)
        hint = f"Did you mean {near[0]}?" if near else self._see_help
        raise InvalidRequestError(f"There is no option {option[:40]}.", hint=hint)


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=110)


def _number(found: Any) -> Any:
    """A number where it is one; else as it is: the rule of the field then says what is wrong with it."""
    if not isinstance(found, str):
        return found
    for kind in (int, float):
        try:
            return kind(found)
        except ValueError:
            continue
    return found


def _options(name: str, description: str) -> Options:
    options = Options(name, description)
    add = options.add_argument
    add("image", nargs="?", metavar=PICTURE, help="the first frame")
    add("--last-frame", metavar=PICTURE, help="the last frame")
    add("--negative", metavar="TEXT", help="what to avoid")
    add("--duration", metavar="SECONDS", help="5 or 10")
    add("--cfg", metavar="SCALE", help="how closely to follow the prompt, 0 to 1")
    add("--camera", metavar="MOVE", help="such as zoom=-5, which comes closer (-10 to 10), or down_back")
    add("--simulate", action="store_true", help="use the built-in simulator, free of charge")
    add("--workspace", metavar=FOLDER, help="where videos and the ledger go; ./kling_videos unless set")
    add("--budget", metavar="USD", help="what all clips of the workspace may cost together")
    return options


def _line_options() -> Options:
    options = _options("%kling", _LINE)
    options.add_argument("--prompt", metavar="TEXT", help="scene, subject or action")
    options.add_argument("--help", action="store_true", help="show this")
    return options


def _cell_options() -> Options:
    options = _options("%%kling", _CELL)
    add = options.add_argument
    add("--as", dest="name", metavar="NAME", help="the variable that holds the video")
    add("--take", metavar="TAKE", help="2, 3 …: another video of the same request; new: always another")
    add("--no-wait", action="store_true", help="return at once, with the Generation instead of the Video")
    add("--send-anyway", action="store_true", help="send also what the model will probably not take")
    add("--help", action="store_true", help="show this")
    return options


LINE, CELL = _line_options(), _cell_options()
