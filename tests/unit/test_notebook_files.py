"""A file gets a relative address only where the page can load it; anywhere else None, so that it is embedded."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from kling_widget.notebook_files import host, notebook_relative
from kling_widget.workspace import Workspace


@pytest.fixture(autouse=True)
def jupyter(monkeypatch, tmp_path):
    """A kernel as jupyter_server starts it for root/work/demo.ipynb."""
    for name in (
        "VSCODE_PID",
        "SERVER_SOFTWARE",
        "VOILA_PREHEAT",
        "KAGGLE_KERNEL_RUN_TYPE",
        "DATABRICKS_RUNTIME_VERSION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    monkeypatch.delitem(sys.modules, "marimo", raising=False)
    work = tmp_path / "root" / "work"
    work.mkdir(parents=True)
    monkeypatch.setenv("JPY_SESSION_NAME", str(work / "demo.ipynb"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JPY_PARENT_PID", "4242")
    monkeypatch.chdir(work)
    return work


def tell_root(tmp_path, root):
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "jpserver-4242.json").write_text(json.dumps({"root_dir": str(root)}))


def test_a_file_below_the_notebook_is_relative_to_it(jupyter):
    assert notebook_relative(jupyter / "kling_videos" / "videos" / "a.mp4") == "kling_videos/videos/a.mp4"
    assert notebook_relative("kling_videos/videos/a.mp4") == "kling_videos/videos/a.mp4"


def test_the_notebook_s_folder_stays_the_same_after_chdir(jupyter, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert notebook_relative(jupyter / "a.mp4") == "a.mp4"


def test_without_a_session_name_the_working_folder_counts(jupyter, monkeypatch):
    for value in ("", "demo.ipynb"):
        monkeypatch.setenv("JPY_SESSION_NAME", value)
        assert notebook_relative(jupyter / "a.mp4") == "a.mp4"


def test_names_are_quoted_for_an_address(jupyter):
    assert notebook_relative(jupyter / 'a b#c?d%"ü:.mp4') == "a%20b%23c%3Fd%25%22%C3%BC%3A.mp4"


def test_hidden_folders_are_not_served(jupyter):
    assert notebook_relative(jupyter / ".cache" / "a.mp4") is None
    assert notebook_relative(jupyter / ".a.mp4") is None


def test_outside_the_notebook_s_folder_the_server_s_root_decides(jupyter, tmp_path):
    beside = tmp_path / "root" / "kling_videos" / "a.mp4"
    assert notebook_relative(beside) is None  # the root is not known
    tell_root(tmp_path, tmp_path / "root")
    assert notebook_relative(beside) == "../kling_videos/a.mp4"
    assert notebook_relative(tmp_path / "elsewhere" / "a.mp4") is None


def test_a_hidden_folder_above_the_notebook_is_not_served_either(jupyter, monkeypatch, tmp_path):
    hidden = tmp_path / "root" / ".hidden"
    hidden.mkdir()
    monkeypatch.setenv("JPY_SESSION_NAME", str(hidden / "demo.ipynb"))
    tell_root(tmp_path, tmp_path / "root")
    assert notebook_relative(hidden / "a.mp4") is None


def test_a_link_below_the_root_is_followed_as_the_server_does(jupyter, tmp_path):
    (tmp_path / "disk").mkdir()
    (jupyter / "videos").symlink_to(tmp_path / "disk")
    assert notebook_relative(jupyter / "videos" / "a.mp4") == "videos/a.mp4"


def test_a_workspace_that_is_a_link_plays_from_its_files(jupyter, tmp_path):
    """As where homes are small: ``kling_videos`` leads to another disk."""
    (tmp_path / "disk").mkdir()
    (jupyter / "kling_videos").symlink_to(tmp_path / "disk")
    assert notebook_relative(Workspace().video_path("a.mp4")) == "kling_videos/videos/a.mp4"


def test_a_notebook_reached_by_a_link_still_finds_its_files(jupyter, monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to(jupyter)
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "link" / "demo.ipynb"))
    assert notebook_relative(jupyter / "a.mp4") == "a.mp4"


def test_a_kernel_on_another_machine_serves_nothing(jupyter, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/no/such/folder/here/demo.ipynb")
    assert notebook_relative(jupyter / "a.mp4") is None


def test_a_damaged_server_file_is_no_harm(jupyter, tmp_path):
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "jpserver-4242.json").write_text("[")
    assert notebook_relative(jupyter / "a.mp4") == "a.mp4"


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("VSCODE_PID", "1", "vscode"),
        ("JPY_SESSION_NAME", "/x/demo-jvsc-1234.ipynb", "vscode"),
        ("SERVER_SOFTWARE", "voila/0.5", "voila"),
        ("VOILA_PREHEAT", "True", "voila"),
        ("KAGGLE_KERNEL_RUN_TYPE", "Interactive", "kaggle"),
    ],
)
def test_hosts_that_load_no_files_are_known(jupyter, monkeypatch, variable, value, name):
    assert host() == "jupyter"
    monkeypatch.setenv(variable, value)
    assert host() == name
    assert notebook_relative(jupyter / "a.mp4") is None


def test_marimo_is_known_unless_it_is_merely_imported_in_a_kernel(monkeypatch):
    monkeypatch.setitem(sys.modules, "marimo", ModuleType("marimo"))
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))  # other packages import it anywhere
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert host() == "marimo"
    shell = SimpleNamespace(kernel=object(), user_ns={})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert host() == "jupyter"


def test_colab_and_vs_code_are_known_by_what_they_put_into_the_kernel(monkeypatch):
    shell = SimpleNamespace(user_ns={"__vsc_ipynb_file__": "/x/demo.ipynb"})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert host() == "vscode"
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    assert host() == "colab"
