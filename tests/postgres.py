"""A PostgreSQL server of the tests' own: real, in a temporary folder, gone afterwards. Fixtures are in conftest.py."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from scripts.postgres import MISSING, find_programs
from tests.ports import free_port

USER = "kling"
# No write waits for the disk: what is lost in a power cut here is a test.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "listen_addresses": "127.0.0.1"}
STARTS_WITHIN = 60  # seconds


class Server:
    """A running server.

    Attributes
    ----------
    port
        On 127.0.0.1.
    password
        Of the user ``kling``, who may do anything there.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(24)
        self._programs = programs
        self._data = folder / "data"
        self.port = free_port()

    def make(self) -> None:
        """Make the server's files. It refuses to run as root, so that root makes and runs it as `postgres`."""
        word = self.folder / "password"
        word.write_text(self.password)
        if os.geteuid() == 0:
            import pwd  # not on Windows

            owner = pwd.getpwnam("postgres")
            for path in (self.folder, word):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        where = ["-D", str(self._data), "-U", USER, f"--pwfile={word}", "--auth=scram-sha-256"]
        self._run("initdb", *where, "--encoding=UTF8", "--locale=C", "--no-sync")
        word.unlink()

    def start(self) -> None:
        """Start it; it answers when this returns."""
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = ["-l", str(self.folder / "log"), "-t", str(STARTS_WITHIN)]
        self._run("pg_ctl", "-D", str(self._data), *log, "-w", "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a power cut would."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        # Not to a pipe: the server, which inherits it, would keep it open.
        with open(self.folder / "output", "w+b") as output:
            code = subprocess.run(command, stdout=output, stderr=output, cwd=self.folder, timeout=120).returncode
            output.seek(0)
            assert code == 0, f"{program}: {output.read().decode(errors='replace')}"

    def url(self, database: str) -> str:
        """A database's URL, as a person gives it."""
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of our own, past everything under test."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password, dbname=database, autocommit=True
        )

    def new_database(self) -> str:
        """An empty database of its own for a test; its name."""
        name = f"test_{uuid.uuid4().hex}"
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return name


@contextmanager
def serving() -> Iterator[Server]:
    """A server. Without PostgreSQL the test is skipped with the reason; where nothing may be skipped (CI) it fails."""
    programs = find_programs()
    if programs is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="kling-postgres-"))
    try:
        server = Server(folder, programs)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
