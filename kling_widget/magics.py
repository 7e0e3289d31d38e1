"""``%load_ext kling_widget``: ``%kling`` opens the widget, ``%%kling`` makes a video of a picture."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.magic import needs_local_scope, no_var_expand

from . import camera
from .errors import InvalidRequestError, KlingError, MissingKeyError
from .magic_options import CELL, KEY, LINE, Options
from .magic_tab import Tab
from .notebook_files import kernel_shell
from .rules import check_text

if TYPE_CHECKING:
    from argparse import Namespace

    from .generation import Generation
    from .video import Video
    from .widget import KlingWidget

NAME = "kling"

# How hints of errors name things in Python → how they are written here.
_SPELLINGS = {"send_anyway=True": "--send-anyway", "workspace=…": "--workspace", "budget= (USD)": "--budget"}

_BODILESS = re.compile(rf"%%{NAME}(\s|$)")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext kling_widget``: adds the magics and their completion.

    Parameters
    ----------
    shell
        IPython's shell.
    """
    magics = Magics(shell)
    shell.register_magic_function(magics.open_widget, "line", NAME)
    shell.register_magic_function(magics.make_video, "cell", NAME)
    magics.tab.plug_in()
    shell.input_transformers_cleanup.append(_give_a_body)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext kling_widget``: takes them away again."""
    registered = shell.magics_manager.magics
    magics = registered["line"].pop(NAME).__self__
    del registered["cell"][NAME]
    magics.tab.take_out()
    shell.input_transformers_cleanup.remove(_give_a_body)


class Magics:
    """The two magics of a shell."""

    def __init__(self, shell: Any) -> None:
        self.shell, self.tab = shell, Tab(shell)

    @needs_local_scope
    @no_var_expand  # IPython would put an object's text in place of {img}
    def open_widget(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        with _in_one_sentence():
            given = self._read(LINE, line, local_ns)
            return None if given is None else _widget(given)

    @needs_local_scope
    @no_var_expand
    def make_video(self, line: str, cell: str, local_ns: Mapping[str, Any] | None = None) -> Any:
        with _in_one_sentence():
            given = self._read(CELL, line, local_ns)
            if given is None:
                return None
            _check_name(given.name)  # before anything is sent: what was paid for must not fail to get its name
            result = _made(given, cell.strip())
            if given.name is None:
                return result
            self.shell.push({given.name: result})
            return None  # as an assignment: what gets a name is not the cell's value

    open_widget.__doc__ = LINE.format_help()
    make_video.__doc__ = CELL.format_help()

    def _read(self, options: Options, line: str, local_ns: Mapping[str, Any] | None) -> Namespace | None:
        """The line's options; None where it asked for help, which is then there."""
        given = options.read(line, {**self.shell.user_ns, **(local_ns or {})})
        if given.help:
            print(options.format_help())
            return None
        return given


def _widget(given: Namespace) -> KlingWidget:
    if kernel_shell() is None:
        raise KlingError(
            "The widget needs a notebook.", hint="In a terminal, %%kling makes a video; %%kling --help shows how."
        )
    check_text("prompt", given.prompt)
    check_text("negative_prompt", given.negative)
    from .widget import KlingWidget

    fields = {
        "negative_prompt": given.negative,
        "duration": given.duration,
        "cfg_scale": given.cfg,
        "camera_control": _camera(given),
    }
    return KlingWidget(
        given.image,
        given.prompt or "",
        tail_image=given.last_frame,
        simulate=given.simulate or None,
        workspace=given.workspace,
        budget=given.budget,
        **{name: value for name, value in fields.items() if value is not None},
    )


def _camera(given: Namespace) -> Any:
    return camera.typed(given.camera) if isinstance(given.camera, str) else given.camera


def _made(given: Namespace, prompt: str) -> Video | Generation:
    from . import api

    generation = api.submit(
        given.image,
        prompt,
        tail_image=given.last_frame,
        negative_prompt=given.negative,
        duration=given.duration,
        cfg_scale=given.cfg,
        camera_control=_camera(given),
        take=1 if given.take is None else given.take,
        simulate=given.simulate,
        workspace=given.workspace,
        budget=given.budget,
        send_anyway=given.send_anyway,
        # In a terminal a line that moves would be in the way of what is typed next.
        progress=not given.no_wait or kernel_shell() is not None,
    )
    return generation if given.no_wait else generation.wait()


def _check_name(name: object) -> None:
    if name is not None and not (isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)):
        raise InvalidRequestError(f"--as takes the name of a variable, not {str(name)[:40]!r}.")


@contextmanager
def _in_one_sentence() -> Iterator[None]:
    """Errors as one sentence instead of a page, in the words of the magics.

    Not IPython's UsageError: that is printed and leaves no error in the cell's outputs, where papermill and readers of
    the saved notebook look for it.
    """
    try:
        yield
    except KlingError as error:
        if isinstance(error, MissingKeyError):
            error.hint = f"{KEY} Or try it free of charge with --simulate."
        for python, magic in _SPELLINGS.items():
            error.hint = error.hint.replace(python, magic)
        _show_only(error, f"{type(error).__name__}: {error}")
        raise
    except KeyboardInterrupt as interrupt:  # the wait has said what goes on, and how to come back to it
        _show_only(interrupt, "KeyboardInterrupt")
        raise


def _show_only(error: BaseException, line: str) -> None:
    vars(error)["_render_traceback_"] = lambda: [line]  # IPython asks the error for it


def _give_a_body(lines: list[str]) -> list[str]:
    """IPython refuses a cell magic without a body before it is asked: ``%%kling --help`` is one."""
    return [*lines, "\n"] if len(lines) == 1 and _BODILESS.match(lines[0]) else lines


_give_a_body.has_side_effects = True  # type: ignore[attr-defined]  # else terminals take the first line for the whole cell
