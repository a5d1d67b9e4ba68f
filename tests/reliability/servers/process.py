"""A server as a process: started, waited for, killed."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

START_S = 60
"""Within which a server answers, recovery after a crash included."""
_STOP_S = 20
_POLL_S = 0.05


class ServerError(Exception):
    """A server did not do what it was started for: nothing that a store is to blame for."""


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class ServerProcess:
    """A program that runs until it is stopped, with its output in a file."""

    def __init__(self, folder: Path, user: str | None = None) -> None:
        """Run programs in ``folder``, which is theirs.

        Args:
            folder: For data and logs; made if there is none.
            user: The user of the programs, if they do not run as root.
        """
        self.folder = folder
        self._user = user if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self.own(folder)

    def own(self, folder: Path) -> None:
        """Make ``folder``, and let the server's user have it."""
        folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            shutil.chown(folder, self._user, pwd.getpwnam(self._user).pw_gid)

    def make(self, file: Path) -> None:
        """Make an empty file of the server's user."""
        file.touch()
        if self._user is not None:
            shutil.chown(file, self._user)

    def own_file(self, file: Path) -> Path:
        """Return a copy of ``file`` that belongs to the server's user."""
        copy = self.folder / file.name
        shutil.copy(file, copy)
        if self._user is not None:
            shutil.chown(copy, self._user)
        return copy

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Run a program that ends by itself.

        Raises:
            ServerError: It failed; the message has what it printed.
        """
        process = self._popen(command, environment, subprocess.PIPE)
        printed, _ = process.communicate()
        if process.returncode != 0:
            raise ServerError(f"{command[0]} failed: {printed.decode(errors='replace')}")

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start the server."""
        with (self.folder / "log").open("ab") as log:
            self._process = self._popen(command, environment, log.fileno())

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End the server and its processes at once: none of them can tidy up."""
        everything = [self.pid, *descendants(self.pid)]
        # Stopped first, so that none sees another one die.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in everything:
                send_signal(pid, number)
        assert self._process is not None
        self._process.wait()
        while any(map(is_running, everything)):  # they hold ports and shared memory until then
            time.sleep(_POLL_S)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Let the server end in order; may be repeated."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    async def until_ended(self) -> None:
        """Wait until the server has given up by itself.

        Raises:
            ServerError: It goes on.
        """
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while self._process.poll() is None:
            if time.monotonic() > deadline:
                raise ServerError(f"still there after {START_S} s:\n{self._end_of_log()}")
            await asyncio.sleep(_POLL_S)

    async def until_answering(self, url: URL, statement: str = "SELECT 1") -> None:
        """Wait until the server answers ``statement`` at ``url``.

        Raises:
            ServerError: It has ended, or takes too long.
        """
        deadline = time.monotonic() + START_S
        while not await answers(url, statement):
            if self._process is not None and self._process.poll() is not None:
                raise ServerError(f"the server ended:\n{self._end_of_log()}")
            if time.monotonic() > deadline:
                raise ServerError(f"no answer in {START_S} s:\n{self._end_of_log()}")
            await asyncio.sleep(_POLL_S)

    def _popen(
        self, command: Sequence[str], environment: Mapping[str, str] | None, output: int
    ) -> subprocess.Popen[bytes]:
        group = None if self._user is None else pwd.getpwnam(self._user).pw_gid
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupt at the terminal is for us, and we stop them
            user=self._user,
            group=group,
            extra_groups=None if self._user is None else [],
        )

    def _end_of_log(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])


async def answers(url: URL, statement: str = "SELECT 1") -> bool:
    """Whether a new connection to ``url`` can execute ``statement``, and it returns true."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with asyncio.timeout(5), engine.connect() as connection:
            return bool((await connection.execute(text(statement))).scalar_one())
    except (SQLAlchemyError, OSError):
        return False
    except Exception as error:
        if type(error).__module__.startswith("asyncpg"):  # SQLAlchemy lets some through
            return False
        raise
    finally:
        await engine.dispose()


async def ask(url: URL, statement: str) -> int:
    """Return the number that ``statement`` selects."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return int((await connection.execute(text(statement))).scalar_one())
    finally:
        await engine.dispose()


async def execute(url: URL, *statements: str) -> None:
    """Execute the statements, one by one, as an administrator."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
    finally:
        await engine.dispose()


def descendants(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started, and theirs."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, children) for each in (child, *descendants(child))]


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Return the text of a configuration file."""
    return "\n".join(
        "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in section.items()), ""])
        for name, section in sections.items()
    )


def options(settings: Mapping[str, object]) -> Iterable[str]:
    """Return settings as options of a command."""
    return (f"--{name}={value}" for name, value in settings.items())
