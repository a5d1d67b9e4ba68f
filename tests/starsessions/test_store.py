"""The store for starsessions: its interface, and the rules that the interface allows."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starsessions import JsonSerializer, SessionStore

from sessionstore_sql import DeserializationError, SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql.starsessions import SQLStore
from sessionstore_sql.testing.support import HOUR

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
DATA = b'{"user": 1, "__metadata__": {"lifetime": 60}}'


@pytest.fixture
def stars(store: SQLSessionStore) -> SQLStore:
    """The sessions of starsessions, on an empty table."""
    return SQLStore(store)


async def written(stars: SQLStore, data: bytes = DATA) -> str:
    """Return the id of a new session."""
    return await stars.write("made-by-starsessions", data, lifetime=60, ttl=60)


async def elsewhere(call: Any) -> Any:
    """Return the result of ``call`` in another request, which has its own context."""
    return await asyncio.create_task(call)


async def life(store: SQLSessionStore, session_id: str) -> float:
    """Return the remaining seconds of a session."""
    record = await store.load(SessionId(session_id))
    assert record is not None
    return record.ttl.total_seconds()


async def test_it_is_a_store_of_starsessions(stars: SQLStore) -> None:
    """The class is a ``SessionStore`` of starsessions."""
    assert isinstance(stars, SessionStore)


@pytest.mark.parametrize(
    "data",
    [
        DATA,
        b"{}",
        b"",
        b"data",
        b"\x00\xff\xfe",
        bytes(range(256)),
        b'{"a":1}',
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b'{"a": 36893488147419103232}',
        b'{"starsessions.bytes": "YQ=="}',
        b"[1]",
        b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        '{"a": "\N{SNOWMAN}"}'.encode(),
        pickle.dumps({"user": 1}),
        JsonSerializer().serialize({"имя": "Ада 😀", "b": [1.5, None, True, -0.0, 1e22]}),
    ],
    ids=range(17),
)
async def test_bytes_come_back_as_they_were(stars: SQLStore, data: bytes) -> None:
    """Any output of a serializer is read unchanged."""
    session_id = await written(stars, data)

    assert await stars.read(session_id, lifetime=60) == data


async def test_json_is_stored_as_json(stars: SQLStore, store: SQLSessionStore) -> None:
    """JSON is stored as JSON, so that other adapters can read it."""
    record = await store.load(SessionId(await written(stars)))

    assert record is not None
    assert record.state == {"user": 1, "__metadata__": {"lifetime": 60}}


async def test_json_that_others_stored_is_read(stars: SQLStore, store: SQLSessionStore) -> None:
    """JSON that other adapters stored is read in the format of starsessions' serializer."""
    state: dict[str, Any] = {"starsessions.bytes": "YQ==", "user": "ada"}
    await store.create(SessionId("theirs"), SessionRecord(state, HOUR))

    assert json.loads(await stars.read("theirs", lifetime=60)) == state


async def test_a_second_write_replaces_the_first(stars: SQLStore) -> None:
    """A second write with the same id replaces the first."""
    session_id = await written(stars)

    assert await stars.write(session_id, b"new", lifetime=60, ttl=60) == session_id
    assert await stars.read(session_id, lifetime=60) == b"new"


@pytest.mark.parametrize("session_id", ["unknown", "", "x" * 1_025, "surrogate \ud800"])
async def test_an_unknown_id_has_no_data(stars: SQLStore, session_id: str) -> None:
    """An unknown or invalid id has no data, and removing it is no error."""
    assert await stars.read(session_id, lifetime=60) == b""
    await stars.remove(session_id)


@pytest.mark.parametrize("session_id", ["planted", "", "x" * 1_025, "surrogate \ud800"])
async def test_an_unknown_id_is_never_adopted(stars: SQLStore, session_id: str) -> None:
    """A session that is written with an unknown id gets a new one."""
    await stars.read(session_id, lifetime=60)

    new_id = await stars.write(session_id, DATA, lifetime=60, ttl=60)

    assert new_id != session_id
    assert await stars.read(new_id, lifetime=60) == DATA
    assert await stars.read(session_id, lifetime=60) == b""


async def test_a_removed_session_is_gone(stars: SQLStore) -> None:
    """A removed session has no data."""
    session_id = await written(stars)

    await stars.remove(session_id)

    assert await stars.read(session_id, lifetime=60) == b""


async def test_a_late_write_revives_nothing(stars: SQLStore, store: SQLSessionStore) -> None:
    """Writing a session that was removed since it was read stores nothing."""
    session_id = await written(stars)
    await stars.read(session_id, lifetime=60)
    await elsewhere(stars.remove(session_id))

    assert await stars.write(session_id, b"late", lifetime=60, ttl=60) == session_id

    assert await stars.read(session_id, lifetime=60) == b""
    assert await store.delete_expired() == 0


async def test_an_expired_session_is_not_revived(stars: SQLStore, store: SQLSessionStore) -> None:
    """Writing a session that has expired since it was read stores nothing."""
    session_id = await written(stars)
    await stars.read(session_id, lifetime=60)
    await store.update_ttl(SessionId(session_id), timedelta(0))

    assert await stars.write(session_id, b"late", lifetime=60, ttl=60) == session_id

    assert await stars.read(session_id, lifetime=60) == b""


async def test_a_write_without_a_read_gets_a_new_id(stars: SQLStore) -> None:
    """A read in another context is unknown, so a late write creates a session."""
    session_id = await written(stars)
    await elsewhere(stars.read(session_id, lifetime=60))
    await stars.remove(session_id)

    new_id = await stars.write(session_id, b"late", lifetime=60, ttl=60)

    assert new_id != session_id
    assert await stars.read(session_id, lifetime=60) == b""


async def test_a_new_session_is_not_taken_for_the_last_one(stars: SQLStore) -> None:
    """If requests share a context, a new session is not confused with the previous one."""
    first = await written(stars)
    await stars.read(first, lifetime=60)
    second = await written(stars, b"second")

    assert second != first
    assert await stars.read(first, lifetime=60) == DATA
    assert await stars.read(second, lifetime=60) == b"second"


async def test_a_session_that_ended_before_the_request_is_a_new_one(stars: SQLStore) -> None:
    """A session that ended before the request is new, even if the context has read it."""
    session_id = await written(stars)
    await stars.read(session_id, lifetime=60)
    await stars.remove(session_id)
    await stars.read(session_id, lifetime=60)

    new_id = await stars.write(session_id, b"new", lifetime=60, ttl=60)

    assert new_id != session_id
    assert await stars.read(new_id, lifetime=60) == b"new"


async def test_the_ttl_counts(stars: SQLStore, store: SQLSessionStore) -> None:
    """The ttl of ``write`` decides, not the lifetime."""
    session_id = await stars.write("new", DATA, lifetime=10_000, ttl=1_000)

    assert 900 < await life(store, session_id) <= 1_000


@pytest.mark.parametrize("ttl", [0, -5])
async def test_a_session_without_time_left_is_over(stars: SQLStore, ttl: int) -> None:
    """A session without remaining time expires at once."""
    session_id = await stars.write("new", DATA, lifetime=60, ttl=ttl)

    assert await stars.read(session_id, lifetime=60) == b""


async def test_the_longest_life_is_a_hundred_years(stars: SQLStore, store: SQLSessionStore) -> None:
    """A longer lifetime is reduced to a hundred years."""
    session_id = await stars.write("new", DATA, lifetime=10**11, ttl=10**11)

    assert 36_524 < await life(store, session_id) / 86_400 <= 36_525


async def test_a_session_of_the_browsers_lives_thirty_days(
    stars: SQLStore, store: SQLSessionStore
) -> None:
    """A session that ends with the browser is stored for thirty days."""
    session_id = await stars.write("new", DATA, lifetime=0, ttl=0)

    assert 29 < await life(store, session_id) / 86_400 <= 30


async def test_a_session_of_the_browsers_lives_as_configured(store: SQLSessionStore) -> None:
    """``session_only_ttl`` replaces the thirty days."""
    stars = SQLStore(store, session_only_ttl=HOUR)

    session_id = await stars.write("new", DATA, lifetime=0, ttl=0)

    assert 3_500 < await life(store, session_id) <= 3_600


async def test_a_wrong_ttl_is_rejected(store: SQLSessionStore) -> None:
    """A wrong ttl is rejected when the store is created."""
    with pytest.raises(ValueError, match="between"):
        SQLStore(store, session_only_ttl=timedelta(seconds=-1))
    with pytest.raises(TypeError, match="timedelta"):
        SQLStore(store, session_only_ttl=60)  # type: ignore[arg-type]


async def test_what_cannot_be_decoded_is_an_error(stars: SQLStore) -> None:
    """A session that cannot be decoded is an error, not an empty session."""

    class Broken:
        def encode(self, _state: Any) -> bytes:
            return b"{}"

        def decode(self, _data: bytes) -> Any:
            raise DeserializationError("broken")

    session_id = await written(stars)
    engine = stars._store.engine  # type: ignore[attr-defined]

    async with SQLSessionStore(engine, codec=Broken()) as broken:
        with pytest.raises(DeserializationError):
            await SQLStore(broken).read(session_id, lifetime=60)


def test_missing_starsessions_are_named() -> None:
    """If starsessions is not installed, the error names the extra."""
    script = "import sys; sys.modules['starsessions'] = None; import sessionstore_sql.starsessions"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert "pip install 'sessionstore-sql[starsessions]'" in done.stderr.splitlines()[-1]
