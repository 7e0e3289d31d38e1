"""The key is found wherever a person may have put it, and shown nowhere."""

from __future__ import annotations

import copy
import pickle
import sys
import types

import pytest

from kling_widget import AuthenticationError, Client, MissingKeyError
from kling_widget.credentials import KEY_NAMES, ApiKey, find_key, require_key

SECRET = "sk-test-2c4e"


@pytest.fixture(autouse=True)
def no_key_of_this_machine(monkeypatch):
    for name in KEY_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.mark.parametrize("name", KEY_NAMES)
def test_every_environment_variable_is_read(monkeypatch, name):
    monkeypatch.setenv(name, f" {SECRET}\n")
    assert require_key().reveal() == SECRET


def test_the_argument_comes_first(monkeypatch):
    monkeypatch.setenv("AIMLAPI_KEY", "another")
    assert require_key(SECRET).reveal() == SECRET


@pytest.mark.parametrize("name", KEY_NAMES)
def test_colab_secrets_are_read(monkeypatch, name):
    userdata = types.ModuleType("google.colab.userdata")
    for error in ("SecretNotFoundError", "NotebookAccessError", "TimeoutException"):
        setattr(userdata, error, type(error, (Exception,), {}))

    def get(asked):
        if asked != name:
            raise userdata.SecretNotFoundError(asked)
        return SECRET

    userdata.get = get
    for module in ("google", "google.colab"):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    monkeypatch.setitem(sys.modules, "google.colab.userdata", userdata)
    assert require_key().reveal() == SECRET


def test_the_keyring_is_read_and_a_missing_or_locked_one_is_no_error(monkeypatch):
    import importlib

    monkeypatch.delitem(sys.modules, "keyring")
    keyring = importlib.import_module("keyring")
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setattr(keyring, "get_password", lambda service, name: SECRET if name == "AIML_API_KEY" else None)
    assert require_key().reveal() == SECRET

    def locked(service, name):
        raise importlib.import_module("keyring.errors").KeyringLocked("locked")

    monkeypatch.setattr(keyring, "get_password", locked)
    assert find_key() is None


def test_no_key_names_every_way_to_give_one():
    with pytest.raises(MissingKeyError) as caught:
        Client()
    for way in ("api_key=", *KEY_NAMES, "Colab secret", "keyring", "simulate=True"):
        assert way in str(caught.value)


@pytest.mark.parametrize("bad", ["", "  ", "sk-a b", "sk-\nX-Header: 1", "schlüssel"])
def test_what_cannot_be_a_key_is_refused_without_being_repeated(bad):
    with pytest.raises(AuthenticationError) as caught:
        ApiKey(bad)
    assert not bad.strip() or bad not in str(caught.value)


def test_the_key_is_in_no_repr_and_never_pickled():
    key = ApiKey(SECRET)
    assert SECRET not in f"{key!r} {key} {vars(type(key))} {[key]!r}"
    for spill in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            spill(key)
    assert SECRET not in repr(Client(SECRET)) + repr(vars(Client(SECRET)))
