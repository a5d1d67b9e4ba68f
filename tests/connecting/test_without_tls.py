"""TLS where the server offers none, or where a proxy in between leaves it out."""

from __future__ import annotations

import pytest
from sqlalchemy import URL, text

from sessionstore_sql import DatabaseError, SessionId, SQLSessionStore
from sessionstore_sql.sql.dialects.mysql import creators
from tests.migrations.databases import shown

pytestmark = pytest.mark.anyio


async def connects(url: str) -> bool:
    """Whether a store's engine can connect."""
    async with SQLSessionStore(url) as store, store.engine.connect() as connection:
        return bool(await connection.scalar(text("SELECT 1")))


async def require_failure(url: str) -> None:
    """Require an error that says that TLS is what is missing, and that will not pass."""
    async with SQLSessionStore(url) as store:
        with pytest.raises(DatabaseError, match=r"TLS|SSL") as caught:
            await store.load(SessionId.generate())
    assert not caught.value.transient


@pytest.fixture
def over_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the drivers take this machine for another one."""
    monkeypatch.setattr(creators, "_is_local", lambda _host: False)


@pytest.fixture
async def without_tls(mariadb: URL) -> URL:
    """A server of MariaDB that has no certificate."""
    async with SQLSessionStore(mariadb) as store, store.engine.connect() as connection:
        if await connection.scalar(text("SELECT @@have_ssl")) == "YES":
            pytest.skip("the server has a certificate")
    return mariadb


@pytest.mark.parametrize("query", ["", "?sslmode=prefer", "?sslmode=allow", "?ssl-mode=DISABLED"])
@pytest.mark.usefixtures("over_a_network")
async def test_tls_that_is_not_required_is_done_without(without_tls: URL, query: str) -> None:
    """With both drivers, of which one would fail and the other never notice."""
    assert await connects(f"{shown(without_tls)}{query}")


@pytest.mark.parametrize("query", ["?ssl=true", "?ssl-mode=REQUIRED", "?sslmode=verify-full"])
@pytest.mark.parametrize("place", ["network", "machine"])
async def test_tls_that_is_required_is_not_done_without(
    without_tls: URL, query: str, place: str, request: pytest.FixtureRequest
) -> None:
    """No password is sent without it: a proxy in between could have left it out."""
    if place == "network":
        request.getfixturevalue("over_a_network")

    await require_failure(f"{shown(without_tls)}{query}")


@pytest.mark.parametrize("query", ["?sslmode=require", "?sslmode=verify-full"])
async def test_postgresql_without_tls_is_not_reached(postgresql: URL, query: str) -> None:
    """The same with its drivers."""
    async with SQLSessionStore(postgresql) as store, store.engine.connect() as connection:
        if await connection.scalar(text("SHOW ssl")) == "on":
            pytest.skip("the server has a certificate")

    await require_failure(f"{shown(postgresql)}{query}")
