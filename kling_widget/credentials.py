"""Finding the API key, and never showing it."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from concurrent import futures
from typing import Any

from . import background
from .errors import AuthenticationError, MissingKeyError

KEY_NAMES = ("AIMLAPI_KEY", "AIML_API_KEY", "AIMLAPI_API_KEY")  # environment variables and Colab secrets
KEYRING_SERVICE = "kling_widget"  # `keyring set kling_widget AIMLAPI_KEY`

HOW_TO_GIVE_A_KEY = (
    "Ways to give one: the argument api_key=…; the environment variable AIMLAPI_KEY (or AIML_API_KEY, "
    "AIMLAPI_API_KEY); a Colab secret of one of those names; the operating system's keyring "
    "(`keyring set kling_widget AIMLAPI_KEY`). Or pass simulate=True to use the built-in simulator, free of charge."
)

COLAB_QUIET = 10.0  # seconds; ours: what a question that isn't answered takes (google/colab/userdata.py)
_ask_colab_from = 0.0  # on the monotonic clock

KEYRING_QUIET = 5.0  # seconds; ours: a desktop's keyring that is started first takes two or three
# The question that is not answered yet, and until when it is waited for, on the monotonic clock.
_asked_keyring: tuple[futures.Future[ApiKey | None], float] | None = None


class ApiKey:
    """An API key that shows itself nowhere: ``repr``, ``str``, pickles and copies of state hide it.

    Parameters
    ----------
    value
        The key's text; surrounding white space is dropped.

    Raises
    ------
    AuthenticationError
        The text can't be a key: it is empty or has characters that no HTTP header can carry.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str | ApiKey) -> None:
        self.__value = value.reveal() if isinstance(value, ApiKey) else value.strip()
        value = ""  # a traceback may show the locals of every frame
        if not self._plausible():
            raise AuthenticationError(
                "This does not look like an API key: it is empty or has spaces or unusual characters.",
                hint="Copy the key once more from the vendor's key page.",
            )

    @classmethod
    def unchecked(cls, value: str | ApiKey) -> ApiKey:
        """A key hidden before anything can raise; ``ApiKey(…)`` of it checks it."""
        key = cls.__new__(cls)
        key.__value = value.reveal() if isinstance(value, ApiKey) else value.strip()
        return key

    def _plausible(self) -> bool:
        text = self.__value
        return bool(text) and text.isascii() and text.isprintable() and " " not in text

    def reveal(self) -> str:
        """The key itself, for the Authorization header."""
        return self.__value

    def __repr__(self) -> str:
        return "ApiKey(hidden)"

    def __reduce__(self) -> Any:
        raise TypeError("An API key is never pickled.")


def find_key(explicit: str | ApiKey | None = None, environ: Mapping[str, str] | None = None) -> ApiKey | None:
    """The first key found: the argument, the environment, Colab secrets, the operating system's keyring.

    Raises
    ------
    AuthenticationError
        A key was found and can't be one.
    """
    return look_for_key(explicit, environ)[0]


def look_for_key(
    explicit: str | ApiKey | None = None, environ: Mapping[str, str] | None = None
) -> tuple[ApiKey | None, str]:
    """As :func:`find_key`; where there is none, also a sentence on what a place that may have one did not give."""
    if explicit is not None:
        return ApiKey(explicit), ""
    found, note = _from_environment(environ), ""
    if found is None:
        found, note = _from_colab()
    if found is None:
        found, quiet = _from_keyring()
        note = note or quiet
    return (None, note) if found is None else (ApiKey(found), "")


def require_key(explicit: str | ApiKey | None = None) -> ApiKey:
    """As :func:`find_key`; raises :class:`MissingKeyError` naming every way to give a key."""
    key, note = look_for_key(explicit)
    if key is None:
        raise MissingKeyError("No API key was found.", hint=f"{note} {HOW_TO_GIVE_A_KEY}".strip())
    return key


def hidden(api_key: str | ApiKey | None) -> ApiKey | None:
    """The argument of a public function, hidden: from here on none of its frames holds the bare text."""
    return None if api_key is None else ApiKey.unchecked(api_key)


def _from_environment(environ: Mapping[str, str] | None) -> ApiKey | None:
    variables = os.environ if environ is None else environ
    return next((ApiKey.unchecked(variables[name]) for name in KEY_NAMES if variables.get(name, "").strip()), None)


def _from_colab() -> tuple[ApiKey | None, str]:
    """The secret of one of our names, and what keeps it from us where it is there."""
    global _ask_colab_from
    try:
        userdata = importlib.import_module("google.colab.userdata")
        errors = importlib.import_module("google.colab.errors")
    except ImportError:
        return None, ""
    note = ""
    for name in KEY_NAMES if time.monotonic() >= _ask_colab_from else ():
        try:
            value = userdata.get(name)
        except userdata.SecretNotFoundError:
            continue
        except userdata.NotebookAccessError:
            note = (
                f"The Colab secret {name} is there, but this notebook may not read it. "
                "Switch on its “Notebook access” (the key on the left), then run the cell again."
            )
        except errors.Error:  # nobody answered for 10 s: the other names would take as long
            _ask_colab_from = time.monotonic() + COLAB_QUIET
            break
        else:
            if value:
                return ApiKey.unchecked(str(value)), ""
    if time.monotonic() < _ask_colab_from:
        note = (
            "Colab did not answer when it was asked for its secrets. "
            "If it asks for access, grant it, then run the cell again."
        )
    return None, note


def _from_keyring() -> tuple[ApiKey | None, str]:
    """The keyring's key, and what to do where it doesn't answer.

    A locked one asks a person, perhaps on a screen that nobody sees: so it is asked beside us, and only once.
    """
    global _asked_keyring
    try:
        importlib.import_module("keyring")
    except ImportError:
        return None, ""
    asked, until = _asked_keyring or (background.aside(_ask_keyring), time.monotonic() + KEYRING_QUIET)
    _asked_keyring = asked, until
    if not futures.wait([asked], max(until - time.monotonic(), 0.0)).done:
        return None, (
            "The operating system's keyring, where a key may be, does not answer. "
            "It probably waits to be unlocked: do that, then run the cell again."
        )
    _asked_keyring = None
    return asked.result(), ""


def _ask_keyring() -> ApiKey | None:
    keyring, errors = importlib.import_module("keyring"), importlib.import_module("keyring.errors")
    for name in KEY_NAMES:
        try:
            value = keyring.get_password(KEYRING_SERVICE, name)
        except errors.KeyringError:  # no keyring on this machine, or it stays locked
            return None
        if value:
            return ApiKey.unchecked(str(value))
    return None


def simulation_forced() -> bool:
    """Whether ``KLING_WIDGET_SIMULATE`` keeps everything on the simulator (`make demo` does)."""
    return os.environ.get("KLING_WIDGET_SIMULATE", "").strip().lower() in {"1", "true", "yes"}
