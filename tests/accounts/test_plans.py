"""How the sessions of one user are found among all others, and what that locks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from sqlalchemy import event, literal, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sessionstore_sql import SessionId, SQLSessionStore
from sessionstore_sql.records import key_of
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.testing.accounts.support import handles_of, new_subject, signed_in
from sessionstore_sql.testing.support import HOUR, record
from tests.accounts.rows import TABLE
from tests.concurrency.rows import SERVER_TARGETS
from tests.concurrency.test_plans import ON_MYSQL, ON_POSTGRESQL, plans_of

pytestmark = pytest.mark.anyio

INDEX = f"{TABLE.name}_subject"

on_servers = pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str)


@on_servers
@pytest.mark.parametrize("call", ["revoke", "keep", "only", "trim", "sign_out"])
async def test_nothing_of_another_user_is_locked(
    store: SQLSessionStore, host_engine: AsyncEngine, call: str
) -> None:
    """On a table of a few rows, where a scan is cheap: the rows of other users are held."""
    subject = new_subject()
    session_id, handle = await signed_in(store, subject)
    others = [(await signed_in(store, new_subject("other")))[0] for _ in range(2)]
    anonymous = SessionId.generate()
    await store.create(anonymous, record())
    loaded = await store.load_session(session_id)
    assert loaded is not None
    await store.change_id(session_id, SessionId.generate())

    async with host_engine.connect() as connection:
        binary = dialect_named(connection.dialect.name).binary
        for other in (*others, anonymous):
            is_other = TABLE.c.id == literal(key_of(other), binary)
            await connection.execute(update(TABLE).where(is_other).values(idle_ttl=5))
        match call:
            case "revoke":
                ending = store.revoke(subject)
            case "keep":
                ending = store.revoke(subject, keep=handle)
            case "only":
                ending = store.revoke(subject, only=handle)
            case "trim":
                ending = store.sign_in(  # type: ignore[assignment]
                    None, SessionId.generate(), record(), subject=subject, max_sessions=1
                )
            case _:
                ending = store.sign_out(session_id, loaded)  # type: ignore[assignment]
        await asyncio.wait_for(ending, 2.5)  # less than the timeout of a lock
        await connection.rollback()

    assert (handle in await handles_of(store, subject)) is (call == "keep")
    for other in (*others, anonymous):
        assert await store.load(other) is not None


async def fill(store: SQLSessionStore, subject: str) -> None:
    """Create sessions of many users, a few of this one, and tell the optimizer."""
    await asyncio.gather(*(signed_in(store, new_subject("other")) for _ in range(300)))
    await asyncio.gather(*(store.create(SessionId.generate(), record()) for _ in range(300)))
    await asyncio.gather(*(signed_in(store, subject) for _ in range(3)))


@ON_POSTGRESQL
async def test_postgresql_uses_the_index(store: SQLSessionStore) -> None:
    """To list, to revoke and to keep to a limit."""
    subject = new_subject()
    await fill(store, subject)
    async with store.engine.connect() as connection:
        await connection.execute(text(f"ANALYZE {TABLE.name}"))

    async def calls() -> None:
        await store.sessions_of(subject)
        await store.revoke(subject, keep=(await store.sessions_of(subject))[0].handle)
        await store.sign_in(None, SessionId.generate(), record(), subject=subject, max_sessions=1)
        await store.revoke(subject)

    plans = await plans_of(store.engine, calls())

    for plan in plans:
        lines = [row["query plan"] for row in plan]
        assert not any("Seq Scan" in line for line in lines), lines
    assert sum(any(INDEX in row["query plan"] for row in plan) for plan in plans) == 5


@ON_MYSQL
async def test_mysql_uses_the_index(store: SQLSessionStore) -> None:
    """To list, to revoke and to keep to a limit; rows are then deleted by their keys."""
    subject = new_subject()
    await fill(store, subject)
    async with store.engine.connect() as connection:
        await connection.exec_driver_sql(f"ANALYZE TABLE {TABLE.name}")
    plans = []
    for call in (
        store.sessions_of(subject),
        store.sign_in(None, SessionId.generate(), record(), subject=subject, max_sessions=1),
        store.revoke(subject),
    ):
        plans += await _explained(store, call)

    keys = [row["key"] for plan in plans for row in plan if row["table"] == TABLE.name]
    assert keys.count(INDEX) == 3
    assert set(keys) <= {INDEX, "PRIMARY", None}
    assert all(
        row["type"] in {"ref", "range"} for plan in plans for row in plan if row["key"] == INDEX
    )


async def _explained(store: SQLSessionStore, call: Awaitable[Any]) -> list[list[dict[str, object]]]:
    """Return the plans of the statements that read or change rows."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT id", "SELECT sess", "DELETE", "UPDATE")):
            sent.append((statement, parameters))

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    await call
    event.remove(store.engine.sync_engine, "before_cursor_execute", note)
    plans = []
    async with store.engine.connect() as connection:
        for statement, parameters in sent:
            told = f"EXPLAIN FORMAT=TRADITIONAL {statement}"
            result = await connection.exec_driver_sql(told, parameters)
            plans.append([{k.lower(): v for k, v in row.items()} for row in result.mappings()])
    return plans


@ON_POSTGRESQL
async def test_no_write_changes_an_index(store: SQLSessionStore) -> None:
    """Every update of a signed-in session stays on its page (HOT), with all columns it writes."""
    ids = [(await signed_in(store, new_subject()))[0] for _ in range(4)]
    async with store.engine.connect() as connection:
        await connection.execute(text(f"VACUUM FULL {TABLE.name}"))
        await connection.execute(text(f"VACUUM {TABLE.name}"))
        before = after = await _updates(connection)
    for _ in range(3):
        for session_id in ids:
            await store.update_ttl(session_id, HOUR)
            await store.update(session_id, record(a=1))
            session = await store.load_session(session_id)
            assert session is not None
            await store.update_if(session_id, record(a=2), session.version)
    await store.aclose()  # the statistics are sent when a connection is idle, or closed

    async with store.engine.connect() as connection:
        for _ in range(100):
            after = await _updates(connection)
            if after[0] - before[0] >= 36:
                break
            await asyncio.sleep(0.1)
    assert (after[0] - before[0], after[1] - before[1]) == (36, 36)


async def _updates(connection: AsyncConnection) -> tuple[int, int]:
    found = await connection.execute(
        text(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
            f"WHERE relname = '{TABLE.name}'"
        )
    )
    return tuple(found.one())  # type: ignore[return-value]
