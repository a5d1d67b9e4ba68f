"""Operations on a user's sessions as part of the caller's transaction, at every isolation level."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import AccountEvent, SessionId, SQLSessionStore
from sessionstore_sql.testing.accounts.support import handles_of, new_subject, session_of, signed_in
from sessionstore_sql.testing.support import record
from tests.concurrency.rows import SERVER_TARGETS
from tests.concurrency.stores import StoreMaker
from tests.databases import Target
from tests.faults.servers import Server

pytestmark = pytest.mark.anyio

LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
TOO_LOW = {"READ COMMITTED"}

on_servers = pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str)


@on_servers
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("call", ["revoke", "sign_out", "sign_in", "sign_in without a limit"])
async def test_no_session_can_escape_at_any_level(
    store: SQLSessionStore, host_engine: AsyncEngine, target: Target, level: str, call: str
) -> None:
    """On InnoDB, levels at which one could escape are rejected, before anything is changed."""
    subject = new_subject()
    session_id, first = await signed_in(store, subject)
    loaded = await session_of(store, session_id)
    is_rejected = (
        target.database != "postgresql" and level in TOO_LOW and call != "sign_in without a limit"
    )
    engine = host_engine.execution_options(isolation_level=level)

    async with engine.connect() as connection:
        bound = store.bind(connection)
        options: dict[str, Any] = {"max_sessions": 1} if call == "sign_in" else {}
        match call:
            case "revoke":
                making: Any = bound.revoke(subject)
            case "sign_out":
                making = bound.sign_out(session_id, loaded)
            case _:
                making = bound.sign_in(
                    None, SessionId.generate(), record(), subject=subject, **options
                )
        if is_rejected:
            with pytest.raises(ValueError, match="REPEATABLE READ"):
                await making
        else:
            await making
        await connection.commit()

    left = await handles_of(store, subject)
    if is_rejected:
        assert left == {first}
    elif call.startswith("sign_in"):
        assert len(left) == (1 if options else 2)
        assert (first in left) is not bool(options)
    else:
        assert left == set()


async def test_a_rollback_brings_everything_back(
    store: SQLSessionStore, host_engine: AsyncEngine
) -> None:
    """Nothing was committed beside the transaction."""
    subject = new_subject()
    session_id, handle = await signed_in(store, subject)
    async with host_engine.connect() as connection:
        bound = store.bind(connection)
        new_id = SessionId.generate()
        await bound.sign_in(None, new_id, record(), subject=subject, max_sessions=1)
        await bound.revoke(subject)
        assert await bound.sessions_of(subject) == []
        await connection.rollback()

    assert await handles_of(store, subject) == {handle}
    assert await store.load(session_id) is not None


@on_servers
async def test_a_limit_holds_among_transactions_at_once(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server
) -> None:
    """The second sign-in waits for the first to be committed, so one of them sees the other."""
    subject = new_subject()
    async with host_engine.connect() as first, host_engine.connect() as second:
        await store.bind(first).sign_in(
            None, SessionId.generate(), record(), subject=subject, max_sessions=1
        )
        signing_in = asyncio.ensure_future(
            store.bind(second).sign_in(
                None, SessionId.generate(), record(), subject=subject, max_sessions=1
            )
        )
        await server.until_waiting(signing_in)
        await first.commit()
        last = await signing_in
        await second.commit()

    assert await handles_of(store, subject) == {last}


async def test_the_application_reports_what_it_commits(
    make_store: StoreMaker, host_engine: AsyncEngine
) -> None:
    """A bound store reports nothing: the transaction may be rolled back."""
    seen: list[AccountEvent] = []
    watched, subject = await make_store(on_event=seen.append), new_subject()
    async with host_engine.connect() as connection:
        bound = watched.bind(connection)
        await bound.sign_in(None, SessionId.generate(), record(), subject=subject, max_sessions=1)
        await bound.revoke(subject)
        await connection.commit()

    assert seen == []


@on_servers
async def test_a_login_that_began_before_a_password_was_changed(
    store: SQLSessionStore, host_engine: AsyncEngine, server: Server, target: Target
) -> None:
    """The documented recipe: both lock the user's row, so the login comes first, or finds out."""
    subject, table = new_subject(), f"users_{new_subject('t').replace('-', '_')}"
    old_id, _ = await signed_in(store, subject)
    async with host_engine.begin() as connection:
        await connection.exec_driver_sql(
            f"CREATE TABLE {table} (id INT PRIMARY KEY, password VARCHAR(20))"
        )
        await connection.exec_driver_sql(f"INSERT INTO {table} VALUES (1, 'old')")
    lock = f"SELECT password FROM {table} WHERE id = 1 FOR UPDATE"

    async def log_in() -> bool:
        async with host_engine.connect() as connection:
            password = (await connection.exec_driver_sql(lock)).scalar_one()
            if password == "old":
                await store.bind(connection).sign_in(
                    None, SessionId.generate(), record(), subject=subject
                )
            await connection.commit()
            return bool(password == "old")

    async with host_engine.connect() as connection:
        await connection.exec_driver_sql(lock)
        login = asyncio.ensure_future(log_in())
        await server.until_waiting(login)
        await connection.exec_driver_sql(f"UPDATE {table} SET password = 'new' WHERE id = 1")
        await store.bind(connection).revoke(subject)
        await connection.commit()

    assert await login is False
    assert await handles_of(store, subject) == set()
    assert await store.load(old_id) is None
    async with host_engine.begin() as connection:
        await connection.exec_driver_sql(f"DROP TABLE {table}")
