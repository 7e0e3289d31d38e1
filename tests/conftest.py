"""What holds for all tests: nobody's key, nobody's keyring, no network, browser tests last."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import nbformat
import pytest
import sqlalchemy as sa

from kling_widget import background
from kling_widget.ledger_transactions import Transactions
from tests import kernel_sockets, postgres
from tests import s3 as s3_server

# Whether generating examples is slow says something about the machine, which others use too, and nothing about us.
hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
OURS = ("AIMLAPI_KEY", "AIML_API_KEY", "AIMLAPI_API_KEY")


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported: no test, and no kernel it starts, may find a real key and spend money."""
    for name in list(os.environ):
        if name in OURS or name.startswith("KLING_WIDGET_"):
            del os.environ[name]
    if not hasattr(config, "workerinput"):  # pytest-xdist's processes tell the first one, which writes
        config.pluginmanager.register(Names(config))
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    sys.addaudithook(stay_on_this_machine)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell without job control makes what it starts with `&` ignore Ctrl-C, and tests' processes inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def stay_on_this_machine(event: str, arguments: tuple[object, ...]) -> None:
    """Answers like a machine without a network to whatever would leave this one."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if not is_local(host):
        raise socket.gaierror(socket.EAI_NONAME, f"tests do not leave this machine, not even to {host!r}")


def is_local(host: object) -> bool:
    """Whether a host, as the socket functions take it, is this machine."""
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests go last: once Playwright runs its loop in this thread, no async test can run beside it."""
    items.sort(key=lambda item: "e2e" in item.path.parts)


class Names:
    """Names what failed at once: of a run that is cut off nobody sees the summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Also where the test ran in a process of pytest-xdist."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and reporter is not None:
            crash = getattr(report.longrepr, "reprcrash", None)
            reporter.write_line(f"\nFAILED {report.nodeid} ({report.when}): {getattr(crash, 'message', '')[:300]}")


@pytest.fixture(autouse=True)
def _nothing_goes_on() -> Iterator[None]:
    """What a test leaves under way ends with it: it would ask for its clips for good, and the port of the test's server
    is soon another's, who would be asked."""
    yield
    if background._loop is not None:
        background.run(end_all())


@pytest.fixture(autouse=True)
def _nobody_goes_first() -> Iterator[None]:
    """A test's thread keeps an ordinary priority: all processes that later tests start have its, too."""
    yield
    if sys.platform == "linux":
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


async def end_all() -> None:
    """Cancel everything on this loop."""
    while left := asyncio.all_tasks() - {asyncio.current_task()}:  # again: what is cancelled may begin something to end
        for task in left:
            task.cancel()
        await asyncio.wait(left)


@pytest.fixture(scope="session")
def s3() -> Iterator[s3_server.S3]:
    """moto's server, found by s3fs and boto3 through the environment; each test makes a bucket of its own."""
    with s3_server.serving() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A real PostgreSQL server, one for all tests of a process."""
    with postgres.serving() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> str:
    """An empty database of the test's own on it."""
    return postgres_server.url(postgres_server.new_database())


@pytest.fixture
def statements() -> Callable[[Transactions], list[str]]:
    """Tells what a ledger asks of its database from now on."""

    def listen(ledger: Transactions) -> list[str]:
        said: list[str] = []

        @sa.event.listens_for(ledger._engine, "before_cursor_execute")
        def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            said.append(statement)

        return said

    return listen


@pytest.fixture(scope="session")
def saved_quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart, saved after a run without a browser, its videos beside it. Made once: add files, change none."""
    folder = tmp_path_factory.mktemp("quickstart")
    shutil.copytree(NOTEBOOKS / "images", folder / "images")
    return run_notebook(NOTEBOOKS / "quickstart.ipynb", folder / "quickstart.ipynb")


def run_notebook(notebook: Path, saved: Path) -> Path:
    """Runs a notebook in the folder it is then saved in, as JupyterLab saves it: without the state of widgets."""
    read = nbformat.read(notebook, as_version=4)
    kernel_sockets.client(read, saved.parent, timeout=120, store_widget_state=False).execute()
    nbformat.write(read, saved)
    return saved
