"""The session stores of Express, in a Node process that is idle between its slices."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from abc import abstractmethod
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, DateTime, Integer, Text, column, table

from benchmarks.peer import NotRunError, Peer, Slice, slice_of
from benchmarks.seeding import insert_rows
from benchmarks.workload import STATE, TTL, TTL_SECONDS, Operation, session_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import TableClause

_FOLDER = Path(__file__).parents[1] / "node"
_DRIVER = _FOLDER / "driver.mjs"
VARIABLE = "SESSIONSTORE_BENCH_NODE"
"""The folder that contains node_modules; default: benchmarks/node."""

_LONGEST_LINE = 256 * 1024 * 1024


class NodePeer(Peer):
    """A Node store; see node/driver.mjs."""

    process: asyncio.subprocess.Process | None = None

    async def open(self) -> None:
        """Start Node, create the table as the store does, and fill it."""
        node = shutil.which("node")
        if node is None:
            raise NotRunError("node is not installed")
        modules = Path(os.environ.get(VARIABLE, _FOLDER))
        if not (modules / "node_modules" / self.name).is_dir():
            raise NotRunError(f"{self.name} is not installed: npm install in benchmarks/node")
        self.process = await asyncio.create_subprocess_exec(
            node,
            "--expose-gc",
            str(_DRIVER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        answer = await self._ask(
            command="open",
            store=self.name,
            modules=str((modules / "package.json").resolve()),
            url=self.target.dsn,
            pool=self.target.pool,
            sessions=self.target.sessions,
            state=STATE,
            ttl=TTL_SECONDS,
        )
        self.versions: dict[str, str] = answer["versions"]
        rows, content = self.seeds()
        await insert_rows(self.target, rows, content)

    @abstractmethod
    def seeds(self) -> tuple[TableClause, Iterator[dict[str, Any]]]:
        """Return the store's table, and the sessions in its format."""

    async def close(self) -> None:
        """Stop Node."""
        if self.process is not None:
            await self._ask(command="close")
            await self.process.wait()

    async def describe(self) -> dict[str, str]:
        """Return versions."""
        return self.versions

    async def verify(self) -> None:
        """Let the driver check its operations."""
        await self._ask(command="verify")

    async def measure(self, operation: Operation, callers: int, seconds: float) -> Slice:
        """Let the driver run one slice."""
        answer = await self._ask(
            command="run", operation=operation.value, callers=callers, seconds=seconds
        )
        return slice_of(answer["latencies"], answer["seconds"], answer["cpu_seconds"])

    async def _ask(self, **request: Any) -> dict[str, Any]:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        await self.process.stdin.drain()
        line = await self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "node exited"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


class ConnectPgSimplePeer(NodePeer):
    """connect-pg-simple on a pool of node-postgres."""

    name = "connect-pg-simple"
    databases = frozenset({"postgresql"})
    description = "on a pg.Pool, its own table; rotate is regenerate: destroy, then set"

    def seeds(self) -> tuple[TableClause, Iterator[dict[str, Any]]]:
        """Return its table ``session``."""
        rows = table(
            "session", column("sid", Text()), column("sess", JSON()), column("expire", DateTime())
        )
        deadline = datetime.now() + TTL  # noqa: DTZ005  # the column has no time zone
        session = _session()
        return rows, (
            {"sid": session_id(number), "sess": session, "expire": deadline}
            for number in range(self.target.sessions)
        )


class ExpressMysqlSessionPeer(NodePeer):
    """express-mysql-session on a pool of mysql2."""

    name = "express-mysql-session"
    databases = frozenset({"mysql", "mariadb"})
    description = "on its own mysql2 pool and table; rotate is regenerate: destroy, then set"

    def seeds(self) -> tuple[TableClause, Iterator[dict[str, Any]]]:
        """Return its table ``sessions``."""
        rows = table(
            "sessions",
            column("session_id", Text()),
            column("expires", Integer()),
            column("data", Text()),
        )
        data = json.dumps(_session(), separators=(",", ":"))
        expires = int(time.time()) + TTL_SECONDS
        return rows, (
            {"session_id": session_id(number), "expires": expires, "data": data}
            for number in range(self.target.sessions)
        )


def _session() -> dict[str, Any]:
    return {**STATE, "cookie": {"expires": "2099-12-31T00:00:00.000Z", "originalMaxAge": 1}}
