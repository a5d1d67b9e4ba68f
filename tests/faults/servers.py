"""What an administrator does to connections, and what may never be seen in an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sessionstore_sql import DatabaseError, SessionId, SessionStoreError, SQLSessionStore
from tests.concurrency.rows import key_of

_OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}
_KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}
_EXISTS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE pid = {}",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE id = {}",
}
_WAITS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE pid = {} AND wait_event_type = 'Lock'",
    "mysql": "SELECT (SELECT count(*) FROM information_schema.innodb_trx"
    " WHERE trx_mysql_thread_id = {0} AND trx_state = 'LOCK WAIT')"
    " + (SELECT count(*) FROM information_schema.processlist"
    " WHERE id = {0} AND state LIKE 'Waiting for table%')",
}
_POLL_S = 0.15
"""InnoDB shows its transactions as they were until nobody has looked for 0.1 s."""


class Server:
    """Looks at the connections to a server, and ends them."""

    def __init__(self, url: URL) -> None:
        self._family = "postgresql" if url.get_backend_name() == "postgresql" else "mysql"
        self._engine = create_async_engine(url, isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """Give up the administrator's connection."""
        await self._engine.dispose()

    async def connection_id(self, engine: AsyncEngine) -> int:
        """Return the server's id of the one connection that ``engine`` uses."""
        async with engine.connect() as connection:
            return await self.connection_id_of(connection)

    async def connection_id_of(self, connection: AsyncConnection) -> int:
        """Return what the server calls ``connection``."""
        return int((await connection.execute(text(_OWN_ID[self._family]))).scalar_one())

    async def kill(self, connection_id: int) -> None:
        """End the connection, and wait until it is no more."""
        await self._ask(_KILL[self._family], connection_id)
        while await self._ask(_EXISTS[self._family], connection_id):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    async def until_waiting(self, connection_id: int) -> None:
        """Wait until the connection's statement waits for a lock."""
        while not await self._ask(_WAITS[self._family], connection_id):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    async def _ask(self, statement: str, connection_id: int) -> int:
        async with self._engine.connect() as connection:
            result = await connection.execute(text(statement.format(connection_id)))
            return int(result.scalar_one()) if result.returns_rows else 0


def on_connect(engine: AsyncEngine, *statements: str) -> None:
    """Have ``engine`` execute ``statements`` on each new connection."""

    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    event.listen(engine.sync_engine, "connect", prepare)


def short_lock_timeout(database: str) -> str:
    """Return the statement that lets a session wait for a lock only for a moment."""
    return {
        "postgresql": "SET lock_timeout = 50",
        "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
        "mariadb": "SET SESSION innodb_lock_wait_timeout = 0",
        "sqlite": "PRAGMA busy_timeout = 20",
    }[database]


async def warm(store: SQLSessionStore) -> None:
    """Let the store connect, and prepare what it prepares."""
    await store.load(SessionId.generate())


@contextmanager
def fails(
    operation: type[SessionStoreError], *secret_ids: SessionId, secrets: tuple[str, ...] = ()
) -> Iterator[pytest.ExceptionInfo[DatabaseError]]:
    """Expect a ``DatabaseError`` of ``operation`` that shows no id, no key and no secret."""
    with pytest.raises(DatabaseError) as caught:
        yield caught
    assert isinstance(caught.value, operation)
    assert_hides(caught.value, *secret_ids, secrets=secrets)


def assert_hides(
    error: BaseException, *secret_ids: SessionId, secrets: tuple[str, ...] = ()
) -> None:
    """Look for the ids, their keys and the secrets in everything ``error`` leads to."""
    hidden = set(secrets)
    for session_id in secret_ids:
        key = key_of(session_id)
        # PostgreSQL prints the beginning of a long value.
        hidden |= {session_id.value, key.hex()[:24], key.hex()[:24].upper(), repr(key)[2:-1]}
    for shown in _everything_shown(error):
        for secret in hidden:
            assert secret not in shown, f"{secret!r} is in {shown!r}"


def _everything_shown(error: BaseException) -> Iterator[str]:
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if id(current) in seen or current is None:
            continue
        seen.add(id(current))
        yield str(current)
        yield repr(current)
        if isinstance(current, BaseException):
            pending += [current.__cause__, current.__context__, current.args]
            pending.append(getattr(current, "__dict__", None))
            pending += [getattr(current, name, None) for name in _SHOWN]
        elif isinstance(current, dict):
            pending += [*current.keys(), *current.values()]
        elif isinstance(current, (list, tuple, set)):
            pending += current


_SHOWN = ("orig", "params", "statement", "detail", "hint", "diag", "query", "message", "__notes__")
