"""The background loop: waiting in plain code, in running loops and across loops, without a trace left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from kling_widget import background


@pytest.fixture
def complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing may be logged as a warning or worse."""
    with caplog.at_level(logging.WARNING):
        yield
        gc.collect()  # asyncio complains of a forgotten exception when its future is collected
    said = [*caplog.get_records("call"), *caplog.records]  # records: of this phase, which is the teardown's
    assert [record.getMessage() for record in said] == []


def run_in_thread(work: object) -> None:
    """Run in a fresh thread, so that nothing done to its event loop concerns the test's."""
    failures: list[BaseException] = []

    def keep() -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
            failures.append(error)

    thread = threading.Thread(target=keep)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


async def soon(seconds: float = 0.2) -> str:
    await asyncio.sleep(seconds)
    return "done"


IN_FRESH_PROCESS = """
import asyncio, gc, logging
from kling_widget import background

async def ticking(ticks):
    while True:
        ticks.append(0)
        await asyncio.sleep(0.01)

async def soon(seconds=0.2):
    await asyncio.sleep(seconds)
    return "done"

"""


def in_fresh_process(code: str, *, says: str) -> None:
    """Where nest_asyncio may patch asyncio without a test noticing; anything logged or warned of fails."""
    script = IN_FRESH_PROCESS + textwrap.dedent(code) + "\ngc.collect()\n"
    done = subprocess.run([sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == (says, 0), done.stderr
    assert "never retrieved" not in done.stderr
    assert "was destroyed" not in done.stderr


def test_waiting_in_plain_code_gives_the_result_or_the_error() -> None:
    async def fail() -> None:
        raise ValueError("no")

    assert background.wait(background.start(soon(0))) == "done"
    with pytest.raises(ValueError, match="no"):
        background.wait(background.start(fail()))


def test_a_deadline_ends_the_waiting_and_not_the_work(complaints: None) -> None:
    work = background.start(soon())
    with pytest.raises(TimeoutError):
        background.wait(work, 0.01)
    assert background.wait(work, 10) == "done"


def test_a_deadline_inside_a_running_loop_ends_the_waiting_and_not_the_work() -> None:
    in_fresh_process(
        """
        async def main():
            work = background.start(soon())
            try:
                background.wait(work, 0.01)
            except TimeoutError:
                print("too late")
            print(background.wait(work, 10))
        asyncio.run(main())
    """,
        says="too late\ndone\n",
    )


def test_waiting_inside_a_running_loop_lets_its_other_tasks_go_on() -> None:
    in_fresh_process(
        """
        async def main():
            ticks = []
            task = asyncio.create_task(ticking(ticks))
            await asyncio.sleep(0)
            print(background.wait(background.start(soon())), len(ticks) > 5)
            await asyncio.sleep(0)  # plain asyncio goes on working in this loop
            before = len(ticks)
            await asyncio.sleep(0.1)
            print(len(ticks) > before)
            task.cancel()
        asyncio.run(main())
    """,
        says="done True\nTrue\n",
    )


def test_what_was_ready_when_the_first_waiting_began_does_not_end_the_loop() -> None:
    """asyncio has counted it, and would pop from an empty deque: in a notebook that is the end of the kernel."""
    in_fresh_process(
        """
        def wait_twice(over):
            for _ in range(2):
                print(background.wait(background.start(soon(0.05))))
            over.set_result(None)

        async def main():
            loop, others = asyncio.get_running_loop(), []
            over = loop.create_future()
            loop.call_soon(wait_twice, over)
            for number in range(50):
                loop.call_soon(others.append, number)
            await over
            print(others == list(range(50)))
        asyncio.run(main())
    """,
        says="done\ndone\nTrue\n",
    )


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows has no signals for one thread")
def test_ctrl_c_is_heard_also_where_the_waiting_itself_is_not_interrupted() -> None:
    """As in the moment in which it begins. One that another thread gets doesn't interrupt it either."""
    code = """
        import signal, threading
        from concurrent.futures import Future
        from kling_widget import background

        future = Future()
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def interrupt():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            if not heard.wait(30):
                future.set_result("the result came first")

        heard = threading.Event()
        thread = threading.Timer(0.2, interrupt)
        thread.start()
        try:
            print(background.wait(future))
        except KeyboardInterrupt:
            print("interrupted", "too late" if future.done() else "at once")
        heard.set()
        thread.join()
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=90, check=True)
    assert told.stdout.strip() == b"interrupted at once"


def test_an_error_of_the_work_is_not_taken_for_the_deadline() -> None:
    in_fresh_process(
        """
        class Slow(TimeoutError):
            pass
        async def fail():
            raise Slow
        async def main():
            try:
                background.wait(background.start(fail()), 10)
            except Slow:
                print("its own")
        asyncio.run(main())
    """,
        says="its own\n",
    )


def test_nothing_of_asyncio_is_patched_before_somebody_waits_inside_a_running_loop() -> None:
    in_fresh_process(
        """
        before = asyncio.run, asyncio.Task, asyncio.get_event_loop
        async def main():
            return await background.bridge(background.start(soon(0)))
        print(asyncio.run(main()), background.wait(background.start(soon(0))))
        print(before == (asyncio.run, asyncio.Task, asyncio.get_event_loop))
    """,
        says="done done\nTrue\n",
    )


def test_an_error_that_comes_after_the_deadline_is_nobodys_complaint(complaints: None) -> None:
    failing: Future[None] = Future()

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(background.bridge(failing), 0.01)
        failing.set_exception(ValueError("late"))
        await asyncio.sleep(0.05)

    run_in_thread(lambda: asyncio.run(main()))


def test_work_that_ends_after_the_loop_that_awaited_it_is_nobodys_complaint(complaints: None) -> None:
    work: Future[str] = Future()

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(background.bridge(work), 0.01)
        left = asyncio.ensure_future(background.bridge(work))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.wait([left])

    def loop_that_ends() -> None:  # not asyncio.run(): once nest_asyncio2 has replaced it, it closes no loop
        loop = asyncio.new_event_loop()
        loop.run_until_complete(give_up())
        loop.close()

    run_in_thread(loop_that_ends)
    work.set_result("late")


def test_cancelling_who_awaits_cancels_only_the_waiting() -> None:
    async def main() -> None:
        work = background.start(soon())
        waiting = asyncio.ensure_future(background.bridge(work))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not work.cancelled()
        assert await background.bridge(work) == "done"

    run_in_thread(lambda: asyncio.run(main()))


def test_several_loops_and_a_plain_thread_get_the_same_result() -> None:
    work = background.start(soon())
    got: list[str] = []

    async def main() -> None:
        got.append(await background.bridge(work))

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(3)]
    threads.append(threading.Thread(target=lambda: got.append(background.wait(work))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert got == ["done"] * 4


def test_work_on_the_background_loop_runs_in_the_context_of_who_started_it() -> None:
    """ipykernel 7 finds the running cell through a context variable: without it news reaches no cell."""
    script = (
        "import contextvars\n"
        "from kling_widget import background\n"
        "cell = contextvars.ContextVar('cell')\n"
        "cell.set('the cell')\n"
        "async def read(): return cell.get()\n"
        "print(background.run(read()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "the cell\n"


def test_a_failed_background_task_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("the reason")

    background.go(fail())
    background.run(asyncio.sleep(0.01))
    assert "the reason" in caplog.text


@pytest.mark.parametrize("leave", ["SystemExit", "KeyboardInterrupt"])
def test_what_would_end_the_program_ends_no_loop_and_reaches_who_asked_for_the_work(leave: str) -> None:
    in_fresh_process(
        f"""
        def give_up():
            raise {leave}("no such folder")

        async def work():
            for waiting in (background.in_thread(give_up), background.bridge(background.aside(give_up))):
                try:
                    await waiting
                except RuntimeError as error:
                    print(error, isinstance(error.__cause__, {leave}))

        background.run(work())
        print(background.run(soon(0)))
    """,
        says=f"Work in the background ended with {leave}: no such folder True\n" * 2 + "done\n",
    )


def test_the_background_loop_never_waits_for_itself() -> None:
    async def wait_for_itself() -> None:
        background.run(soon(0))

    with pytest.raises(RuntimeError, match="wait for itself"):
        background.run(wait_for_itself())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    assert background.run(soon(0)) == "done"
    child = os.fork()
    if child == 0:
        os._exit(0 if background.run(soon(0)) == "done" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert background.run(soon(0)) == "done"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_whoever_asks_for_it_is_called_once_in_a_forked_child_and_not_kept_alive_for_that() -> None:
    class Room:
        def __init__(self) -> None:
            self.calls = 0
            background.in_child(self.reset)

        def reset(self) -> None:
            self.calls += 1

    room, gone = Room(), weakref.ref(Room())
    gc.collect()
    assert gone() is None
    child = os.fork()
    if child == 0:
        os._exit(0 if room.calls == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert room.calls == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_service_begins_anew_in_a_forked_child() -> None:
    began = list[int]()

    async def work() -> None:
        began.append(os.getpid())
        await asyncio.sleep(3600)

    async def wake() -> None:
        service.wake()
        await asyncio.sleep(0)

    service = background.Service(work)
    background.run(wake())
    child = os.fork()
    if child == 0:
        background.run(wake())
        os._exit(0 if began == [os.getppid(), os.getpid()] else 1)
    assert os.waitpid(child, 0)[1] == 0
    background.run(wake())
    assert began == [os.getpid()]


def test_a_process_ends_also_where_something_is_called_while_it_does() -> None:
    """As a widget does that is held until then: no thread starts any more, and whoever waits for one waits for good."""
    code = """
        import os
        from kling_widget import background

        class Late:
            def __del__(self, call=background.call, say=os.write):
                say(1, b"last words")
                call(say, 1, b"unheard")

        background.call(print)
        late = Late()
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=60, check=True)
    assert told.stdout.strip() == b"last words"
    assert told.stderr == b""


def test_a_script_ends_without_a_word_also_while_something_works_in_threads() -> None:
    code = """
        import time
        from kling_widget import background

        async def works() -> None:
            background.go(background.in_thread(time.sleep, 0.5))  # which the interpreter waits for
            while True:
                await background.in_thread(int)

        async def is_told_an_error() -> None:
            try:
                await background.in_thread(int, "no number")
            except ValueError:
                print("told")

        background.run(is_told_an_error())
        background.go(works())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "told\n", "")
