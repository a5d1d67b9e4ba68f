"""Runs the blocks of a page from top to bottom in one folder."""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from tests.databases import DATABASES, Databases
from tests.docs.console import Command, commands_in, fault_of_installation, is_installation, matches
from tests.docs.pages import ROOT, Block, sql_for
from tests.docs.stand_ins import MissingDatabaseError, StandIns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

SECONDS = 60
"""Timeout of a command, in seconds."""

UNCHECKED_LANGUAGES = {"bash", "py", "pycon", "python3", "sh", "shell", "zsh"}
"""Languages that look like ``python`` or ``console`` but would not be run."""

_IGNORED_WARNING = "ignore:It is recommended to use web.RequestKey"
"""aiohttp-session 2.12.1 uses keys that aiohttp 3.14 warns about."""

_PREPARED_INI = "[alembic]\nscript_location = sessionstore_sql:migrations\n"


class PageError(AssertionError):
    """A block does not work as shown."""


def walk(blocks: list[Block], folder: Path, databases: Databases) -> str | None:
    """Run the blocks of a page; return the database that was not available, or ``None``.

    The page ends there, because later blocks may need the earlier ones.

    Raises:
        PageError: A block does not work as shown.
    """
    with Walk(folder, databases) as page:
        for block in blocks:
            if block.left_out is not None:
                continue
            try:
                page.do(block)
            except MissingDatabaseError as error:
                return error.database
    return None


class Walk:
    """The folder of one page and the servers that it starts.

    The folder contains a migrated ``sessions.db`` and an ``alembic.ini`` of two lines. Servers
    are stopped at the end of ``with``.
    """

    def __init__(self, folder: Path, databases: Databases) -> None:
        self._folder = folder
        self._stand_ins = StandIns(folder, databases)
        self._servers = ExitStack()
        self._written: set[str] = set()

    def __enter__(self) -> Self:
        self._servers.enter_context(self._stand_ins)
        self._stand_ins.database("sqlite")
        ini = self._stand_ins.put_into(_PREPARED_INI)
        (self._folder / "alembic.ini").write_text(ini, encoding="utf-8")
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._servers.close()

    def do(self, block: Block) -> None:
        """Run a block.

        Raises:
            PageError: It does not work, or prints something else.
            MissingDatabaseError: It needs a server that is not available.
        """
        actions: dict[str, Callable[[Block], None]] = {
            "python": self._run_python,
            "console": self._run_console,
            "sql": self._run_sql,
        }
        if block.language in UNCHECKED_LANGUAGES:
            raise PageError(f"{block}: not {block.language}, but one of {', '.join(actions)}")
        try:
            if block.title is not None:
                self._write(block, block.title)
            elif block.language in actions:
                actions[block.language](block)
        except (PageError, ValueError, SQLAlchemyError) as error:
            raise PageError(f"{block}: {error}") from None

    # ------------------------------------------------------------- files --

    def _write(self, block: Block, title: str) -> None:
        """Write the block to a file, or append it if the page has written that file."""
        path = self._folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = "a" if title in self._written else "w"
        with path.open(mode, encoding="utf-8") as file:
            file.write(self._stand_ins.put_into(block.code))
        self._written.add(title)
        if path.suffix == ".py":
            try:
                ast.parse(path.read_text(encoding="utf-8"))
            except SyntaxError as error:
                raise PageError(f"{title} is not Python: {error}") from None
        if title == "app.py":
            self._python(str(Path(__file__).with_name("ask_app.py")))

    def _run_python(self, block: Block) -> None:
        name = f"example_{block.line}.py"
        if re.search(r"^(class Test|(async )?def test_)", block.code, re.MULTILINE):
            name = f"test_{name}"
        (self._folder / name).write_text(self._stand_ins.put_into(block.code), encoding="utf-8")
        if name.startswith("test_"):
            self._python("-m", "pytest", "-q", "-p", "no:cacheprovider", name)
        else:
            self._python(name)

    def _python(self, *arguments: str) -> None:
        self._run([sys.executable, *arguments])

    # ----------------------------------------------------------- console --

    def _run_console(self, block: Block) -> None:
        for command in commands_in(block.code):
            if is_installation(command.line):
                if fault := fault_of_installation(command.line):
                    raise PageError(f"{command.line}: {fault}")
            elif command.is_server:
                self._servers.enter_context(self._server(command))
            else:
                printed = self._run(["bash", "-c", self._stand_ins.put_into(command.line)])
                if command.output and not matches(
                    self._stand_ins.put_into(command.output), printed
                ):
                    raise PageError(f"{command.line}\nprinted\n{printed}\nnot\n{command.output}")

    def _run(self, command: list[str]) -> str:
        result = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if result.returncode != 0:
            raise PageError(f"{command[-1]}\nended with {result.returncode}\n{result.stdout}")
        return result.stdout

    @contextmanager
    def _server(self, command: Command) -> Iterator[None]:
        log = self._folder / "server.log"
        line = self._stand_ins.put_into(command.line.removesuffix("&"))
        with (
            log.open("w", encoding="utf-8") as output,
            subprocess.Popen(
                ["bash", "-c", f"exec {line}"],
                cwd=self._folder,
                env=self._environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as server,
        ):
            try:
                self._await_port(server, log)
                yield
            finally:
                server.send_signal(signal.SIGTERM)
                try:
                    server.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    server.kill()
                    raise PageError(f"{line} does not stop after SIGTERM") from None

    def _await_port(self, server: subprocess.Popen[bytes], log: Path) -> None:
        give_up = time.monotonic() + SECONDS
        while True:
            if server.poll() is not None or time.monotonic() > give_up:
                raise PageError(
                    f"the server does not open its port:\n{log.read_text(encoding='utf-8')}"
                )
            try:
                socket.create_connection(("127.0.0.1", self._stand_ins.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return

    def _environment(self) -> dict[str, str]:
        environment = {
            name: value for name, value in os.environ.items() if name != "SESSIONSTORE_URL"
        }
        return environment | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": f"error,{_IGNORED_WARNING}",
        }

    def _run_sql(self, block: Block) -> None:
        for database in DATABASES:
            if statements := sql_for(database, block.code):
                self._stand_ins.execute(database, statements)
