"""The SQL of the pages does what the text says."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.records import key_of
from tests.databases import Target
from tests.docs.pages import blocks_of, page_paths, sql_for

HOUR = timedelta(hours=1)


def statements_on_pages(database: str, phrase: str) -> list[str]:
    """Return the statements for a database that contain this phrase, on all pages."""
    return [
        statement
        for path in page_paths()
        for block in blocks_of(path)
        if block.language == "sql" and not block.code.startswith("--8<--")  # another file
        for statement in sql_for(database, block.code)
        if phrase in statement
    ]


@pytest.mark.anyio
async def test_a_row_is_read_by_hand(store: SQLSessionStore, url: URL, target: Target) -> None:
    """The query for this database finds the session by the id from the cookie."""
    session_id = SessionId.generate()
    await store.create(session_id, SessionRecord({"user": "ада"}, HOUR))
    (query, *_) = statements_on_pages(target.database, "AS expires")
    query = query.replace("the id from the cookie", session_id.value)
    query = query.replace("the digest", key_of(session_id).hex())
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        row = (await connection.exec_driver_sql(query)).one()
    assert row.expires is not None
    assert row.state in ({"user": "ада"}, '{"user":"ада"}')


@pytest.mark.anyio
async def test_the_privileges_are_enough(store: SQLSessionStore, url: URL, target: Target) -> None:
    """A user with the privileges on the page can do everything except migrate."""
    if target.database == "sqlite":
        pytest.skip("SQLite has no users")
    name, password = f"app_{secrets.token_hex(4)}", secrets.token_hex(8)
    grants = statements_on_pages(target.database, "GRANT")
    assert grants
    if target.database == "postgresql":
        make = [f"CREATE USER {name} PASSWORD '{password}'", *grants]
        drop = [f"DROP OWNED BY {name}", f"DROP USER {name}"]
    else:
        make = [f"CREATE USER {name} IDENTIFIED BY '{password}'", *grants]
        drop = [f"DROP USER {name}"]
    make = [
        each.replace("shop.", f"{url.database}.").replace("TO app", f"TO {name}") for each in make
    ]
    admin = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        for statement in make:
            await connection.execute(text(statement))
    try:
        async with SQLSessionStore(url.set(username=name, password=password)) as limited:
            ids = [SessionId.generate() for _ in range(4)]
            for session_id in ids[:3]:
                await limited.create(session_id, SessionRecord({}, HOUR))
            await limited.update(ids[0], SessionRecord({"a": 1}, timedelta(0)))
            await limited.create(ids[0], SessionRecord({"a": 2}, HOUR))
            await limited.update_ttl(ids[1], timedelta(0))
            await limited.change_id(ids[0], ids[1])
            await limited.change_id(ids[1], ids[3])
            await limited.delete(ids[2])
            assert await limited.load(ids[3]) is not None
            await limited.create(ids[0], SessionRecord({}, timedelta(0)))
            assert await limited.delete_expired(batch_size=5) == 1
            await migrate.check(limited.engine)
    finally:
        async with admin.connect() as connection:
            for statement in drop:
                await connection.execute(text(statement))


@pytest.mark.anyio
async def test_other_names_in_code(url: URL, target: Target) -> None:
    """``table=`` is accepted by the migrations and by the store."""
    table = f"logins_{secrets.token_hex(4)}"
    await migrate.upgrade(url, table=table)
    async with SQLSessionStore(url, table=table) as store:
        await store.create(SessionId("a"), SessionRecord({}, HOUR))
    await migrate.downgrade(url, "base", table=table)
