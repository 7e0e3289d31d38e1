"""What `generations()` gives: a list, which is a contact sheet as the last line of a cell."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import kling_widget as kw
from kling_widget import GenerationFailedError, Studio, background
from kling_widget.generation_list import Generations
from kling_widget.simulator import SimulatorServer
from kling_widget.tiles import SHOWN

from .conftest import studio_on
from .simulator_fixtures import picture


def test_it_is_a_list_and_shows_each_with_its_place_id_and_charge(
    studio: Studio, server: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the notebook would be, whose page loads what is below it
    made = [studio.submit(picture(), prompt) for prompt in ("The cat <b>yawns</b>", "It [fail]s")]
    made.append(studio.submit(picture(), "It looks away", cfg_scale=0.8, take=2))
    for generation in made:
        with contextlib.suppress(GenerationFailedError):
            generation.wait(30)
    background.run(made[0].learn(usd=0.66))  # as the vendor's log tells it, some time later
    found = studio_on(server, tmp_path).generations()
    assert [generation.key for generation in found] == [generation.key for generation in reversed(made)]
    assert found == list(found)
    latest = kw.generations(2, base_url=server.url, workspace=tmp_path / "clips")
    assert [generation.key for generation in latest] == [made[2].key, made[1].key]
    assert repr(found) == repr(list(found))

    shown = found._repr_html_()
    assert "2 ready, 1 not made · simulated" in shown
    assert shown.count("<details>") == 2
    assert "[2] The cat &lt;b&gt;yawns&lt;/b&gt;" in shown
    assert ">5 s · $0.66<" in shown
    assert "CFG 0.8 · take 2<" in shown
    assert f'title="{made[0].id}: ' in shown
    assert ">Not made<" in shown


def test_what_is_gone_has_no_picture_and_a_long_list_only_the_latest(studio: Studio) -> None:
    generation = studio.submit(picture(), "The cat yawns")
    generation.wait(30).place.unlink()
    shown = Generations([generation] * 40)._repr_html_()
    assert f"40 ready · simulated · the latest {SHOWN} are shown" in shown
    assert shown.count(">Ready<") == SHOWN
    assert "<img" not in shown


def test_nothing_is_said_in_words(studio: Studio) -> None:
    assert ">Nothing was asked for yet<" in studio.generations()._repr_html_()


def test_who_only_tried_the_simulator_is_told_where_that_is_listed(tmp_path: Path) -> None:
    kw.submit(picture(), "The cat yawns", workspace=tmp_path, simulate=True, progress=False)
    nothing = kw.generations(workspace=tmp_path)
    assert nothing == []
    assert "Nothing was asked for yet, but of the simulator: simulate=True lists that" in nothing._repr_html_()
    assert len(kw.generations(workspace=tmp_path, simulate=True)) == 1
