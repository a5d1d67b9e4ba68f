"""No id, no digest, no state, no password and no text of an error is ever exported."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import (
    DeserializationError,
    SessionId,
    SessionRecord,
    SessionStoreError,
    SQLSessionStore,
)
from tests.leaks import forms_of
from tests.telemetry.exported import Exported, attributes

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
PASSWORD = "Pa55-planted word/@%"
IDS = [SessionId(f"planted-id-{number}-ünïcode") for number in range(12)]
STATE: dict[str, Any] = {"planted-key": "planted-väl\\ue"}
MESSAGE = "planted-message: Key (id)=(planted-id-0) already exists"


def secrets() -> Iterator[bytes]:
    """Yield what must not be seen."""
    yield from (each.value.encode() for each in IDS)
    yield from (hashlib.sha256(each.value.encode()).digest() for each in IDS)
    yield from (b"planted", PASSWORD.encode(), MESSAGE.encode())
    yield from (word.encode() for word in PASSWORD.split())
    yield from (part.encode() for item in STATE.items() for part in item)


def assert_kept_secret(exported: str) -> None:
    """Look for every secret in every form."""
    shown = exported.lower()
    found = [form for each in secrets() for form in forms_of(each) if form.lower() in shown]
    assert found == []


class Breaking:
    """A codec that shows what it was given, in an error."""

    def encode(self, state: object) -> bytes:
        """Write it."""
        return repr(state).encode()

    def decode(self, data: bytes) -> Any:
        """Show it."""
        raise DeserializationError(f"cannot read {data!r}")


async def every_way_wrong(store: SQLSessionStore) -> None:
    """Use the store so that each operation succeeds, and fails in the ways it has."""
    record = SessionRecord(STATE, HOUR)
    one, two, *rest = IDS
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.create(one, record),
        lambda: store.create(one, record),
        lambda: store.load(one),
        lambda: store.update(one, record),
        lambda: store.update(two, record),
        lambda: store.update_ttl(two, HOUR),
        lambda: store.change_id(one, two),
        lambda: store.change_id(one, two),
        lambda: store.delete(one),
        lambda: store.create(one, SessionRecord({"planted-key": b"planted"}, HOUR)),  # type: ignore[dict-item]
        lambda: store.load("planted-id"),  # type: ignore[arg-type]
        lambda: asyncio.gather(*(store.create(each, record) for each in rest)),
        lambda: asyncio.gather(*(store.create(each, record) for each in rest)),
        lambda: asyncio.gather(*(store.delete(each) for each in rest * 2), return_exceptions=True),
        lambda: store.delete_expired(5),
    ]
    for call in calls:
        with suppress(SessionStoreError, TypeError):
            await call()


@pytest.mark.every_driver
async def test_secrets_of_sessions_are_kept(watched: SQLSessionStore, exported: Exported) -> None:
    """Whatever is done with them."""
    await every_way_wrong(watched)

    errors = {attributes(span).get("error.type") for span in exported.all_spans()}
    assert {"DuplicateIdError", "UnknownIdError", "SerializationError", "TypeError"} <= errors
    assert_kept_secret(exported.everything())


@pytest.mark.every_driver
async def test_secrets_are_kept_in_a_transaction(
    watched: SQLSessionStore, host_engine: AsyncEngine, exported: Exported
) -> None:
    """A bound operation's error is the driver's, with the values of the row."""
    async with host_engine.connect() as connection:
        bound = watched.bind(connection)
        for _ in range(2):
            with suppress(SessionStoreError):
                await bound.create(IDS[0], SessionRecord(STATE, HOUR))
        await connection.rollback()

    assert_kept_secret(exported.everything())


@pytest.mark.every_driver
async def test_secrets_are_kept_by_codecs_that_show_them(
    url: URL, opened: Callable[..., Awaitable[SQLSessionStore]], exported: Exported
) -> None:
    """The text of an error is not exported."""
    store = await opened(url, codec=Breaking())
    await store.create(IDS[0], SessionRecord(STATE, HOUR))

    with pytest.raises(DeserializationError, match="planted"):
        await store.load(IDS[0])

    assert_kept_secret(exported.everything())


class DriverError(Exception):
    """A driver's error, which quotes a row in all that it has."""

    detail = hint = MESSAGE


@pytest.mark.parametrize("times", [1, 99])
@pytest.mark.every_driver
async def test_secrets_are_kept_by_drivers_that_show_them(
    watched: SQLSessionStore, exported: Exported, times: int
) -> None:
    """In a text, in arguments, in bound parameters; alone and in batches; retried or raised."""
    left = times

    @event.listens_for(watched.engine.sync_engine, "before_cursor_execute")
    def fail(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            error = DriverError(MESSAGE, *STATE.items(), IDS[0].value, PASSWORD)
            raise DBAPIError(MESSAGE, STATE, error, connection_invalidated=True)

    calls = (watched.load(each) for each in IDS)
    await asyncio.gather(*calls, return_exceptions=True)

    errors = {attributes(span).get("error.type") for span in exported.all_spans()}
    assert errors & {None, f"{__name__}.DriverError"}
    assert exported.points("sessionstore_sql.retries") != []
    assert_kept_secret(exported.everything())


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "mysql", "mysql+asyncmy"])
async def test_the_password_is_kept(exported: Exported, scheme: str) -> None:
    """When there is no server, and none is let in."""
    url = URL.create(scheme, "app", PASSWORD, "127.0.0.1", 9, "shop")
    async with SQLSessionStore(url, telemetry=exported.telemetry()) as store:
        with pytest.raises(SessionStoreError):
            await store.load(IDS[0])

    (span,) = exported.spans("load")
    assert attributes(span)["server.address"] == "127.0.0.1"
    assert attributes(span)["sessionstore_sql.retries"] > 0
    assert_kept_secret(exported.everything())
