"""Errors mean the same, and hide the same, in every language of the server."""

from __future__ import annotations

import pytest
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import DatabaseError, DuplicateIdError, SessionId, SQLSessionStore
from sessionstore_sql.sql.dialects import Failure, dialect_named
from sessionstore_sql.sql.failures import classify, redact
from tests.concurrency.rows import TABLE, key_of
from tests.concurrency.stores import record
from tests.databases import TARGETS
from tests.faults.servers import assert_hides, on_connect

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize(
        "target",
        [each for each in TARGETS if each.database in {"mysql", "mariadb"}],
        indirect=True,
        ids=str,
    ),
    pytest.mark.parametrize(
        "language", ["de_DE", "fr_FR", "ja_JP", "ru_RU", "es_ES", "sv_SE", "cs_CZ"]
    ),
]


@pytest.fixture
async def speaking(url: URL, language: str, store: SQLSessionStore) -> AsyncEngine:
    """An engine on whose connections the server speaks another language."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True)
    on_connect(engine, f"SET SESSION lc_messages = '{language}'")
    return engine


async def test_a_duplicate_key_is_known_and_hidden(
    speaking: AsyncEngine, language: str, store: SQLSessionStore
) -> None:
    """The message quotes the key between words of that language."""
    session_id = SessionId.generate()
    await store.create(session_id, record())
    again = text(f"INSERT INTO {TABLE.name} (id, deadline, state) VALUES (unhex(:key), 1, '{{}}')")
    dialect = dialect_named(speaking.dialect.name)
    async with speaking.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(again, {"key": key_of(session_id).hex()})
    await speaking.dispose()
    error = caught.value

    assert classify(error, dialect, sent=True) is Failure.DUPLICATE_KEY
    redact(error, dialect)
    assert_hides(error, session_id)
    assert "<hidden>" in str(error.orig)
    assert "\\x" not in str(error.orig)
    assert "PRIMARY" in str(error.orig)


async def test_a_store_works_in_that_language(
    speaking: AsyncEngine, language: str, store: SQLSessionStore
) -> None:
    """It tells duplicates and missing tables as ever."""
    session_id = SessionId.generate()
    async with SQLSessionStore(speaking) as spoken:
        await spoken.create(session_id, record())
        with pytest.raises(DuplicateIdError):
            await spoken.create(session_id, record())
    with pytest.raises(DatabaseError, match="alembic upgrade head"):
        await SQLSessionStore(speaking, table="nowhere").load(session_id)
    await speaking.dispose()
