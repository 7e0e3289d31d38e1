"""The magics' line: words, options, help, what Tab offers, and errors of one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from IPython.core import completer
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.core.interactiveshell import InteractiveShell

from kling_widget import magic_options, magic_words, magics
from kling_widget.errors import InvalidRequestError
from kling_widget.magic_completion import offers
from tests.unit.picture_samples import noisy_photo, saved

PICTURE = object()
NAMES = {"img": PICTURE, "pictures": {"a cat": PICTURE}, "n": 7, "folder": Path("clips")}
FROM_8_6 = hasattr(completer, "context_matcher")  # of IPython


def words(line: str) -> list[str]:
    return magic_words.closed(magic_words.split(line))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cat.png --duration 10", ["cat.png", "--duration", "10"]),
        ("  cat.png\t--simulate  ", ["cat.png", "--simulate"]),
        ('"my cat.png" --negative "blur, noise"', ["my cat.png", "--negative", "blur, noise"]),
        ("'say \"cat\".png'", ['say "cat".png']),
        ('"it\'s a cat.png"', ["it's a cat.png"]),
        (r"my\ cat.png it\'s.png", ["my cat.png", "it's.png"]),
        (r"C:\pictures\cat.png \\server\cat.png", [r"C:\pictures\cat.png", r"\\server\cat.png"]),
        ('{pictures["a cat"]} {f(1, "}")}', ['{pictures["a cat"]}', '{f(1, "}")}']),
        ('--negative ""', ["--negative", ""]),
        ("https://example.org/cat.png?a=1&b=2", ["https://example.org/cat.png?a=1&b=2"]),
        ("", []),
    ],
)
def test_a_line_is_split_as_it_was_meant(line: str, expected: list[str]) -> None:
    assert words(line) == expected


@pytest.mark.parametrize("line", ['"my cat.png', "Anna's.png", "{img", '{pictures["a cat]}'])
def test_what_is_not_closed_is_said_without_repeating_it(line: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not closed") as caught:
        words(line)
    assert line not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("{img}", PICTURE),
        ("{ img }", PICTURE),
        ('{pictures["a cat"]}', PICTURE),
        ("{[n, 2][0]}", 7),
        ("{folder}", NAMES["folder"]),
        ("frame{n:03d}.png", "frame007.png"),
        ("{folder}/{n + 1}.png", "clips/8.png"),
        ("cat{{1}}.png", "cat{1}.png"),
        ("{{img}}", "{img}"),
        ("cat.png", "cat.png"),
    ],
)
def test_braces_are_the_object_itself_or_filled_in(word: str, expected: Any) -> None:
    found = magic_words.value(word, NAMES)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("{image}", "'image' is not defined"),
        ("{img.nothing}", "no attribute"),
        ("{pictures[1]}", "cannot be used: 1"),
        ("{img +}", "invalid syntax"),
        ("{}", "invalid syntax"),
        ("cat{.png", "expected '}'"),
        ("cat}.png", "Single '}'"),
    ],
)
def test_an_expression_that_cannot_be_evaluated_is_named(word: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        magic_words.value(word, NAMES)
    assert word in str(caught.value)
    assert reason in str(caught.value)


def test_what_the_persons_own_code_raises_is_not_ours_to_reword() -> None:
    with pytest.raises(ZeroDivisionError):
        magic_words.value("{1 / 0}", NAMES)


def read(line: str) -> dict[str, Any]:
    return vars(magic_options.CELL.read(line, NAMES))


def test_every_option_is_read() -> None:
    line = (
        'cat.png --last-frame {img} --negative "no blur" --duration 10 --cfg 0 --take 2 --as clip --simulate '
        "--camera zoom=5 --workspace {folder} --budget 2.50 --no-wait --send-anyway"
    )
    assert read(line) == {
        "image": "cat.png",
        "last_frame": PICTURE,
        "negative": "no blur",
        "duration": 10,
        "cfg": 0,
        "camera": "zoom=5",
        "take": 2,
        "name": "clip",
        "simulate": True,
        "workspace": NAMES["folder"],
        "budget": 2.5,
        "no_wait": True,
        "send_anyway": True,
        "help": False,
    }


def test_options_may_come_first_and_with_an_equals_sign() -> None:
    given = read("--duration=5 --simulate --take new cat.png --negative=-blur --cfg -1")
    assert (given["image"], given["duration"], given["take"]) == ("cat.png", 5, "new")
    assert given["negative"] == "-blur"
    assert given["cfg"] == -1  # for the field's own rule to refuse


def test_what_is_not_given_is_left_to_the_request() -> None:
    assert {name for name, it in read("cat.png").items() if it not in (None, False)} == {"image"}


def test_what_is_no_number_reaches_the_fields_rule_as_it_was_written() -> None:
    assert read("cat.png --duration ten --take {n}") == {**read("cat.png"), "duration": "ten", "take": 7}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("cat.png --duration", "--duration needs a value. %%kling --help shows them all."),
        ("cat.png --duration --simulate", "--duration needs a value. %%kling --help shows them all."),
        ("cat.png --simulate=yes", "--simulate takes no value. %%kling --help shows them all."),
        ("cat.png --lenght 5", "There is no option --lenght. %%kling --help shows them all."),
        ("cat.png --durations 5", "There is no option --durations. Did you mean --duration?"),
        ("cat.png --cfg-scale 0.5", "There is no option --cfg-scale. Did you mean --cfg?"),
        ("cat.png --simulated", "There is no option --simulated. Did you mean --simulate?"),
        ("cat.png --dur 5", "There is no option --dur. Did you mean --duration?"),
        ("my cat.png", "%%kling takes one picture, and there is more on the line. A name with spaces goes between"),
    ],
)
def test_a_wrong_option_is_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(line)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    "line",
    [
        "cat.png --api-key sk-seCret",
        "--api-key sk-seCret cat.png",
        "--api-key=sk-seCret",
        "cat.png --key sk-seCret",
        "cat.png --token sk-seCret",
        'cat.png --api-key "sk-seCret',
    ],
)
def test_a_key_on_the_line_is_refused_and_not_repeated(line: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(line)
    assert "seCret" not in str(caught.value)


def test_who_gives_a_key_is_told_where_it_goes() -> None:
    with pytest.raises(InvalidRequestError, match="AIMLAPI_KEY") as caught:
        read("cat.png --api-key sk-seCret")
    assert str(caught.value).endswith("Take it out of this cell.")


# In a shell


@contextmanager
def new_shell() -> Iterator[InteractiveShell]:
    """IPython as in a terminal; afterwards `__main__` is again what it was."""
    shell = InteractiveShell()
    yield shell
    shell.history_manager.end_session()
    shell.restore_sys_module_state()


@pytest.fixture(scope="module")
def ipython(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """IPython with the extension."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        with new_shell() as shell:
            shell.run_cell("%load_ext kling_widget")
            yield shell


@pytest.fixture
def shell(ipython: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """The same, without a key, in a folder with one picture."""
    monkeypatch.chdir(tmp_path)
    for name in ("AIMLAPI_KEY", "AIML_API_KEY", "AIMLAPI_API_KEY", "KLING_WIDGET_SIMULATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "teal.png").write_bytes(saved(noisy_photo(400, 400), "PNG"))
    return ipython


@pytest.mark.parametrize("cell", ["%%kling --help", "%%kling cat.png --help\nwhat follows is no prompt then"])
def test_help_names_every_option_and_where_the_key_comes_from(shell: Any, cell: str, capsys: Any) -> None:
    assert shell.run_cell(cell).success
    shown = capsys.readouterr().out
    for option in magic_options.CELL.names:
        assert option in shown
    assert "environment variable\nAIMLAPI_KEY" in shown
    assert "--api-key" not in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_the_line_magics_help_is_its_own(shell: Any, capsys: Any) -> None:
    assert shell.run_cell("%kling --help").success
    shown = capsys.readouterr().out
    assert "%kling [PICTURE] [options]" in shown
    assert "--prompt" in shown
    assert "--take" not in shown


@pytest.mark.parametrize("name", ["%kling", "%%kling"])
def test_a_question_mark_shows_the_same_help(shell: Any, name: str) -> None:
    options = magic_options.CELL if name == "%%kling" else magic_options.LINE
    assert shell.object_inspect(name)["docstring"].strip() == options.format_help().strip()
    assert shell.transform_cell(f"{name}?") == f"get_ipython().run_line_magic('pinfo', '{name}')\n"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%kling cat.png\nIt yawns", "MissingKeyError: No API key was found. The key is never written into a cell"),
        ("%%kling cat.png --simulate\nIt yawns", "ImageError: There is no file cat.png in "),
        ("%%kling --simulate\nIt yawns", "ImageError: There is no first frame. Choose a picture to start from."),
        (
            "%%kling cat.png --simulate --as 2nd\nx",
            "InvalidRequestError: --as takes the name of a variable, not '2nd'.",
        ),
        ("%%kling cat.png --as class\nx", "InvalidRequestError: --as takes the name of a variable, not 'class'."),
        ("%%kling cat.png --nonsense\nx", "InvalidRequestError: There is no option --nonsense."),
        ("%%kling teal.png --simulate --take 0\nx", "InvalidRequestError: take must be 1, 2, 3"),
        (
            "%%kling teal.png --simulate --duration 7\nx",
            "InvalidRequestError: duration must be 5 or 10 seconds, not 7.",
        ),
        ("%%kling teal.png --simulate --camera up\nx", "InvalidRequestError: A camera is such as zoom=-5"),
        ("%%kling teal.png --simulate --camera zoom=11\nx", "InvalidRequestError: camera_control.config.zoom"),
        ("%%kling teal.png --simulate --cfg high\nx", "InvalidRequestError: cfg_scale must be a number from 0 to 1"),
        ("%%kling teal.png --simulate --budget low\nx", "InvalidRequestError: budget must be an amount in USD"),
        ("%%kling {teal}.png --simulate\nx", "InvalidRequestError: {teal}.png cannot be used: name 'teal' is not"),
        ("%kling cat.png", "KlingError: The widget needs a notebook. In a terminal, %%kling makes a video;"),
    ],
)
def test_an_error_fails_the_cell_with_one_line(shell: Any, cell: str, said: str, capsys: Any) -> None:
    result = shell.run_cell(cell)
    assert result.error_in_exec is not None
    shown = "".join(capsys.readouterr()).strip()
    assert shown.startswith(said)
    assert "\n" not in shown


@pytest.mark.parametrize("cell", ["%%kling teal.png --simulate", "%%kling teal.png --simulate\n\n"])
def test_a_cell_without_a_prompt_says_what_is_missing(shell: Any, cell: str, capsys: Any) -> None:
    assert shell.run_cell(cell).error_in_exec is not None
    shown = "".join(capsys.readouterr())
    assert shown == "InvalidRequestError: The prompt is empty: write what should happen in the video.\n"


def test_hints_are_in_the_words_of_the_magic(shell: Any, capsys: Any) -> None:
    assert shell.run_cell("%%kling teal.png --simulate\n" + "x" * 3000).error_in_exec is not None
    assert "To send it all the same: --send-anyway." in "".join(capsys.readouterr())


def test_the_first_line_alone_is_not_the_whole_cell_for_a_terminal(shell: Any) -> None:
    assert shell.check_complete("%%kling cat.png\n")[0] == "incomplete"
    assert shell.check_complete("%%kling cat.png\nIt yawns\n\n")[0] == "complete"


def test_other_magics_without_a_body_stay_as_they_are(shell: Any) -> None:
    for cell in ("%%time", "%%klingon", "%kling", "1 + 1"):
        assert magics._give_a_body([cell]) == [cell]


@pytest.mark.usefixtures("ipython")  # whose folder it shares
def test_unloading_leaves_nothing_behind() -> None:
    with new_shell() as shell:

        def facts() -> Any:
            names = {kind: sorted(found) for kind, found in shell.magics_manager.magics.items()}
            asked = len(shell.Completer.custom_matchers), len(shell.strdispatchers["complete_command"].regexs)
            return names, asked, len(shell.input_transformers_cleanup)

        bare = facts()
        shell.run_cell("%load_ext kling_widget")
        assert facts() != bare
        shell.run_cell("%unload_ext kling_widget")
        assert facts() == bare
        shell.run_cell("%load_ext kling_widget\n%reload_ext kling_widget")
        assert shell.find_cell_magic("kling") is not None


def test_loading_the_extension_imports_nothing_heavy() -> None:
    code = (
        "import sys, json; from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); "
        "before = set(sys.modules); s.run_cell('%load_ext kling_widget'); "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout.splitlines()[-1])}
    assert "kling_widget" in loaded
    assert not loaded & {"anywidget", "ipywidgets", "httpx", "PIL", "av", "sqlalchemy", "numpy", "starlette", "uvicorn"}


# Completion


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my pictures").mkdir()
    for name in (
        "cat.JPG",
        "my cat.png",
        "notes.txt",
        "clip.mp4",
        ".hidden.png",
        'say "hi".png',
        "b{1}.png",
        "my pictures/a.png",
    ):
        (tmp_path / name).touch()
    return tmp_path


def offered(line: str) -> list[str]:
    """What replaces what, with the cursor where the bar is."""
    before, _, after = line.partition("|")
    found = offers(
        before + after, len(before), {"img": PICTURE, "path": "cat.png", "n": 7, "_x": PICTURE, "json": json}
    )
    if found is None:
        return []
    typed, texts = found
    assert before.endswith(typed)
    return [before.removesuffix(typed) + text + after for text, _ in texts]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%kling --dur|", ["%%kling --duration"]),
        ("%%kling cat.JPG --s|", ["%%kling cat.JPG --send-anyway", "%%kling cat.JPG --simulate"]),
        ("%%kling cat.JPG --simulate --si|", []),
        ("%kling --pro|", ["%kling --prompt"]),
        ("%kling --tak|", []),
        ("w = %kling --pro|", ["w = %kling --prompt"]),
        ("%%kling c|", ["%%kling cat.JPG"]),
        ("%%kling m|", ['%%kling "my cat.png"', '%%kling "my pictures/']),
        ('%%kling "my c|', ['%%kling "my cat.png"']),
        ('%%kling "my c|"', ['%%kling "my cat.png"']),
        ('%%kling "my pictures/|', ['%%kling "my pictures/a.png"']),
        (r"%%kling my\ c|", ['%%kling "my cat.png"']),
        ("%%kling sa|", ["%%kling 'say \"hi\".png'"]),
        ("%%kling b|", ['%%kling "b{{1}}.png"']),
        ("%%kling .h|", ["%%kling .hidden.png"]),
        ("%%kling no|", []),
        ("%%kling nowhere/|", []),
        ("%%kling {|", ["%%kling {img}", "%%kling {path}"]),
        ("%%kling {im|}", ["%%kling {img}"]),
        ("%%kling cat.JPG --last-frame {i|", ["%%kling cat.JPG --last-frame {img}"]),
        ("%%kling cat.JPG --last-frame c|", ["%%kling cat.JPG --last-frame cat.JPG"]),
        ("%%kling cat.JPG --workspace m|", ['%%kling cat.JPG --workspace "my pictures/']),
        ("%%kling cat.JPG --duration |", ["%%kling cat.JPG --duration 5", "%%kling cat.JPG --duration 10"]),
        ("%%kling cat.JPG --camera z|", ["%%kling cat.JPG --camera zoom="]),
        ("%%kling --duration 5 c|", ["%%kling --duration 5 cat.JPG"]),
        ("%%kling cat.JPG c|", []),
        ("%%kling cat.JPG --as i|", []),
        ("%%klingon --dur|", []),
        ("%%kling|", []),
        ("img.|", []),
    ],
)
def test_tab_offers(folder: Path, line: str, expected: list[str]) -> None:
    assert offered(line) == expected


def test_an_empty_place_offers_pictures_variables_and_options_in_this_order(folder: Path) -> None:
    found = offers("%%kling ", 8, {"img": PICTURE})
    assert found is not None
    kinds = [kind for _, kind in found[1]]
    assert list(dict.fromkeys(kinds)) == ["path", "instance", "param"]
    assert ".hidden.png" not in [text for text, _ in found[1]]


def asked(shell: Any, line: str) -> list[str]:
    """What the line becomes by each of IPython's completions."""
    with provisionalcompleter():
        found = list(rectify_completions(line, shell.Completer.completions(line, len(line))))
    return [line[: each.start] + each.text for each in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%%kling --du", ["%%kling --duration"]),
        ("%%kling {i", ["%%kling {img}"]),
        ("%%kling cat.JPG --camera z", ["%%kling cat.JPG --camera zoom="]),
        ('%%kling "my ', ['%%kling "my cat.png"', '%%kling "my pictures/']),
        ('%%kling "my pictures/', ['%%kling "my pictures/a.png"']),
        ("w = %kling --pro", ["w = %kling --prompt"]),
    ],
)
def test_ipython_asks_us_and_nobody_else(shell: Any, folder: Path, line: str, expected: list[str]) -> None:
    shell.user_ns["img"] = PICTURE
    found = asked(shell, line)
    assert found == expected if FROM_8_6 else set(expected) <= set(found), "before 8.6 Jedi is asked as well"


def test_a_name_with_a_blank_is_one_word(shell: Any, folder: Path) -> None:
    quoted, escaped = ['"my cat.png"', '"my pictures/'], [r"my\ cat.png", r"my\ pictures"]
    assert asked(shell, "%%kling my") == [f"%%kling {each}" for each in (quoted if FROM_8_6 else escaped)]
