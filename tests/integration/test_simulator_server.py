"""The simulator as a server, as a module, in process: loops, threads, restarts, and loopback only."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from kling_widget.simulator import Fault, Simulator, SimulatorServer

from .simulator_fixtures import PATH, body, calling, calling_in_process, serving, small


async def test_tasks_survive_a_restart_and_new_ones_get_new_ids(tmp_path: Path) -> None:
    async with calling(small(state_dir=tmp_path)) as caller:
        before = await caller.accepted()
    async with calling(small(state_dir=tmp_path)) as caller:
        after = await caller.accepted(prompt="another")
        assert after != before
        task = await caller.finished(before)
        assert task["status"] == "completed"
        assert (await caller.client.get(task["video"]["url"])).content[4:8] == b"ftyp"
        assert [task.id for task in caller.simulator.tasks] == [before, after]


async def test_two_simulators_share_a_folder_and_see_each_others_tasks(tmp_path: Path) -> None:
    async with calling(small(state_dir=tmp_path)) as one, calling(small(state_dir=tmp_path)) as two:
        ids = [await caller.accepted() for caller in (one, two, one, two)]
        assert len(set(ids)) == 4
        assert (await two.retrieve(ids[0])).status_code == 200
        assert {task.id for task in one.simulator.tasks} == set(ids)


def test_it_listens_on_loopback_only() -> None:
    for host in ("0.0.0.0", "192.168.1.2", "example.com", "::", ""):
        with pytest.raises(ValueError, match="loopback"):
            SimulatorServer(host=host)
    with serving() as (server, _):
        assert server.url.startswith("http://127.0.0.1:")


async def test_it_answers_to_no_other_host_name() -> None:
    async with calling() as caller:
        answer = await caller.client.get("/_simulator/requests", headers={"Host": "evil.example"})
        assert answer.status_code == 400


def test_a_taken_port_is_an_error_at_once() -> None:
    with serving() as (server, _), pytest.raises(OSError, match="in use"):
        SimulatorServer(port=int(server.url.rsplit(":", 1)[1]))


async def test_the_server_answers_while_it_renders() -> None:
    loop = asyncio.get_running_loop()
    async with calling(small(long_edge=960)) as caller:
        for number in range(4):
            await caller.accepted(prompt=str(number))
        slowest = 0.0
        for _ in range(20):
            start = loop.time()
            await caller.client.get("/v2/billing")
            slowest = max(slowest, loop.time() - start)
        assert slowest < 0.5


async def test_an_answer_does_not_wait_for_a_delayed_acknowledgement() -> None:
    loop = asyncio.get_running_loop()
    taken = []
    async with calling() as caller:
        for _ in range(20):
            start = loop.time()
            await caller.client.get("/v2/billing")
            taken.append(loop.time() - start)
    assert min(taken[1:]) < 0.03  # Nagle's algorithm against a delayed acknowledgement: 40 ms, every time


def test_one_simulator_serves_several_event_loops_at_once() -> None:
    failures: list[BaseException] = []
    with Simulator(small(time_factor=186)) as simulator:

        async def use(number: int) -> None:
            headers = {"Authorization": "Bearer k"}
            transport = simulator.transport()
            async with httpx.AsyncClient(
                transport=transport, base_url="http://simulator.invalid", headers=headers
            ) as c:
                generation_id = (await c.post(PATH, json=body(prompt=str(number)))).json()["id"]
                await asyncio.sleep(1.2)  # 186 s of the vendor, and 6 % of jitter
                video = (await c.get(PATH, params={"generation_id": generation_id})).json()["video"]
                assert (await c.get(video["url"])).content[4:8] == b"ftyp"

        def run(number: int) -> None:
            try:
                asyncio.run(use(number))
            except BaseException as error:  # noqa: BLE001 - shown by the main thread
                failures.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(simulator.tasks) == 4


async def test_whoever_stops_waiting_does_not_stop_the_submission() -> None:
    async with calling_in_process() as caller:
        caller.simulator.faults.add(Fault("submit", "hang", seconds=30, accepted=True))
        waiting = asyncio.ensure_future(caller.submit())
        for _ in range(1000):
            if caller.simulator.tasks:
                break
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await caller.retrieve(caller.simulator.tasks[0].id)).status_code == 200


def test_the_server_stops_although_a_request_hangs() -> None:
    with SimulatorServer(small()) as server:
        server.simulator.faults.add(Fault("billing", "hang", seconds=600))
        client = httpx.Client(base_url=server.url, headers={"Authorization": "Bearer k"}, timeout=30)
        asked = threading.Thread(target=client.get, args=("/v2/billing",))  # answered 500 by uvicorn as it stops
        asked.start()
        while not server.simulator.requests:
            time.sleep(0.01)
        start = time.monotonic()
    assert time.monotonic() - start < 10
    asked.join()
    client.close()


def test_the_module_prints_its_address_serves_and_stops() -> None:
    fault = json.dumps({"where": "billing", "kind": "status_code", "code": 503})
    command = [sys.executable, "-m", "kling_widget.simulator", "--port", "0", "--api-key", "good", "--fault", fault]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            url = line.split()[-1]
            assert url.startswith("http://127.0.0.1:")
            headers = {"Authorization": "Bearer good"}
            codes = [httpx.get(f"{url}/v2/billing", headers=headers).status_code for _ in range(2)]
            assert codes == [503, 200]
            assert httpx.get(f"{url}/v2/billing", headers={"Authorization": "Bearer bad"}).status_code == 401
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--host", "0.0.0.0"], "loopback"), (["--fault", '{"where": "x"}'], "where"), (["--fault", "{"], "fault")],
)
def test_the_module_refuses_bad_arguments_in_a_sentence(arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kling_widget.simulator", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_loop_that_ends_while_it_waits_for_a_video_does_not_spoil_it_for_others() -> None:
    async with calling_in_process(small(long_edge=960)) as caller:
        for number in range(2):
            await caller.accepted(prompt=f"keeps both render threads busy {number}")
        url = await caller.video_url()

        async def give_up() -> None:
            async with httpx.AsyncClient(transport=caller.simulator.transport(), timeout=0.2) as client:
                await client.get(url)

        with pytest.raises(httpx.ReadTimeout):
            await asyncio.to_thread(asyncio.run, give_up())  # its end cancels whatever still runs in it
        assert (await caller.client.get(url)).content[4:8] == b"ftyp"
