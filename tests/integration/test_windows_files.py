"""As far as files go, a generation does nothing that Windows would refuse (tests/windows_files.py)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kling_widget import Studio
from kling_widget.simulator import SimulatorServer
from tests import windows_files
from tests.integration.conftest import studio_on
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0


def test_a_video_is_made_kept_found_again_and_copied(studio: Studio, server: SimulatorServer, tmp_path: Path) -> None:
    with windows_files.refused():
        video = studio.submit(picture((640, 360)), "slow dolly in").wait(DEADLINE)
        again = studio_on(server, tmp_path).submit(picture((640, 360)), "slow dolly in").wait(DEADLINE)
        assert again.path == video.path
        copy = video.save(tmp_path / "copy.mp4")
        video.save(tmp_path / "copy.mp4", overwrite=True)
        assert video.poster
    assert copy.read_bytes()[4:8] == b"ftyp"
    assert len(server.simulator.tasks) == 1


def test_what_windows_refuses_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    with windows_files.refused():
        with path.open("rb") as file:
            with pytest.raises(OSError, match="reading only"):
                os.fsync(file.fileno())
            for take_away in (path.unlink, lambda: path.rename(tmp_path / "b"), lambda: path.replace(tmp_path / "b")):
                with pytest.raises(PermissionError):
                    take_away()
            with pytest.raises(PermissionError):
                os.replace(tmp_path / "c", path)
        with path.open("r+b") as file:
            os.fsync(file.fileno())
        path.unlink()
