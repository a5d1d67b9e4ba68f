"""Stores that let another request happen at a chosen moment, and requests that do so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sessionstore_sql import SessionId, SessionRecord, SessionStorageBackend
from sessionstore_sql.testing import MemorySessionStore
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.presented import Presented, ids_in
from sessionstore_sql.web.request_session import RequestSession
from sessionstore_sql.web.sessions import Sessions
from tests.unit.memory_backend import MemoryBackend

Event = Callable[[], Awaitable[object]]

OPERATIONS = (
    *("create", "update", "update_ttl", "load", "delete", "change_id"),
    *("sign_in", "load_session", "sessions_of", "revoke", "sign_out", "replace", "update_if"),
)


class Script:
    """What happens before and after operations of a store, and which were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.before: dict[str, list[Event]] = {}
        self.after: dict[str, list[Event]] = {}

    async def run(self, operation: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call, with what happens before and after it. Each event happens once."""
        self.calls.append(operation)
        for event in self.before.pop(operation, []):
            await event()
        result = await call()
        for event in self.after.pop(operation, []):
            await event()
        return result


class ScriptedStore(MemorySessionStore):
    """Both protocols, with a script."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.script = Script()


class ScriptedBackend(MemoryBackend):
    """The seven operations only, with a script."""

    def __init__(self) -> None:
        super().__init__()
        self.script = Script()


def _scripted(parent: type, name: str) -> Callable[..., Awaitable[Any]]:
    operation = getattr(parent, name)

    async def scripted(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await self.script.run(name, lambda: operation(self, *args, **kwargs))

    return scripted


for _name in OPERATIONS:
    setattr(ScriptedStore, _name, _scripted(MemorySessionStore, _name))
    if hasattr(MemoryBackend, _name):
        setattr(ScriptedBackend, _name, _scripted(MemoryBackend, _name))


AnyStore = ScriptedStore | ScriptedBackend


def presenting(*session_ids: SessionId | None) -> Presented:
    """Return what a request presents."""
    return ids_in([each.value.encode() for each in session_ids if each is not None])


async def begin(
    sessions: Sessions, session_id: SessionId | None = None
) -> tuple[RequestSession, dict[str, Any]]:
    """Return the session of a request, and its state."""
    session = await sessions.begin(presenting(session_id))
    return session, session.state


async def stored(
    store: MemorySessionStore | MemoryBackend,
    state: dict[str, Any],
    ttl: timedelta = timedelta(days=14),
) -> SessionId:
    """Store an anonymous session, and return its id."""
    session_id = SessionId.generate()
    await store.create(session_id, SessionRecord(state, ttl))
    return session_id


async def state_of(
    store: MemorySessionStore | MemoryBackend, session_id: SessionId | None
) -> dict[str, Any] | None:
    """Return what is stored under an id."""
    assert session_id is not None
    record = await store.load(session_id)
    return None if record is None else record.state


async def change(
    store: SessionStorageBackend,
    session_id: SessionId | None,
    options: SessionOptions | None = None,
    /,
    **values: Any,
) -> SessionId | None:
    """Make a request that sets keys, and return the id that its response sets."""
    session, state = await begin(Sessions(store, options), session_id)
    return (await session.finish({**state, **values})).session_id


async def log_in(store: SessionStorageBackend, session_id: SessionId | None) -> SessionId:
    """Make a request that rotates the id, and return the new one."""
    session, state = await begin(Sessions(store), session_id)
    session.rotate()
    outcome = await session.finish({**state, "user": "ada"})
    assert outcome.session_id is not None
    return outcome.session_id


async def log_out(store: SessionStorageBackend, session_id: SessionId) -> None:
    """Make a request that ends the session."""
    session, _ = await begin(Sessions(store), session_id)
    session.invalidate()
    await session.finish({})


def number_of_rows(store: AnyStore) -> int:
    """Return how many rows there are."""
    return len(store.rows if isinstance(store, ScriptedBackend) else store._table._rows)


async def signed_in(store: ScriptedStore, **state: Any) -> SessionId:
    """Sign in, and return the id."""
    session, _ = await begin(Sessions(store))
    session.sign_in("ada")
    outcome = await session.finish({"user": "ada", **state})
    assert outcome.session_id is not None
    return outcome.session_id
