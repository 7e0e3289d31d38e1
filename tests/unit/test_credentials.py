"""The key is found wherever a person may have put it, and shown nowhere."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
import sys
import threading
from pathlib import Path

import pytest

from kling_widget import AuthenticationError, Client, MissingKeyError, credentials
from kling_widget.credentials import KEY_NAMES, ApiKey, find_key, look_for_key, require_key

FAKE_COLAB = Path(__file__).parent.parent / "fake_colab"

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


@pytest.fixture
def colab(monkeypatch):
    """The fake ``google.colab``; returns how to set its secrets, and the list of the names it was asked for."""
    monkeypatch.syspath_prepend(str(FAKE_COLAB))
    userdata = importlib.import_module("google.colab.userdata")

    def has(secrets, silent=""):
        monkeypatch.setenv("FAKE_COLAB_SECRETS", json.dumps(secrets))
        monkeypatch.setenv("FAKE_COLAB_SILENT", silent)
        userdata.asked.clear()
        return userdata.asked

    monkeypatch.setattr(credentials, "_ask_colab_from", 0.0)
    yield has
    for name in [name for name in sys.modules if name.split(".")[0] == "google"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", KEY_NAMES)
def test_colab_secrets_are_read(colab, name):
    colab({name: SECRET})
    assert require_key().reveal() == SECRET


def test_without_a_colab_secret_there_is_no_key_and_nothing_to_say(colab):
    asked = colab({"OTHER": "x"})
    assert look_for_key() == (None, "")
    assert asked == list(KEY_NAMES)


def test_a_colab_secret_that_this_notebook_may_not_read_is_named(colab):
    colab({"AIML_API_KEY": None})
    assert find_key() is None
    with pytest.raises(MissingKeyError) as caught:
        require_key()
    assert "AIML_API_KEY is there, but this notebook may not read it" in str(caught.value)
    assert "simulate=True" in str(caught.value)


def test_one_that_may_be_read_is_taken_all_the_same(colab):
    colab({"AIMLAPI_KEY": None, "AIML_API_KEY": SECRET})
    assert require_key().reveal() == SECRET


def test_a_colab_page_that_does_not_answer_is_asked_once_and_again_after_a_while(colab, monkeypatch):
    asked = colab({"AIMLAPI_KEY": SECRET}, silent="1")
    now = [1000.0]
    monkeypatch.setattr(credentials.time, "monotonic", lambda: now[0])
    for _ in range(3):  # a widget that opens looks more than once
        key, note = look_for_key()
        assert key is None
        assert "Colab did not answer" in note
    assert asked == ["AIMLAPI_KEY"], "each question takes 10 s"
    asked = colab({"AIMLAPI_KEY": SECRET})
    now[0] += credentials.COLAB_QUIET
    assert require_key().reveal() == SECRET


def test_the_keyring_is_read_and_a_missing_or_locked_one_is_no_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "keyring")
    keyring = importlib.import_module("keyring")
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setattr(keyring, "get_password", lambda service, name: SECRET if name == "AIML_API_KEY" else None)
    assert require_key().reveal() == SECRET

    def locked(service, name):
        raise importlib.import_module("keyring.errors").KeyringLocked("locked")

    monkeypatch.setattr(keyring, "get_password", locked)
    assert find_key() is None


@pytest.fixture
def locked_keyring(monkeypatch):
    """A keyring that waits for a person; returns what unlocks it, and the list of the names it was asked for."""
    monkeypatch.delitem(sys.modules, "keyring")
    keyring = importlib.import_module("keyring")
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setattr(credentials, "KEYRING_QUIET", 0.2)
    unlocked, asked = threading.Event(), []

    class Locked(importlib.import_module("keyring.backend").KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            asked.append(username)
            unlocked.wait()
            return SECRET if username == "AIML_API_KEY" else None

        def set_password(self, service, username, password):
            """Abstract in keyring's, and not of interest here."""

    usual = keyring.get_keyring()
    keyring.set_keyring(Locked())
    yield unlocked.set, asked
    unlocked.set()
    keyring.set_keyring(usual)


def test_a_keyring_that_waits_to_be_unlocked_holds_nobody_up_and_is_asked_once(locked_keyring):
    unlock, asked = locked_keyring
    for _ in range(3):
        key, note = look_for_key()
        assert key is None
        assert "waits to be unlocked" in note
    with pytest.raises(MissingKeyError, match=r"unlocked.*api_key="):
        require_key()
    assert asked == ["AIMLAPI_KEY"]

    unlock()
    question, _ = credentials._asked_keyring
    assert question.result(10).reveal() == SECRET
    assert require_key().reveal() == SECRET
    assert asked == ["AIMLAPI_KEY", "AIML_API_KEY"], "the answer to the one question"


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
