"""Batches on Dask workers: real processes, a real scheduler, the simulator over HTTP. Same call, same results."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster, WorkerPlugin
from distributed.comm import CommClosedError
from PIL import Image

import kling_widget as kw
from kling_widget import (
    dask_client,
    dask_cluster,
    dask_places,
    dask_tasks,
    dask_worker,
    gate,
    leases,
    new_rows,
    pacing,
    retry,
)
from kling_widget.batch_makers import NothingThereError, found
from kling_widget.credentials import ApiKey
from kling_widget.databases import Database
from kling_widget.simulator import SimulatorServer
from kling_widget.workspace import Workspace
from tests.integration.conftest import KEY, Serve, another_task, submissions
from tests.integration.simulator_fixtures import small
from tests.integration.test_batch import PRICES, Held, plain, rows_of, start_on
from tests.integration.test_money import DEADLINE, PRICE, eventually
from tests.local_cluster import workers_come_back
from tests.s3 import S3
from tests.torture.audit import audit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes with SIGKILL")

WORKERS = 3


@pytest.fixture(scope="module")
def cluster(s3: S3) -> Iterator[LocalCluster]:
    """Three worker processes that find the S3 server, each with two threads, each started again when it dies."""
    with (
        dask.config.set(workers_come_back()),
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        yield cluster


class Quick(WorkerPlugin):  # type: ignore[misc]
    """Seconds stand for the vendor's minutes, in every worker, also in one that was started again."""

    def setup(self, worker: Any) -> None:
        retry.LOOKUP_DELAYS = (0.1, 0.2, 0.4, 0.8)


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as client:
        client.register_plugin(Quick())
        client.wait_for_workers(WORKERS, timeout=DEADLINE)
        yield client


@pytest.fixture
def vendor(serve: Serve) -> SimulatorServer:
    """Clips of 64 px that take a third of a second and cost what the price table says."""
    return serve(long_edge=64, fps=2, price_usd=PRICES)


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(plain())
    return path


def paid_once(vendor: SimulatorServer, folder: Path) -> int:
    """That every POST had a name of its own and nothing that was accepted is lost; how many were accepted."""
    posted = Counter(request.headers["x-client-request-id"] for request in submissions(vendor))
    assert max(posted.values(), default=0) <= 1
    found = audit(vendor, folder / "clips")
    assert (found.duplicates, found.lost, found.stuck, found.integrity) == (0, [], [], "ok")
    return found.accepted


def workers_that_made(client: Client, batch: str) -> set[str]:
    """Addresses of the workers on which rows of a batch ran."""

    def ran(dask_scheduler: Any) -> set[str]:
        stream = dask_scheduler.plugins["task-stream"].buffer
        return {task["worker"] for task in stream if batch in str(task["key"])}

    found: set[str] = client.run_on_scheduler(ran)
    return found


# The same call, the same results


def test_all_rows_arrive_made_by_all_workers_and_each_failure_is_its_rows(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    client.get_task_stream()
    rows: list[Any] = rows_of(cat, 24)
    rows[1]["prompt"] = "this one [fail]"
    rows[2]["image"] = b"no picture"
    rows[3]["duration"] = 7
    rows[4]["image"] = tmp_path / "nowhere.png"
    rows[5]["image"] = plain("red")
    rows[6]["image"] = np.full((320, 320, 3), 0.5)
    rows[7]["image"] = Image.open(cat)
    rows[8]["image"] = os.path.relpath(cat)
    rows[9]["prompt"] = "p0"  # the same as row 0
    batch = start_on(vendor, tmp_path, rows, executor=client, concurrency=12)
    results = batch.wait(DEADLINE)
    assert [result.row for result in results] == list(range(24))
    states = {1: "error", 2: "invalid", 3: "invalid", 4: "invalid"}
    assert [each.status for each in results] == [states.get(number, "completed") for number in range(24)]
    kinds = {1: kw.GenerationFailedError, 2: kw.ImageError, 3: kw.InvalidRequestError, 4: kw.ImageError}
    assert {each.row: type(each.error) for each in results.failed} == kinds
    assert "nowhere.png" in str(results[4].error)
    assert "Dask worker tcp://127.0.0.1" in str(results[4].error)
    tasks = {task.id: task.prompt for task in vendor.simulator.tasks}
    for result in results:
        if result.status == "completed":
            assert result.fields["prompt"] == tasks[str(result.generation_id)]
            assert result.video is not None
            assert result.video.metadata["prompt"] == result.fields["prompt"]
    assert results[9].path == results[0].path
    assert round(results.usd, 2) == round(19 * PRICE, 2)
    assert batch.line() == "20 of 24 made · 4 failed · simulated"
    assert len(workers_that_made(client, batch._maker.cluster.batch)) == WORKERS
    assert len(submissions(vendor)) == 20
    # Again, in this process and on the workers: nothing is made twice.
    mended = [{**row, "prompt": "p1"} if row["prompt"] == "this one [fail]" else row for row in rows]
    again = start_on(vendor, tmp_path, mended, executor=client, budget=100 * PRICE, concurrency=12)
    assert str(again.plan).startswith("3 clips to make")  # the two pictures that are none are not looked at yet
    paths = [each.path for each in results]
    assert [each.path for each in again.wait(DEADLINE)] == [paths[0], again.results[1].path, *paths[2:]]
    assert [each.path for each in start_on(vendor, tmp_path, mended).wait(DEADLINE)] == [
        each.path for each in again.results
    ]
    assert len(submissions(vendor)) == 21


def test_a_sweep_shows_how_it_stands_while_workers_make_it(
    client: Client, tmp_path: Path, cat: Path, serve: Serve
) -> None:
    clock = Held()
    with SimulatorServer(small(time_factor=600.0, long_edge=64, fps=2), clock=clock) as vendor:
        sweep = start_on(
            vendor, tmp_path, None, kw.sweep, executor=client, image=cat, prompt="p", cfg_scale=[0.2, 0.5], take=[1, 2]
        )
        eventually(lambda: {status for _, status in sweep.under_way().values()} == {"queued"})
        assert len(sweep.under_way()) == len(vendor.simulator.tasks) == 4
        clock.at = None
        assert {each.status for each in sweep.wait(DEADLINE)} == {"completed"}
        assert len(submissions(vendor)) == 4


@pytest.mark.asyncio
async def test_an_asynchronous_client_in_async_code(
    cluster: LocalCluster, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    async with Client(cluster.scheduler_address, asynchronous=True) as client, another_task(0.01) as ticks:
        batch = start_on(vendor, tmp_path, rows_of(cat, 5), executor=client)
        seen = [result async for result in batch]
        assert sorted(each.row for each in seen) == list(range(5))
        assert {each.status for each in await batch} == {"completed"}
        assert ticks() > 10
    assert paid_once(vendor, tmp_path) == 5


# Money


def test_the_budget_is_spent_in_the_order_of_the_rows(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    batch = start_on(vendor, tmp_path, rows_of(cat, 10), executor=client, budget=3 * PRICE)
    results = batch.wait(DEADLINE)
    assert [each.status for each in results] == ["completed"] * 3 + ["left"] * 7
    assert isinstance(results[3].error, kw.BudgetExceededError)
    assert batch.line() == "3 of 10 made · 7 left · simulated"
    backwards = start_on(vendor, tmp_path, rows_of(cat, 10)[::-1], executor=client, budget=3 * PRICE).wait(DEADLINE)
    assert [each.status for each in backwards] == ["left"] * 7 + ["completed"] * 3
    assert len(submissions(vendor)) == 3


def test_with_a_budget_a_row_waits_for_the_ledger_and_not_for_the_clip_before_it(
    client: Client, serve: Serve, tmp_path: Path, cat: Path
) -> None:
    slow = serve(long_edge=64, fps=2, time_factor=1.0, price_usd=PRICES)  # nothing becomes ready meanwhile
    batch = start_on(slow, tmp_path, rows_of(cat, 10), executor=client, budget=4 * PRICE)
    eventually(lambda: batch.closed_by is not None)
    eventually(lambda: len(submissions(slow)) == 4)
    assert sorted(batch.under_way()) == [0, 1, 2, 3]
    batch.stop()


def test_a_new_take_is_one_submission_also_where_a_worker_runs_its_row_twice(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    batch = start_on(vendor, tmp_path, rows_of(cat, 1), executor=client, take="new")
    batch.wait(DEADLINE)
    studio = kw.Studio(api_key=KEY, base_url=vendor.url, workspace=tmp_path / "clips")
    (first,) = studio.generations()
    errand = dask_tasks.Errand("b", 0, first.key, "new", None, False, None, fields={"image": str(cat), "prompt": "p0"})
    place = dask_places.Place(studio, worker=None, topic="")  # type: ignore[arg-type]
    assert dask_worker._asked_for(place, errand).key == first.key
    place.halt()  # what is in the ledger is gone on with
    assert dask_worker._asked_for(place, errand).key == first.key
    with pytest.raises(NothingThereError):
        dask_worker._asked_for(place, errand.once_more("another"))
    assert len(submissions(vendor)) == 1


def test_a_row_whose_picture_is_gone_when_a_worker_runs_it_again_goes_on(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_on(vendor, tmp_path, rows_of(cat, 1), executor=client).wait(DEADLINE)
    studio = kw.Studio(api_key=KEY, base_url=vendor.url, workspace=tmp_path / "clips")
    (first,) = studio.generations()
    monkeypatch.setattr(dask_worker, "get_worker", lambda: SimpleNamespace(address="tcp://worker"))
    gone = {"image": str(tmp_path / "gone.png"), "prompt": "p0"}
    errand = dask_tasks.Errand("b", 0, first.key, 1, None, False, None, fields=gone)
    place = dask_places.Place(studio, worker=None, topic="")  # type: ignore[arg-type]
    assert dask_worker._asked_for(place, errand).key == first.key
    with pytest.raises(kw.ImageError, match=r"gone\.png"):
        dask_worker._asked_for(place, errand.once_more("another"))


def test_a_row_that_was_refused_while_its_worker_died_is_submitted_once_more(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = kw.Studio(api_key=KEY, base_url=vendor.url, workspace=tmp_path / "clips")
    make, ran = dask_cluster.Cluster.make, []

    async def refused_before(self: dask_cluster.Cluster, errand: dask_tasks.Errand, attempt: int) -> Any:
        if not ran:  # as by a worker that dies before it can tell
            draft, _ = found(studio, rows_of(cat, 1)[0], 1)
            row = new_rows.asked_for(
                draft.request, {}, 1, provider=studio.provider, time_factor=None, client_request_id=errand.key
            )
            studio.workspace.ledger.admit(row)
            told = {"error_name": "RateLimitError", "error_message": "Too many."}
            studio.workspace.ledger.settle(errand.key, status="rejected", **told)
        ran.append(errand.key)
        return await make(self, errand, attempt)

    monkeypatch.setattr(dask_cluster.Cluster, "make", refused_before)
    (result,) = start_on(vendor, tmp_path, rows_of(cat, 1), executor=client).wait(DEADLINE)
    assert result.status == "completed"
    assert len(ran) == 2
    assert len(submissions(vendor)) == 1


# How often the vendor is asked


def test_a_vendor_that_takes_fewer_is_given_fewer_and_no_row_fails(
    client: Client, serve: Serve, tmp_path: Path, cat: Path
) -> None:
    vendor = serve(long_edge=64, fps=2, concurrency_limit=2, price_usd=PRICES)
    client.run(_quick_refusals)
    batch = start_on(vendor, tmp_path, rows_of(cat, 9), executor=client, concurrency=6)
    assert [each.status for each in batch.wait(DEADLINE)] == ["completed"] * 9
    assert batch._turnstile.window.size < 6
    accepted = Counter(task.prompt for task in vendor.simulator.tasks)
    assert accepted == Counter({f"p{number}": 1 for number in range(9)})


def _quick_refusals() -> None:
    retry.FIRST_DELAY, retry.SUBMIT_ATTEMPTS = 0.01, 1  # each 429 is one for good


def test_all_processes_share_one_budget_of_requests_and_hear_of_each_others_refusals(
    cluster: LocalCluster, client: Client, serve: Serve, tmp_path: Path, cat: Path
) -> None:
    vendor = serve(long_edge=64, fps=2, time_factor=1.0)
    batch = start_on(vendor, tmp_path, rows_of(cat, 3), executor=client)
    limits = partial(_limits, vendor.url)
    eventually(lambda: sum(client.run(limits).values()) == pytest.approx(pacing.REQUESTS_PER_SECOND))
    eventually(lambda: len(submissions(vendor)) == 3)
    one = sorted(client.run(os.getpid))[0]
    client.run(_refuse, vendor.url, workers=[one])
    eventually(
        lambda: all(
            rate < 0.9 * pacing.REQUESTS_PER_SECOND / WORKERS
            for rate in client.run(partial(_rates, vendor.url)).values()
        )
    )
    cluster.scale(WORKERS + 1)
    try:
        client.wait_for_workers(WORKERS + 1, timeout=DEADLINE)
        eventually(
            lambda: list(client.run(limits).values()) == [pacing.REQUESTS_PER_SECOND / (WORKERS + 1)] * (WORKERS + 1)
        )
    finally:
        cluster.scale(WORKERS)
    eventually(
        lambda: list(client.run(limits).values()) == [pytest.approx(pacing.REQUESTS_PER_SECOND / WORKERS)] * WORKERS
    )
    batch.stop()


def _limits(provider: str) -> float:
    return gate.gate_of(provider).pacer.limit


def _rates(provider: str) -> float:
    return gate.gate_of(provider).pacer.rate(time.monotonic())


def _refuse(provider: str) -> None:
    gate.gate_of(provider).refused(None)


# Stopping


def test_stop_submits_nothing_more_and_what_is_under_way_is_saved(client: Client, tmp_path: Path, cat: Path) -> None:
    clock = Held()
    with SimulatorServer(small(time_factor=600.0, long_edge=64, fps=2), clock=clock) as vendor:
        batch = start_on(vendor, tmp_path, rows_of(cat, 30), executor=client, concurrency=4)
        eventually(lambda: len(vendor.simulator.tasks) == 4)
        batch.stop()
        clock.at = None
        results = batch.wait(DEADLINE)
        assert [each.status for each in results] == ["completed"] * 4
        assert (batch.left, len(submissions(vendor))) == (26, 4)


def test_without_workers_it_waits_for_one_says_so_and_can_be_stopped(
    cluster: LocalCluster, client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    cluster.scale(0)
    eventually(lambda: not client.nthreads())
    batch = start_on(vendor, tmp_path, rows_of(cat, 4), executor=client)
    eventually(lambda: "waiting for a Dask worker" in batch.line())
    batch.stop()
    assert {each.status for each in batch.wait(DEADLINE)} <= {"left"}
    again = start_on(vendor, tmp_path, rows_of(cat, 4), executor=client)
    cluster.scale(WORKERS)
    assert {each.status for each in again.wait(DEADLINE)} == {"completed"}
    assert paid_once(vendor, tmp_path) == 4


def test_a_vendor_that_does_not_answer_keeps_no_worker_from_the_rows_of_another(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        stuck = start_on(vendor, tmp_path / "stuck", rows_of(cat, 2 * WORKERS), executor=client, base_url=url)
        eventually(lambda: len(stuck.under_way()) == 2 * WORKERS)
        made = start_on(vendor, tmp_path, rows_of(cat, 4), executor=client).wait(DEADLINE)
        assert [each.status for each in made] == ["completed"] * 4
        stuck.stop()


# Beyond one machine


def test_with_postgresql_and_s3_each_worker_needs_nothing_of_the_others_disk(
    client: Client, vendor: SimulatorServer, s3: S3, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process has a scratch folder of its own, as on a machine of its own, and one is killed."""
    client.run(_own_scratch, str(tmp_path))
    monkeypatch.setenv("KLING_WIDGET_CACHE", str(tmp_path / "notebook"))
    shared = {"workspace": f"{s3.new_bucket()}/clips", "database": postgres_url}
    rows = [{"image": plain(), "prompt": f"p{number}"} for number in range(24)]
    batch = start_on(vendor, tmp_path, rows, executor=client, concurrency=8, **shared)
    eventually(lambda: batch.made >= 4)
    os.kill(a_process(client), signal.SIGKILL)
    results = batch.wait(2 * DEADLINE)
    made = [each for each in results if each.status == "completed"]
    accepted = Counter(task.prompt for task in vendor.simulator.tasks)
    assert max(accepted.values()) == 1
    assert {each.status for each in results} <= {"completed", "unknown"}
    assert set(accepted) == {each.fields["prompt"] for each in made}
    assert {each.address for each in made} == {
        f"{shared['workspace']}/videos/{name}" for name in s3.names(f"{shared['workspace']}/videos") if name[-1] == "4"
    }
    assert made[0].video is not None
    assert made[0].video.metadata["prompt"] == made[0].fields["prompt"]
    assert not [name for name in s3.names(shared["workspace"]) if ".dask" in name]
    sent = len(submissions(vendor))
    again = start_on(vendor, tmp_path, rows, executor=client, **shared).wait(DEADLINE)
    assert [each.address for each in again] == [each.address for each in results]
    assert len(submissions(vendor)) == sent


def _own_scratch(folder: str) -> None:
    os.environ["KLING_WIDGET_CACHE"] = f"{folder}/{os.getpid()}"


# Processes that die


def test_workers_that_are_killed_lose_nothing_and_pay_nothing_twice(
    cluster: LocalCluster, client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    batch = start_on(vendor, tmp_path, rows_of(cat, 60), executor=client, concurrency=12)
    for made in (6, 20, 34):
        eventually(lambda made=made: batch.made >= made)
        os.kill(a_process(client), signal.SIGKILL)
    results = batch.wait(3 * DEADLINE)
    accepted = paid_once(vendor, tmp_path)
    # A row that was killed between the ledger and its POST can't be told from a lost one: it is for the person.
    assert {each.status for each in results} <= {"completed", "unknown"}
    assert accepted == sum(each.status == "completed" for each in results) >= 50
    for each in results.failed:
        assert isinstance(each.error, kw.SubmissionUnknownError)
        assert each.error.generation is not None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says when a process stands still")
def test_a_worker_that_stood_still_and_lost_its_rows_pays_nothing_twice(
    cluster: LocalCluster, client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    client.run(_short_leases)
    batch = start_on(vendor, tmp_path, rows_of(cat, 40), executor=client, concurrency=12)
    eventually(lambda: batch.made >= 5)
    address, process = next(iter(client.run(os.getpid).items()))
    try:
        with closing(sqlite3.connect(tmp_path / "clips" / "ledger.sqlite", timeout=DEADLINE)) as ledger:
            # Ours: one that stands still in a transaction keeps all others from writing.
            ledger.execute("BEGIN IMMEDIATE")
            os.kill(process, signal.SIGSTOP)
            eventually(lambda: stands_still(process))
        client.run_on_scheduler(_give_up_on, address)
        eventually(lambda: batch.made >= 25)
    finally:
        os.kill(process, signal.SIGCONT)
        results = batch.wait(DEADLINE)
        cluster.scale(0)  # which also takes the short leases away
        eventually(lambda: not client.nthreads())
        cluster.scale(WORKERS)
    assert {each.row: each.error for each in results if each.status not in ("completed", "unknown")} == {}
    assert paid_once(vendor, tmp_path) >= 30


def test_ctrl_c_is_the_batchs_and_not_the_workers_that_this_process_started(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    """Jupyter interrupts a kernel with all processes it has started, and a terminal does; Dask's workers would end."""
    processes = set(client.run(os.getpid).values())
    batch = start_on(vendor, tmp_path, rows_of(cat, 40), executor=client, concurrency=12)
    eventually(lambda: batch.made >= 2)
    for process in processes:
        os.kill(process, signal.SIGINT)
    assert {each.status for each in batch.wait(DEADLINE)} == {"completed"}
    assert paid_once(vendor, tmp_path) == 40
    assert set(client.run(os.getpid).values()) == processes


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says when a process stands still")
def test_a_worker_that_stands_still_keeps_no_batch_from_beginning(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "ANSWER", 0.5)
    process = a_process(client)
    os.kill(process, signal.SIGSTOP)
    try:
        eventually(lambda: stands_still(process))
        batch = start_on(vendor, tmp_path, rows_of(cat, 16), executor=client)
        eventually(lambda: batch.made >= 8)
    finally:
        os.kill(process, signal.SIGCONT)
    assert {each.status for each in batch.wait(DEADLINE)} == {"completed"}
    assert paid_once(vendor, tmp_path) == 16
    assert not list((tmp_path / "clips").glob(".dask-*"))


def stands_still(process: int) -> bool:
    """Whether all threads are stopped: they go on until one of them has had its turn to take the signal in."""
    stats = [path.read_text() for path in Path(f"/proc/{process}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def a_process(client: Client) -> int:
    """The process of some worker; one that was just killed may be listed still, and does not answer."""
    answers: dict[str, int] = client.run(os.getpid, on_error="ignore")
    return next(iter(answers.values()))


def _short_leases() -> None:
    leases.LEASE = 1.0


async def _give_up_on(address: str, dask_scheduler: Any) -> None:
    await dask_scheduler.remove_worker(address, stimulus_id="test")


def test_a_row_whose_workers_all_die_is_given_up_and_stops_no_other(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_in = []
    make = dask_cluster.Cluster.make

    async def deadly(self: dask_cluster.Cluster, errand: dask_tasks.Errand, attempt: int) -> dask_tasks.Outcome:
        if errand.number == 1:
            handed_in.append(attempt)
            raise dask_client.WorkersDiedError("Attempted to run the task on 4 different workers.")
        return await make(self, errand, attempt)

    monkeypatch.setattr(dask_cluster.Cluster, "make", deadly)
    results = start_on(vendor, tmp_path, rows_of(cat, 4), executor=client).wait(DEADLINE)
    assert [each.status for each in results] == ["completed", "invalid", "completed", "completed"]
    assert handed_in == list(range(dask_cluster.HANDED_IN))
    assert "Given up: handed in 5 times; each time all its workers died" in str(results[1].error)
    assert "takes it up" in str(results[1].error)


def test_a_client_that_is_closed_ends_the_batch_with_a_sentence_and_the_next_goes_on(
    cluster: LocalCluster, tmp_path: Path, cat: Path
) -> None:
    clock = Held()
    with SimulatorServer(small(time_factor=600.0, long_edge=64, fps=2), clock=clock) as vendor:
        with Client(cluster) as client:
            batch = start_on(vendor, tmp_path, rows_of(cat, 8), executor=client, concurrency=4)
            eventually(lambda: len(vendor.simulator.tasks) == 4)
        results = batch.wait(DEADLINE)
        assert len(results) == 8
        assert {type(each.error) for each in results} == {kw.ClusterError}
        assert "The connection to Dask's scheduler was lost." in str(batch.closed_by)
        assert [each.status for each in results.left] == ["left"] * 4
        clock.at = None
        again = start_on(vendor, tmp_path, rows_of(cat, 8)).wait(DEADLINE)
        assert {each.status for each in again} == {"completed"}
        assert paid_once(vendor, tmp_path) == 8


def test_a_line_to_the_scheduler_that_breaks_is_made_anew_and_the_batch_goes_on(
    cluster: LocalCluster, tmp_path: Path, cat: Path
) -> None:
    """As where a laptop sleeps for a while: what is under way goes on, and what was not begun comes after it."""
    clock, again = Held(), threading.Event()
    with (
        SimulatorServer(small(time_factor=600.0, long_edge=64, fps=2), clock=clock) as vendor,
        Line(cluster) as line,
        Client(f"tcp://127.0.0.1:{line.port}") as client,
    ):
        batch = start_on(vendor, tmp_path, held_back(cat, 20, again), executor=client, concurrency=20)
        eventually(lambda: len(vendor.simulator.tasks) == 4)
        with line.down_for(batch):
            pass
        again.set()
        # More than the workers have threads: that a row is in the ledger, and leaves room for another, is heard again.
        eventually(lambda: len(vendor.simulator.tasks) == 20)
        clock.at = None
        results = batch.wait(DEADLINE)
    assert batch.closed_by is None
    assert [each.status for each in results] == ["completed"] * 20
    assert line.connections > 1
    assert paid_once(vendor, tmp_path) == 20


def test_a_scheduler_that_is_started_anew_with_its_workers_takes_the_batch_on(tmp_path: Path, cat: Path) -> None:
    """It does not know that anybody listens to this batch."""
    clock, again = Held(), threading.Event()
    with (
        SimulatorServer(small(time_factor=600.0, long_edge=64, fps=2), clock=clock) as vendor,
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as first,
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as second,
        Line(first) as line,
        Client(f"tcp://127.0.0.1:{line.port}") as client,
    ):
        batch = start_on(vendor, tmp_path, held_back(cat, 12, again), executor=client, concurrency=12)
        eventually(lambda: len(vendor.simulator.tasks) == 4)
        with line.down_for(batch):
            first.close()
            line.leads_to(second)
        again.set()
        eventually(lambda: len(vendor.simulator.tasks) == 12)
        clock.at = None
        results = batch.wait(DEADLINE)
    assert [each.status for each in results] == ["completed"] * 12
    assert paid_once(vendor, tmp_path) == 12


def test_a_row_that_is_handed_in_as_the_line_breaks_is_handed_in_once_more(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Dask notices, that is: a moment too short to be met by breaking the line."""
    submit, breaks = client.submit, [CommClosedError("closed"), CommClosedError("closed")]

    def may_break(*args: Any, **settings: Any) -> Any:
        if breaks:
            raise breaks.pop()
        return submit(*args, **settings)

    monkeypatch.setattr(client, "submit", may_break)
    results = start_on(vendor, tmp_path, rows_of(cat, 3), executor=client).wait(DEADLINE)
    assert [each.status for each in results] == ["completed"] * 3
    assert paid_once(vendor, tmp_path) == 3


def test_a_stop_that_no_worker_hears_holds_when_the_line_is_back(
    cluster: LocalCluster, vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    free = tmp_path / "free"
    with Line(cluster) as line, Client(cluster) as others, Client(f"tcp://127.0.0.1:{line.port}") as client:
        busy = others.map(_until_there, [free] * 2 * WORKERS, range(2 * WORKERS))  # every thread there is
        eventually(lambda: sum(map(len, others.processing().values())) == len(busy))
        batch = start_on(vendor, tmp_path, rows_of(cat, 8), executor=client, concurrency=4)
        eventually(lambda: len(set().union(*others.run(_tasks_known).values())) == len(busy) + 4)
        with line.down_for(batch):
            batch.stop()
            # No worker can hear of it, and what it has would run: until the scheduler has noticed, and has told it.
            eventually(lambda: set().union(*others.run(_tasks_known).values()) == {each.key for each in busy})
            free.touch()
            others.gather(busy)
        results = batch.wait(DEADLINE)
    assert [each.status for each in results] == ["left"] * 4
    assert submissions(vendor) == []


def test_a_line_that_stays_broken_ends_the_batch_with_a_sentence(
    cluster: LocalCluster, vendor: SimulatorServer, tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Dask's client never stops trying."""
    monkeypatch.setattr(dask_client, "AWAY_FOR_GOOD", 1.0)
    with Line(cluster) as line, Client(f"tcp://127.0.0.1:{line.port}", timeout=DEADLINE) as client:
        rows = itertools.cycle(rows_of(cat, 500))
        batch = start_on(vendor, tmp_path, rows, executor=client, concurrency=2)
        eventually(lambda: batch.made >= 2)
        with line.down_for(batch):
            batch.wait(DEADLINE)
            assert "The connection to Dask's scheduler was lost." in str(batch.closed_by)
            assert client.status == "connecting"
            client.close()


def held_back(cat: Path, many: int, again: threading.Event) -> Iterator[Any]:
    """So many rows; those after the fourth when it goes on."""
    for number, row in enumerate(rows_of(cat, many)):
        if number == 4:
            again.wait(DEADLINE)
        yield row


def _tasks_known(dask_worker: Any) -> set[str]:
    return set(dask_worker.state.tasks)


def _until_there(path: Path, _: int) -> None:
    while not path.exists():
        time.sleep(0.05)


AWAITED = "waiting for Dask's scheduler"


class Line:
    """Stands between a client and the scheduler."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.connections, self.is_down = 0, False
        self._ends = set[socket.socket]()
        self.leads_to(cluster)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]

    @contextlib.contextmanager
    def down_for(self, batch: kw.Batch) -> Iterator[None]:
        """Nothing passes, and the batch has noticed; after that it has noticed that something passes again."""
        self.is_down = True
        self.breaks()
        eventually(lambda: AWAITED in batch.line())
        yield
        self.is_down = False
        eventually(lambda: AWAITED not in batch.line())

    def leads_to(self, cluster: LocalCluster) -> None:
        """New connections go to its scheduler."""
        self._scheduler = int(cluster.scheduler_address.rpartition(":")[2])

    def __enter__(self) -> Line:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self.breaks()

    def breaks(self) -> None:
        """All connections end; new ones may be made."""
        for end in list(self._ends):
            with contextlib.suppress(OSError):  # it has ended by itself
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listening.accept()
                if self.is_down:
                    one.close()
                    continue
                other = socket.create_connection(("127.0.0.1", self._scheduler))
                self.connections += 1
                self._ends |= {one, other}
                for way in ((one, other), (other, one)):
                    threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_a_scheduler_that_is_gone_ends_the_batch_with_a_sentence(
    vendor: SimulatorServer, tmp_path: Path, cat: Path
) -> None:
    cluster = LocalCluster(n_workers=1, processes=False, dashboard_address=None)
    with Client(cluster, timeout=1) as client:  # seconds it tries to connect again
        batch = start_on(vendor, tmp_path, itertools.cycle(rows_of(cat, 500)), executor=client, concurrency=2)
        eventually(lambda: batch.made >= 2)
        cluster.close()
        batch.wait(DEADLINE)
    assert isinstance(batch.closed_by, kw.ClusterError)
    # What the worker was at when it closed is under way still: whoever comes next goes on with it.
    for generation in kw.Studio(api_key=KEY, base_url=vendor.url, workspace=tmp_path / "clips").take_up():
        generation.wait(DEADLINE)
    assert paid_once(vendor, tmp_path) >= 2


# What cannot work is said before anything is sent


@pytest.mark.parametrize("executor", [object(), "tcp://127.0.0.1:8786", Client])
def test_whatever_is_no_dask_client_is_refused(
    vendor: SimulatorServer, tmp_path: Path, cat: Path, executor: object
) -> None:
    with pytest.raises(kw.InvalidRequestError, match="executor must be a Dask client"):
        start_on(vendor, tmp_path, rows_of(cat, 2), executor=executor)
    assert submissions(vendor) == []


def test_other_versions_and_none_at_all_are_told_with_both_versions(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "__version__", "9.9.9")
    with pytest.raises(kw.ClusterError, match=r"scheduler has kling_widget 0\.1\.0, and here it is 9\.9\.9"):
        start_on(vendor, tmp_path, rows_of(cat, 2), executor=client)
    none = (dask_cluster.importlib.metadata.version, "no-such-package")
    with monkeypatch.context() as patch:
        patch.setattr(dask_cluster, "_VERSION", none)
        with pytest.raises(kw.ClusterError, match=r"scheduler has no kling_widget, and here it is 9\.9\.9"):
            start_on(vendor, tmp_path, rows_of(cat, 2), executor=client)
    monkeypatch.setattr(dask_client.DaskClient, "on_scheduler", AsyncMock(return_value="9.9.9"))  # as here
    with pytest.raises(kw.ClusterError, match=r"worker tcp://.* has kling_widget 0\.1\.0, and here it is 9\.9\.9"):
        start_on(vendor, tmp_path, rows_of(cat, 2), executor=client)
    monkeypatch.setattr(dask_cluster, "_VERSION", none)
    with pytest.raises(kw.ClusterError, match=r"worker tcp://.* has no kling_widget, and here it is 9\.9\.9"):
        start_on(vendor, tmp_path, rows_of(cat, 2), executor=client)
    assert submissions(vendor) == []


def test_workers_that_do_not_see_the_workspace_or_may_not_use_its_ledger_are_told(
    client: Client, vendor: SimulatorServer, tmp_path: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workspace looks away, and this machine has another name: two machines can't be had here."""
    leave = Workspace.leave_mark
    monkeypatch.setattr(Workspace, "leave_mark", lambda self, name: None)
    with pytest.raises(kw.ClusterError, match=r'does not see the workspace .*workspace="s3://.*database="postgresql'):
        start_on(vendor, tmp_path, rows_of(cat, 2), executor=client)
    monkeypatch.setattr(Workspace, "leave_mark", leave)
    monkeypatch.setattr(dask_cluster, "machine_name", lambda: "another")
    with pytest.raises(kw.ClusterError, match=r'another machine, and the ledger is a SQLite.*database="postgresql'):
        start_on(vendor, tmp_path, rows_of(cat, 2), executor=client)
    assert submissions(vendor) == []
    assert not list((tmp_path / "clips").glob(".dask-*"))


def test_nothing_of_dask_is_imported_without_a_client(vendor: SimulatorServer, tmp_path: Path, cat: Path) -> None:
    code = """
import sys
sys.modules["distributed"] = sys.modules["dask"] = None  # importing them fails
import kling_widget as kw
print(kw.batch([{"image": sys.argv[1], "prompt": "p"}], confirm=False, workspace=sys.argv[2]).wait())
"""
    environment = {**os.environ, "AIMLAPI_KEY": KEY, "KLING_WIDGET_BASE_URL": vendor.url}
    command = [sys.executable, "-c", code, str(cat), str(tmp_path / "clips")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=DEADLINE)
    assert "1 row: 1 with a video" in done.stdout, done.stderr


# The key


def test_the_key_is_nowhere_in_what_dask_shows_and_keeps(
    client: Client, serve: Serve, tmp_path: Path, cat: Path
) -> None:
    vendor = serve(long_edge=64, fps=2, time_factor=1.0)
    batch = start_on(vendor, tmp_path, rows_of(cat, 4), executor=client)
    eventually(lambda: len(submissions(vendor)) == 4)
    seen = [
        client.run_on_scheduler(_all_of_the_scheduler),
        *client.run(_all_of_a_worker).values(),
        client.get_events(),
        client.get_worker_logs(),
        client.get_scheduler_logs(),
    ]
    client.dump_cluster_state(str(tmp_path / "dump"), format="yaml")
    seen.append((tmp_path / "dump.yaml").read_text())
    assert "kling_widget-row-3" in str(seen), "these are the places where rows are seen"
    assert KEY not in str(seen)
    batch.stop()


def test_what_is_handed_to_workers_hides_its_secrets_and_says_so_in_no_error() -> None:
    database = Database("postgresql+psycopg://kling:s3cret@127.0.0.1/clips")
    secrets = dask_tasks.Secrets(ApiKey(KEY), database)
    handover = dask_tasks.Handover("b", "1", "u", "w", False, secrets, "m", None, "p", 1, False)
    shown = repr(handover) + str(secrets)
    assert KEY not in shown
    assert "s3cret" not in shown
    arrived = pickle.loads(pickle.dumps(handover))
    assert arrived.secrets.api_key.reveal() == KEY
    assert arrived.secrets.database == database


def _all_of_the_scheduler(dask_scheduler: Any) -> str:
    tasks = list(dask_scheduler.tasks.values())
    return repr([(task.key, task.run_spec, task.annotations, pickle.dumps(task.run_spec)) for task in tasks])


def _all_of_a_worker(dask_worker: Any) -> str:
    tasks = list(dask_worker.state.tasks.values())
    return repr(
        [(task.key, task.run_spec, repr(dict(dask_worker.data)), pickle.dumps(task.run_spec)) for task in tasks]
    )
