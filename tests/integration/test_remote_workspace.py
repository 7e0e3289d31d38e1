"""A workspace in S3 (moto's server): what is paid for is in the bucket, and every machine finds it there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kling_widget import Studio
from tests.integration.conftest import KEY, submissions
from tests.integration.simulator_fixtures import picture

DEADLINE = 60.0
"""Seconds a test waits before it gives up; usually a generation takes one."""


class Machines:
    """Studios as machines have them: each a scratch folder of its own, one bucket and one database for all."""

    def __init__(self, server, address, folder, monkeypatch):
        self.server, self.address, self._folder, self._monkeypatch = server, address, folder, monkeypatch
        self.database = f"sqlite:///{folder / 'ledger.sqlite'}"
        self.made = 0

    def another(self, address: str | None = None) -> Studio:
        self.made += 1
        self._monkeypatch.setenv("KLING_WIDGET_CACHE", str(self._folder / f"cache{self.made}"))
        return Studio(api_key=KEY, base_url=self.server.url, workspace=address or self.address, database=self.database)


@pytest.fixture
def machines(server, s3, tmp_path, monkeypatch) -> Machines:
    return Machines(server, f"{s3.new_bucket()}/my clips", tmp_path, monkeypatch)


def test_a_video_is_in_the_bucket_with_its_record_its_poster_and_the_picture(machines, s3):
    studio = machines.another()
    video = studio.submit(picture(), "slow dolly in", duration=5).wait(DEADLINE)
    stem = video.path.stem
    pictures, videos = s3.names(f"{machines.address}/images"), s3.names(f"{machines.address}/videos")
    assert [name.rpartition(".")[2] for name in pictures] == ["png"]
    assert videos == [f"{stem}.jpg", f"{stem}.json", f"{stem}.mp4"]
    assert video.address == f"{machines.address}/videos/{stem}.mp4"
    bucket, _, folder = machines.address.removeprefix("s3://").partition("/")

    def read(name: str) -> bytes:
        return s3.client().get_object(Bucket=bucket, Key=f"{folder}/videos/{name}")["Body"].read()

    assert read(f"{stem}.mp4") == video.path.read_bytes()
    assert json.loads(read(f"{stem}.json"))["prompt"] == "slow dolly in"
    assert video.path.is_relative_to(studio.workspace.path)
    assert not list(Path(studio.workspace.path).rglob("*.part"))


def test_another_machine_finds_what_was_made_and_fetches_only_what_it_uses(machines):
    request = (picture(), "slow dolly in")
    made = machines.another().submit(*request).wait(DEADLINE)
    studio = machines.another()
    video = studio.submit(*request).video
    assert video is not None
    assert video.address == made.address
    assert (video.width, video.height, video.size) == (160, 90, made.size)
    assert video.poster == made.poster
    assert not video.place.exists()
    assert video.path.read_bytes() == made.path.read_bytes()
    assert len(submissions(machines.server)) == 1
