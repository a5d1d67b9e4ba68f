"""An administrator's view of connections, and checks that errors show no secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import URL, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sessionstore_sql import DatabaseError, SessionId, SessionStoreError, SQLSessionStore
from tests.concurrency.rows import key_of

_OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}
_KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}
_OTHERS = {
    "postgresql": "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist"
    " WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}
_WAITING = {
    "postgresql": _OTHERS["postgresql"] + " AND wait_event_type = 'Lock'",
    "mysql": _OTHERS["mysql"] + " AND (state LIKE 'Waiting for table%' OR id IN"
    " (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx"
    " WHERE trx_state = 'LOCK WAIT'))",
}
_POLL_S = 0.15
"""InnoDB caches the list of transactions until no client has read it for 0.1 s."""


class Server:
    """Inspects the connections to a server, and ends them."""

    def __init__(self, url: URL) -> None:
        self._family = "postgresql" if url.get_backend_name() == "postgresql" else "mysql"
        self._engine = create_async_engine(url, isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        """Close the administrator's connection."""
        await self._engine.dispose()

    async def connection_id_of(self, connection: AsyncConnection) -> int:
        """Return the server's id of ``connection``."""
        return int((await connection.execute(text(_OWN_ID[self._family]))).scalar_one())

    async def open_connections(self) -> set[int]:
        """Return the ids of the other connections to this run's database."""
        return await self._ask(_OTHERS)

    async def kill(self, *connection_ids: int) -> None:
        """End the connections, and wait until they are gone."""
        for each in connection_ids:
            with suppress(DBAPIError):  # it has ended by itself
                await self._ask(_KILL, each)
        while not (await self.open_connections()).isdisjoint(connection_ids):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    async def kill_all(self) -> None:
        """End all other connections to this run's database."""
        await self.kill(*await self.open_connections())

    async def until_waiting(self, call: asyncio.Future[Any]) -> int:
        """Wait until the statement of ``call`` waits for a lock, and return its connection's id.

        It must be the only call that waits. Which connection a store uses next cannot be told
        before: a leased one may be returned at any time.
        """
        while not (waiting := await self._ask(_WAITING)):
            if call.done():
                call.result()
                pytest.fail("the call ended without waiting")
            await asyncio.sleep(_POLL_S)
        (connection_id,) = waiting
        return connection_id

    async def _ask(self, statements: dict[str, str], *arguments: int) -> set[int]:
        statement = statements[self._family].format(*arguments)
        async with self._engine.connect() as connection:
            result = await connection.execute(text(statement))
            return set(result.scalars()) if result.returns_rows else set()


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
    """Return the statement that sets the shortest lock timeout."""
    return {
        "postgresql": "SET lock_timeout = 50",
        "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
        "mariadb": "SET SESSION innodb_lock_wait_timeout = 0",
        "sqlite": "PRAGMA busy_timeout = 20",
    }[database]


async def warm(store: SQLSessionStore) -> None:
    """Let the store connect and prepare its statements."""
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
    """Assert that no error in the chain shows an id, a key or a secret."""
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
