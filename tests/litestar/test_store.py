"""``SQLStore`` as Litestar wants a store to be, on every database."""

from __future__ import annotations

import asyncio
import string
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import (
    DeserializationError,
    LoadError,
    SessionId,
    SQLSessionStore,
    migrate,
    state_prefixes,
)
from sessionstore_sql.litestar import SQLStore
from sessionstore_sql.testing.support import fails, record

pytestmark = pytest.mark.anyio

EVERY_BYTE = bytes(range(256))
KEYS = [
    *string.punctuation,
    "",
    " ",
    "..",
    "a/../b",
    "trailing ",
    "naïve",
    "nai\u0308ve",
    "日本語",
    "\N{PILE OF POO}",
    "\0",
    "a\0b",
    "\ud800",
    "x" * 5_000,
]


async def let_pass(cache: SQLStore, seconds: float) -> None:
    """Make every row so much older."""
    async with cache._rows.engine.begin() as connection:
        await connection.execute(
            text("UPDATE sessionstore_sessions SET deadline = deadline - :microseconds"),
            {"microseconds": int(seconds * 1_000_000)},
        )


async def count_rows(engine: AsyncEngine) -> int:
    """Return the number of rows in the table."""
    async with engine.connect() as connection:
        count: int = await connection.scalar(text("SELECT COUNT(*) FROM sessionstore_sessions"))
    return count


async def test_a_missing_key_has_no_value(cache: SQLStore) -> None:
    """``get`` of what was never set is ``None``."""
    assert await cache.get("key") is None


@pytest.mark.parametrize(
    "value", [b"", b"value", EVERY_BYTE, EVERY_BYTE * 1_000], ids=["empty", "few", "all", "many"]
)
@pytest.mark.parametrize("expires_in", [None, 60, timedelta(seconds=60)])
async def test_bytes_come_back_as_they_were(
    cache: SQLStore, value: bytes, expires_in: int | timedelta | None
) -> None:
    """Any bytes are a value, whether they expire or not."""
    await cache.set("key", value, expires_in)

    assert await cache.get("key") == value


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_what_is_like_bytes_is_taken_as_bytes(
    cache: SQLStore, kind: type[bytearray | memoryview]
) -> None:
    """The value is copied when it is set."""
    await cache.set("key", kind(b"value"))  # type: ignore[arg-type]

    assert await cache.get("key") == b"value"


@pytest.mark.parametrize("value", ["", "value", "日本語 \0"])
async def test_text_comes_back_as_utf_8(cache: SQLStore, value: str) -> None:
    """A store returns bytes, whatever it was given."""
    await cache.set("key", value)

    assert await cache.get("key") == value.encode()


async def test_setting_again_replaces_value_and_expiry(cache: SQLStore) -> None:
    """Nothing of the earlier entry stays."""
    await cache.set("key", b"a long first value", expires_in=10)

    await cache.set("key", b"second")

    assert await cache.get("key") == b"second"
    assert await cache.expires_in("key") == -1


async def test_keys_are_any_text(cache: SQLStore) -> None:
    """Every key has a value of its own, whatever its case, spaces, accents and length."""
    keys = [*KEYS, *string.ascii_letters]
    for number, key in enumerate(keys):
        await cache.set(key, str(number))

    values = [await cache.get(key) for key in keys]

    assert values == [str(number).encode() for number in range(len(keys))]


async def test_an_expired_entry_is_gone(cache: SQLStore) -> None:
    """For ``get``, ``exists`` and ``expires_in`` alike."""
    await cache.set("key", b"value", expires_in=1)

    await let_pass(cache, 2)

    assert await cache.get("key") is None
    assert await cache.exists("key") is False
    assert await cache.expires_in("key") is None


async def test_an_expired_entry_is_replaced(cache: SQLStore) -> None:
    """``set`` takes no notice of it."""
    await cache.set("key", b"first", expires_in=1)
    await let_pass(cache, 2)

    await cache.set("key", b"second", expires_in=60)

    assert await cache.get("key") == b"second"


@pytest.mark.parametrize("renew_for", [10, timedelta(seconds=10)])
async def test_get_renews(cache: SQLStore, renew_for: int | timedelta) -> None:
    """The entry lives for so long from the time it is read."""
    await cache.set("key", b"value", expires_in=1)

    assert await cache.get("key", renew_for=renew_for) == b"value"

    await let_pass(cache, 2)
    assert await cache.get("key") == b"value"
    assert await cache.expires_in("key") == 8


async def test_get_alone_leaves_the_expiry_alone(cache: SQLStore) -> None:
    """Without ``renew_for`` a reader keeps nothing alive."""
    await cache.set("key", b"value", expires_in=10)
    await let_pass(cache, 5)

    await cache.get("key")

    assert await cache.expires_in("key") == 5


async def test_get_does_not_end_what_never_expires(cache: SQLStore) -> None:
    """Renewing is for what has an expiry."""
    await cache.set("key", b"value")

    await cache.get("key", renew_for=10)

    await let_pass(cache, 20)
    assert await cache.get("key") == b"value"
    assert await cache.expires_in("key") == -1


async def test_get_does_not_revive(cache: SQLStore) -> None:
    """An expired value is not renewed."""
    await cache.set("key", b"value", expires_in=1)
    await let_pass(cache, 2)

    assert await cache.get("key", renew_for=10) is None

    assert await cache.exists("key") is False


async def test_get_does_not_revive_what_expired_meanwhile(
    cache: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its reading and its renewing the life ends, and others have seen it end."""
    await cache.set("key", b"value", expires_in=1)
    update_if = cache._rows.update_if

    async def renew_after_the_end(*arguments: Any) -> int:
        await let_pass(cache, 2)
        return await update_if(*arguments)

    monkeypatch.setattr(cache._rows, "update_if", renew_after_the_end)

    assert await cache.get("key", renew_for=10) == b"value"

    assert await cache.exists("key") is False


@pytest.mark.parametrize("renew_for", [0, timedelta(0)])
async def test_get_can_be_the_last(cache: SQLStore, renew_for: int | timedelta) -> None:
    """Zero is a life, and not the lack of one."""
    await cache.set("key", b"value", expires_in=60)

    assert await cache.get("key", renew_for=renew_for) == b"value"

    assert await cache.get("key") is None


@pytest.mark.parametrize("expires_in", [None, 60])
async def test_get_does_not_renew_what_was_set_meanwhile(
    cache: SQLStore, monkeypatch: pytest.MonkeyPatch, expires_in: int | None
) -> None:
    """Between its reading and its renewing, someone sets another value, or the same for longer."""
    await cache.set("key", b"value", expires_in=10)
    update_if = cache._rows.update_if

    async def renew_after_a_set(*arguments: Any) -> int:
        await cache.set("key", b"value", expires_in)
        return await update_if(*arguments)

    monkeypatch.setattr(cache._rows, "update_if", renew_after_a_set)

    assert await cache.get("key", renew_for=5) == b"value"

    assert await cache.expires_in("key") == (-1 if expires_in is None else expires_in)


async def test_an_entry_is_renewed_by_all_who_read_it(cache: SQLStore) -> None:
    """One renewing doesn't stop the next."""
    await cache.set("key", b"value", expires_in=10)

    await cache.get("key", renew_for=20)
    await cache.get("key", renew_for=30)

    assert await cache.expires_in("key") == 30


async def test_delete_removes(cache: SQLStore) -> None:
    """The key is missing afterwards."""
    await cache.set("key", b"value", 60)

    await cache.delete("key")

    assert await cache.get("key") is None


async def test_delete_of_a_missing_key_does_nothing(cache: SQLStore) -> None:
    """Nor does it complain."""
    await cache.delete("key")


async def test_exists_tells(cache: SQLStore) -> None:
    """Whether there is a value, an empty one included."""
    assert await cache.exists("key") is False

    await cache.set("key", b"")

    assert await cache.exists("key") is True


async def test_expires_in_tells_missing_never_and_how_long(cache: SQLStore) -> None:
    """``None``, -1, or seconds."""
    assert await cache.expires_in("key") is None

    await cache.set("key", b"value")
    assert await cache.expires_in("key") == -1

    await cache.set("key", b"value", expires_in=10)
    assert await cache.expires_in("key") == 10


async def test_seconds_are_rounded_up(cache: SQLStore) -> None:
    """A live key never has zero seconds left."""
    await cache.set("key", b"value", expires_in=timedelta(seconds=10))
    await let_pass(cache, 9.2)

    assert await cache.expires_in("key") == 1


@pytest.mark.parametrize("expires_in", [0, timedelta(0)])
async def test_zero_is_over_at_once(cache: SQLStore, expires_in: int | timedelta) -> None:
    """Zero is a life, and not the lack of one."""
    await cache.set("key", b"first")

    await cache.set("key", b"second", expires_in)

    assert await cache.get("key") is None


@pytest.mark.parametrize("expires_in", [10**18, timedelta.max])
async def test_longer_than_a_hundred_years_is_a_hundred_years(
    cache: SQLStore, expires_in: int | timedelta
) -> None:
    """A longer lifetime is reduced to the maximum without an error."""
    await cache.set("key", b"value", expires_in)

    seconds = await cache.expires_in("key")

    assert seconds == 36_525 * 24 * 60 * 60


@pytest.mark.parametrize("life", [-1, timedelta(seconds=-1)])
async def test_a_negative_lifetime_is_rejected(cache: SQLStore, life: int | timedelta) -> None:
    """And nothing is changed."""
    await cache.set("key", b"value", 60)

    with pytest.raises(ValueError, match="ttl"):
        await cache.set("key", b"other", life)
    with pytest.raises(ValueError, match="ttl"):
        await cache.get("key", renew_for=life)

    assert await cache.get("key") == b"value"
    assert await cache.expires_in("key") == 60


async def test_delete_all_leaves_nothing(cache: SQLStore) -> None:
    """Neither of what expires, nor of what doesn't."""
    keys = [f"key-{number}" for number in range(10)]
    for number, key in enumerate(keys):
        await cache.set(key, b"value", expires_in=10 if number % 2 else None)

    await cache.delete_all()

    assert [await cache.get(key) for key in keys] == [None] * 10


@pytest.mark.parametrize("entries", [0, 5, 6, 7, 13])
async def test_delete_all_goes_page_by_page(
    url: URL, store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    """It finds every entry, whether pages are full, or hold nothing but other people's rows."""
    monkeypatch.setattr(state_prefixes, "_PAGE", 3)
    cache = SQLStore(url, namespace="cache")
    for number in range(entries):
        await cache.set(f"key-{number}", b"value")
        await store.create(SessionId.generate(), record())

    await cache.delete_all()

    assert await count_rows(store.engine) == entries
    await cache.aclose()


async def test_delete_all_leaves_sessions_alone(cache: SQLStore, store: SQLSessionStore) -> None:
    """In the same table, one doesn't sign people out by clearing a cache."""
    session_id = SessionId.generate()
    await store.create(session_id, record(user="ada"))
    await cache.set("key", b"value")

    await cache.delete_all()

    assert await store.load(session_id) is not None


async def test_namespaces_are_apart(cache: SQLStore) -> None:
    """The same key in another namespace is another entry."""
    child = cache.with_namespace("child")

    await cache.set("key", b"of the parent")
    await child.set("key", b"of the child")

    assert await cache.get("key") == b"of the parent"
    assert await child.get("key") == b"of the child"


async def test_delete_all_goes_down(cache: SQLStore) -> None:
    """What is in the namespaces below goes as well."""
    child = cache.with_namespace("child")
    grandchild = child.with_namespace("grandchild")
    for each in (cache, child, grandchild):
        await each.set("key", b"value")

    await cache.delete_all()

    assert [await each.get("key") for each in (cache, child, grandchild)] == [None] * 3


async def test_delete_all_does_not_go_up_or_aside(cache: SQLStore, url: URL) -> None:
    """What is above, beside, or has a similar name stays."""
    child = cache.with_namespace("child")
    others = [
        cache,
        cache.with_namespace("children"),
        cache.with_namespace("chil"),
        cache.with_namespace("").with_namespace("child"),
        SQLStore(url, namespace="cachechild"),
        SQLStore(url, namespace="child"),
    ]
    for each in (child, *others):
        await each.set("key", b"value")

    await child.delete_all()

    assert await child.get("key") is None
    assert [await each.get("key") for each in others] == [b"value"] * len(others)
    for each in others:
        await each.aclose()


def test_a_namespace_knows_its_path(url: URL) -> None:
    """From the root down."""
    cache = SQLStore(url, namespace="cache")

    assert cache.with_namespace("a").with_namespace("b").namespace.path == ("cache", "a", "b")
    assert cache.namespace.path == ("cache",)


async def test_one_namespace_is_shared_by_all_stores_of_its_name(cache: SQLStore, url: URL) -> None:
    """As by the processes of one application."""
    other = SQLStore(url, namespace="cache")
    await cache.set("key", b"value")

    assert await other.get("key") == b"value"

    await other.aclose()


async def test_of_sets_at_once_the_last_one_stays(cache: SQLStore) -> None:
    """Concurrent sets never fail, and the stored value is one of them."""
    for key in ("new", "new", "other"):
        values = [f"value-{number}".encode() for number in range(20)]

        await asyncio.gather(*(cache.set(key, value, 60) for value in values))

        assert await cache.get(key) in values


async def test_sets_and_deletes_at_once_do_not_fail(cache: SQLStore, url: URL) -> None:
    """Several stores are used, so that their calls are not coalesced."""
    others = [SQLStore(url, namespace="cache") for _ in range(3)]

    await asyncio.gather(
        *(each.set("key", b"value", 60) for each in others for _ in range(5)),
        *(each.delete("key") for each in others for _ in range(5)),
    )

    assert await cache.get("key") in {b"value", None}
    for each in others:
        await each.aclose()


async def test_delete_all_beside_sets_does_not_fail(cache: SQLStore, url: URL) -> None:
    """What was there when it began is gone; what is set meanwhile may be."""
    other = SQLStore(url, namespace="cache")
    await cache.set("early", b"value")

    await asyncio.gather(cache.delete_all(), *(other.set(f"key-{n}", b"value") for n in range(20)))

    assert await cache.get("early") is None
    await other.aclose()


async def test_delete_expired_removes_rows(cache: SQLStore, store: SQLSessionStore) -> None:
    """Only expired values are deleted, at most one batch."""
    for number in range(5):
        await cache.set(f"key-{number}", b"value", expires_in=1)
    await let_pass(cache, 2)
    await cache.set("live", b"value", expires_in=1)

    assert await cache.delete_expired(batch_size=2) == 2
    assert await cache.delete_expired() == 3

    assert await count_rows(store.engine) == 1


async def test_an_entry_is_no_session(cache: SQLStore, store: SQLSessionStore) -> None:
    """The id of a cached value does not work as a cookie."""
    await cache.set("key", b'{"user": "admin"}')

    with fails(LoadError, DeserializationError):
        await store.load(cache.namespace.id_of("key"))


async def test_a_session_is_no_entry(cache: SQLStore, store: SQLSessionStore) -> None:
    """A row with another format is an error, and is kept."""
    session_id = cache.namespace.id_of("key")
    await store.create(session_id, record(user="ada"))

    for read in (cache.get, cache.exists, cache.expires_in):
        with fails(LoadError, DeserializationError):
            await read("key")

    assert await store.load(session_id) is not None


async def test_a_table_of_its_own(url: URL, store: SQLSessionStore) -> None:
    """Made by the same migrations under another name."""
    await migrate.upgrade(url, table="litestar_cache")
    cache = SQLStore(url, namespace="cache", table="litestar_cache")

    await cache.set("key", b"value")

    assert await cache.get("key") == b"value"
    assert await count_rows(store.engine) == 0
    await cache.delete_all()
    assert await cache.get("key") is None
    await cache.aclose()


async def test_an_engine_that_was_given_stays_open(host_engine: AsyncEngine, url: URL) -> None:
    """It is the application's; and its transactions commit what the store did."""
    async with SQLStore(host_engine, namespace="host"):
        pass
    cache = SQLStore(host_engine, namespace="host")
    other = SQLStore(url, namespace="host")

    await cache.set("key", b"value", 60)
    await cache.get("key", renew_for=120)

    assert await other.expires_in("key") == 120
    await cache.delete_all()
    assert await other.get("key") is None
    await other.aclose()
