"""Runs an application under uvicorn in its own process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from sqlalchemy import make_url

from benchmarks.databases import Target
from benchmarks.peer import NotRunError
from benchmarks.web.applications import APPLICATIONS
from benchmarks.web.counting import Counting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.web.applications import Application

_ORDER = "SESSIONSTORE_BENCH_WEB_ORDER"
"""Environment variable with the options as JSON; other users can read command lines."""
_PATIENCE_S = 30


@contextmanager
def serving(application: Application, target: Target, loop: str) -> Iterator[tuple[int, int]]:
    """Yield the port of the application and the id of its process.

    Raises:
        NotRunError: The application does not start.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listener:
        port: int = listener.getsockname()[1]
        order = {
            "name": application.name,
            "database": target.database,
            "url": target.url.render_as_string(hide_password=False),
            "pool": target.pool,
            "sessions": target.sessions,
            "socket": listener.fileno(),
            "loop": loop,
        }
        server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.web.serving"],
            env={**os.environ, _ORDER: json.dumps(order)},
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert server.stdout is not None
    try:
        if not server.stdout.readline():
            _, errors = server.communicate(timeout=_PATIENCE_S)
            raise NotRunError((errors.strip().splitlines() or ["no output"])[-1][:160])
        yield port, server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()


def cpu_seconds(process: int) -> float:
    """Return the CPU seconds of a process with all its threads; see proc(5)."""
    with open(f"/proc/{process}/stat", encoding="ascii") as file:  # noqa: PTH123  # called for each slice
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _serve() -> None:
    order = json.loads(os.environ.pop(_ORDER))
    (application,) = (each for each in APPLICATIONS if each.name == order["name"])
    target = Target(order["database"], make_url(order["url"]), order["pool"], order["sessions"])
    async with application.serve(target) as served:
        config = uvicorn.Config(
            Counting(served),
            http="httptools",
            access_log=False,
            log_level="warning",
            ws="none",
            timeout_keep_alive=3_600,  # connections are idle during the slices of other peers
        )
        server = uvicorn.Server(config)
        print("ready", flush=True)
        await server.serve(sockets=[socket.socket(fileno=order["socket"])])


def main() -> None:
    """Serve the application that the environment selects, until SIGTERM."""
    # uvicorn stops at this signal and then raises it again, which would end the process here.
    signal.signal(signal.SIGTERM, lambda *_: None)
    loop = json.loads(os.environ[_ORDER])["loop"]
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
