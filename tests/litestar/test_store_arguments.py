"""Arguments that ``SQLStore`` rejects, and when it gives up; no database is needed."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore_sql import DatabaseError, DuplicateIdError, UnknownIdError, UpdateError
from sessionstore_sql.litestar import SQLStore
from sessionstore_sql.litestar.entries import Entry
from sessionstore_sql.testing.support import fails

pytestmark = pytest.mark.anyio


@pytest.fixture
def cache() -> SQLStore:
    """A store that is never asked for anything."""
    return SQLStore("sqlite://", namespace="cache")


@pytest.mark.parametrize("value", [None, 5, ["value"], {"a": 1}])
async def test_a_value_is_bytes_or_text(cache: SQLStore, value: Any) -> None:
    """A number is not so many zero bytes."""
    with pytest.raises(TypeError, match="a value is bytes or a str"):
        await cache.set("key", value)


async def test_text_is_encodable(cache: SQLStore) -> None:
    """A lone surrogate has no UTF-8; and the error does not show the text."""
    with pytest.raises(ValueError, match="encodable as UTF-8") as caught:
        await cache.set("key", "secret \ud800")

    assert "secret" not in repr(caught.value.args)


@pytest.mark.parametrize("key", [None, 5, b"key"])
async def test_a_key_is_text(cache: SQLStore, key: Any) -> None:
    """In every operation."""
    for call in (cache.get, cache.delete, cache.exists, cache.expires_in):
        with pytest.raises(TypeError, match="keys and namespaces are str"):
            await call(key)
    with pytest.raises(TypeError, match="keys and namespaces are str"):
        await cache.set(key, b"value")


@pytest.mark.parametrize("name", [None, 5, b"name"])
def test_a_namespace_is_text(cache: SQLStore, name: Any) -> None:
    """Above and below."""
    with pytest.raises(TypeError, match="keys and namespaces are str"):
        SQLStore("sqlite://", namespace=name)
    with pytest.raises(TypeError, match="keys and namespaces are str"):
        cache.with_namespace(name)


async def test_set_gives_up_on_a_restless_key(
    cache: SQLStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the key keeps changing, the caller gets an error."""
    calls = []

    async def update(session_id: Any, record: Any) -> None:
        calls.append("update")
        raise UnknownIdError(session_id)

    async def create(session_id: Any, record: Any) -> None:
        calls.append("create")
        raise DuplicateIdError(session_id)

    monkeypatch.setattr(cache._rows, "update", update)
    monkeypatch.setattr(cache._rows, "create", create)

    with fails(UpdateError, DatabaseError) as caught:
        await cache.set("key", b"value")

    assert caught.value.transient  # type: ignore[attr-defined]
    assert calls == ["update", "create"] * 10


def test_an_entry_is_recognised_by_its_beginning(cache: SQLStore) -> None:
    """A row can be read by hand: it names its namespace and key."""
    entry = Entry.new(cache.with_namespace("prices").namespace, b"value", expires=True)

    assert entry.header.startswith(b"\0litestar\0\0\0\5cache\0\0\0\6prices\xff\1")


def test_an_entry_hides_itself(cache: SQLStore) -> None:
    """Values are no business of logs."""
    entry = Entry.new(cache.namespace, b"secret", expires=True)

    assert "secret" not in repr(entry)
