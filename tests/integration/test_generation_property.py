"""`Generation` against a model of the vendor that answers with anything, while kernels come and go.

`make test` runs a small profile; ``TORTURE=full`` (in `make torture`) runs at least 10,000 generated answers.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from PIL import Image

import kling_widget as kw
from kling_widget.simulator import render
from tests.torture.books import FILES, Place, Reply
from tests.torture.virtual import World

FULL = os.environ.get("TORTURE") == "full"
EXAMPLES, STEPS, AT_LEAST = (370, 30, 10_000) if FULL else (20, 15, 300)

# Answers

WORDS = ["id", "generation_id", "status", "video", "url", "error", "name", "message", "meta", "usage", "credits_used"]
WORDS += ["data", "pagination", "has_more", "inference_id", "client_request_id", "current_balance", "cost", "usd"]
TEXTS = ["queued", "generating", "completed", "succeeded", "error", "", "job-0", "job-1", "nan", "1e999"]
TEXTS += [f"{FILES}/0.mp4", "http://files.invalid/x.mp4", "javascript:alert(1)", "https://[::1", "https://a b/x.mp4"]
TEXTS += ["https://\u0000/", "https://xn--/", "https://files.invalid:99999/x.mp4", "/etc/passwd", "9" * 5000]
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([10**400, -1, 0])
LEAVES = st.none() | st.booleans() | NUMBERS | st.sampled_from(TEXTS) | st.text(max_size=30)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(WORDS), JSON, min_size=1, max_size=6).map(lambda v: json.dumps(v).encode()),
    st.sampled_from([b"", b"null", b"[" * 3000, b'{"id": "\\ud800"}', b"\xff\xfe{}", b"{" + b" " * 5000]),
)
NAMES = [b"retry-after", b"content-length", b"content-encoding", b"content-range", b"content-type", b"location"]
NAMES += [b"x-inference-id", b"x-aimlapi-usd-spent", b"x-aimlapi-credits-used", b"x-simulator-time-factor"]
NAMES += [b"set-cookie", b"transfer-encoding", b"x-client-request-id", b"date"]
VALUES = st.one_of(
    st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\x00")),
    st.sampled_from([b"gzip", b"br", b"deflate", b"0", b"5", b"-1", b"1e308", b"1e-300", b"nan", b"inf", b"\xb2"]),
    st.sampled_from([b"bytes 0-1/2", b"bytes \xb2-", b"99999999999999", b"https://a b/", b"//[", b"Wed, 21 Oct"]),
)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)
STATUSES = st.sampled_from([200, 201, 204, 206, 301, 302, 400, 401, 403, 404, 408, 416, 422, 429, 500, 502, 503, 504])
BREAKS: list[Callable[[], Exception]] = [
    lambda kind=kind: kind("broken")  # type: ignore[misc]
    for kind in (
        *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
        *(httpx.ReadError, httpx.ReadTimeout, httpx.WriteError, httpx.WriteTimeout, httpx.CloseError),
        *(httpx.RemoteProtocolError, httpx.LocalProtocolError),
    )
]
BREAKS_ON_THE_WAY = BREAKS[4:]


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


CLIPS = st.one_of(
    BODIES,
    st.integers(0, 3000).map(lambda cut: clip()[:cut]),
    st.binary(max_size=60).map(lambda b: box(b"ftyp", b"isomiso2") + box(b"moov", b) + box(b"mdat", b)),
    st.binary(max_size=60).map(lambda b: box(b"ftyp", b"isom") + b),
)
HONEST = st.builds(
    Reply,
    honest=st.just(True),
    id_in=st.sampled_from(["id", "generation_id", "header"]),
    seconds=st.sampled_from([0.0, 0.1, 30.0]),
)


def replies(place: Place) -> st.SearchStrategy[Reply]:
    """Any answer to a call there; an honest one now and then."""
    body = CLIPS if place == "download" else BODIES
    answers = st.builds(
        Reply,
        status=STATUSES | st.integers(100, 999),
        headers=HEADERS,
        body=body,
        accepted=st.booleans(),
        seconds=st.sampled_from([0.0, 0.0, 0.3, 45.0]),
    )
    broken = st.builds(Reply, error=st.sampled_from(BREAKS), accepted=st.booleans())
    midway = st.builds(
        Reply, body=body, headers=HEADERS, error=st.sampled_from(BREAKS_ON_THE_WAY), accepted=st.booleans()
    )
    return st.one_of(answers, answers, broken, midway, HONEST)


@cache
def clip() -> bytes:
    """A real clip of five tiny frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        render.render(picture(), None, path, seconds=5, move=render.Move(0, 0), long_edge=64, fps=1)
        return path.read_bytes()


@cache
def picture() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (320, 320), "teal").save(target, "PNG")
    return target.getvalue()


total: Counter[str] = Counter()
SHM = Path("/dev/shm")


class Generations(RuleBasedStateMachine):
    """A person, a vendor who says anything, and kernels that die."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="kling-property-", dir=SHM if SHM.is_dir() else None))
        self.world = World(self.folder / "clips", clip())
        self.seams = self.world.seams()
        self.seams.__enter__()
        self.known: dict[str, kw.Generation] = {}
        self.ids: dict[str, str] = {}

    def keep(self, *generations: kw.Generation) -> None:
        self.known.update({each.key: each for each in generations})

    @initialize(data=st.data())
    def everything_at_once(self, data: st.DataObject) -> None:
        for place, count in {"logs": 20, "retrieve": 20, "download": 6}.items():
            self.world.vendor.expect(place, *data.draw(st.lists(replies(place), min_size=count, max_size=count)))
        self.submit(data, "new", 4)
        self.world.run(200.0)

    @rule(data=st.data(), take=st.sampled_from([1, "new", "new"]), how_many=st.integers(1, 4))
    def submit(self, data: st.DataObject, take: Any, how_many: int) -> None:
        for number in range(how_many):
            self.world.vendor.expect("submit", *data.draw(st.lists(replies("submit"), min_size=1, max_size=3)))
            self.keep(self.world.studio.submit(picture(), f"clip {number}", take=take, send_anyway=True))

    @rule(data=st.data(), places=st.sampled_from([("retrieve",), ("logs", "retrieve"), ("retrieve", "download")]))
    def answers_to_come(self, data: st.DataObject, places: tuple[Place, ...]) -> None:
        for place in places:
            few, many = (20, 40) if place == "logs" else (6, 16)  # an unknown submission asks the log a dozen times
            self.world.vendor.expect(place, *data.draw(st.lists(replies(place), min_size=few, max_size=many)))

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0, 200.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(seconds=st.sampled_from([-7200.0, -5.0, 5.0, 3600.0]), asleep=st.booleans())
    def the_clock_is_set_or_the_laptop_sleeps(self, seconds: float, asleep: bool) -> None:
        if asleep:
            self.world.clock.sleep(abs(seconds))
        else:
            self.world.clock.set(seconds)

    @rule()
    def the_kernel_dies(self) -> None:
        self.world.crash()
        self.known.clear()
        self.keep(*self.world.studio.take_up())

    @rule(which=st.integers(0, 50), way=st.sampled_from(["stop", "watch"]))
    def a_person_presses(self, which: int, way: str) -> None:
        known = list(self.known.values())  # as many as chance has made: nothing that is drawn may depend on it
        if known:
            getattr(known[which % len(known)], way)()
            self.world.run(0.0)

    @invariant()
    def one_submission_counts(self) -> None:
        for verdicts in self.world.vendor.posts.values():
            assert all(verdict in ("busy", "undelivered") for verdict in verdicts[:-1]), verdicts

    @invariant()
    def an_accepted_id_stays(self) -> None:
        rows = {row.client_request_id: row for row in self.world.studio.workspace.ledger.rows()}
        for key, generation_id in self.ids.items():
            assert rows[key].generation_id == generation_id
        self.ids = {key: row.generation_id for key, row in rows.items() if row.generation_id}

    @invariant()
    def every_error_has_a_name(self) -> None:
        for generation in self.known.values():
            error = generation.error
            assert error is None or type(error) is not kw.KlingError, self.where(generation)

    @staticmethod
    def where(generation: kw.Generation) -> str:
        """Where an error without a name comes from."""
        task = generation._task
        error = task.exception() if task is not None and task.done() and not task.cancelled() else None
        return "".join(traceback.format_exception(error)) if error else repr(generation.error)

    def teardown(self) -> None:
        try:
            self._the_vendor_comes_to_its_senses()
        finally:
            total.update(self.world.vendor.served)
            self.world.close()
            self.seams.__exit__(None, None, None)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _the_vendor_comes_to_its_senses(self) -> None:
        """From now on all answers are honest: a new kernel brings everything home that was accepted."""
        self.world.vendor.script.clear()
        self.the_kernel_dies()
        for _ in range(3):
            self.keep(*self.world.studio.take_up())
            self.world.run(0.1)
            while any(generation.active for generation in self.known.values()):
                self.world.run(50.0)
        rows = {row.client_request_id: row for row in self.world.studio.workspace.ledger.rows()}
        self.one_submission_counts()
        self.an_accepted_id_stays()
        self.every_error_has_a_name()
        for job in self.world.vendor.jobs.values():
            row = rows[job.client_request_id]
            assert row.generation_id == job.id
            assert row.saved is not None or job.called_off, f"{row.status}, {self.known[row.client_request_id].error!r}"
        accepted = {job.client_request_id for job in self.world.vendor.jobs.values()}
        for key, row in rows.items():
            assert key in accepted or row.status in ("unknown", "rejected"), row


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")  # what a dead kernel was about to do
@pytest.mark.timeout(1200 if FULL else 120)
def test_whatever_the_vendor_answers_nothing_is_lost_doubled_or_unnamed(capsys: pytest.CaptureFixture[str]) -> None:
    total.clear()
    run_state_machine_as_test(
        Generations,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not FULL,
            phases=(Phase.generate,),  # shrinking so many steps takes longer than reading them
            suppress_health_check=list(HealthCheck),
        ),
    )
    with capsys.disabled():
        print(f"\nproperty: {total['generated']} generated answers, {total['honest']} honest ones; {dict(total)}")
    assert total["generated"] >= AT_LEAST
