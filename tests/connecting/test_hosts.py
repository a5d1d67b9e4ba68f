"""Several hosts of PostgreSQL, some of which do not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import URL, text

from sessionstore_sql import DatabaseError, SessionId, SQLSessionStore, migrate
from sessionstore_sql.statistics import collect_statistics
from tests.migrations.databases import shown

pytestmark = pytest.mark.anyio

_PORT = 5432


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    """A host that rejects connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def at(url: URL, hosts: str, query: str = "") -> str:
    """Return the URL with other hosts, as text."""
    there = shown(url.set(host="HOSTS").set(port=1))
    return there.replace("HOSTS:1", hosts) + query


def here(url: URL) -> str:
    """Return the host and the port of the URL."""
    return f"{url.host}:{url.port or _PORT}"


async def number(url: str, **options: Any) -> int:
    """Connect as a store does, and ask for a number."""
    async with (
        SQLSessionStore(url, engine_options=options or None) as store,
        store.engine.connect() as connection,
    ):
        return int(await connection.scalar(text("SELECT 7")))


async def test_a_silent_host_leaves_time_for_the_next(postgresql: URL, silent: str) -> None:
    """For the store, the migrations and the statistics; without any option."""
    url = at(postgresql, f"{silent},{here(postgresql)}")

    assert await number(url) == 7
    assert await migrate.current(url) is not None
    assert (await collect_statistics(url)).taken_at is not None


async def test_several_silent_hosts_leave_time_for_the_last(postgresql: URL, silent: str) -> None:
    """However many there are: the limit for connecting grows with them."""
    hosts = ",".join([silent] * 5)

    assert await number(at(postgresql, f"{hosts},{here(postgresql)}", "?connect_timeout=2.5")) == 7


@pytest.mark.parametrize("attribute", ["any", "read-write", "primary", "prefer-standby"])
async def test_a_host_that_rejects_connections_is_passed_by(
    postgresql: URL, closed: str, attribute: str
) -> None:
    """Whatever is asked of a host."""
    query = f"?target_session_attrs={attribute}"
    assert await number(at(postgresql, f"{closed},{here(postgresql)},{closed}", query)) == 7


async def test_a_random_order_of_hosts_finds_the_one_that_answers(
    postgresql: URL, closed: str
) -> None:
    """The option is libpq's; asyncpg has none like it."""
    url = at(postgresql, f"{closed},{here(postgresql)}", "?load_balance_hosts=random")

    for _ in range(5):
        assert await number(url) == 7


@pytest.mark.parametrize("attribute", ["standby", "read-only"])
async def test_no_host_that_fits_is_a_failure_that_may_pass(
    postgresql: URL, closed: str, attribute: str
) -> None:
    """A standby may come back."""
    query = f"?target_session_attrs={attribute}"
    async with SQLSessionStore(at(postgresql, f"{here(postgresql)},{closed}", query)) as store:
        with pytest.raises(DatabaseError) as caught:
            await store.load(SessionId.generate())

    assert caught.value.transient


async def test_a_wrong_password_is_not_tried_on_every_host(postgresql: URL, closed: str) -> None:
    """The first server that answers has decided."""
    url = at(postgresql.set(database="nowhere"), f"{closed},{here(postgresql)}")
    async with SQLSessionStore(url) as store:
        with pytest.raises(DatabaseError, match="nowhere") as caught:
            await store.load(SessionId.generate())

    assert not caught.value.transient
