"""Two kinds of backends behind one interface, as the web layer needs them.

``AccountStorage`` works on an ``AccountSessionBackend``. ``PlainStorage`` works on a backend with
the seven operations only: it keeps to the same rules as far as those allow, but cannot tell
whether another request changed a session, and knows no users.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sessionstore_sql.accounts import UNCHANGED, AccountSessionBackend
from sessionstore_sql.backend import SessionStorageBackend
from sessionstore_sql.codec import JSONCodec
from sessionstore_sql.errors import SerializationError, UnknownIdError
from sessionstore_sql.records import SessionId, SessionRecord
from sessionstore_sql.web.loaded import LAG_KEY, Loaded

if TYPE_CHECKING:
    from sessionstore_sql.accounts import SessionHandle
    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.web.loaded import SignIn, Write

_AT_ONCE = timedelta(0)


class Storage(Protocol):
    """What the web layer does with sessions. Errors are those of the backend."""

    @property
    def backend(self) -> SessionStorageBackend:
        """The backend itself."""
        ...

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Return a live session."""
        ...

    async def create(self, new_id: SessionId, record: SessionRecord, idle_ttl: IdleTtl) -> None:
        """Store a new session that is not signed in."""
        ...

    async def update(self, loaded: Loaded, write: Write) -> None:
        """Store a session."""
        ...

    async def replace(self, loaded: Loaded, new_id: SessionId, write: Write) -> None:
        """Store a session under another id."""
        ...

    async def empty(self, loaded: Loaded, *, checked: bool) -> None:
        """Delete a session whose state has become empty."""
        ...

    async def end(self, loaded: Loaded) -> None:
        """Delete a session, if it is not gone already, under whatever id it has by now."""
        ...


class AccountStorage:
    """Sessions in an ``AccountSessionBackend``, which also has the seven operations."""

    def __init__(self, backend: SessionStorageBackend, accounts: AccountSessionBackend) -> None:
        self.backend = backend
        self.accounts = accounts

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Return a live session with its account."""
        at = time.monotonic()
        account = await self.accounts.load_session(session_id)
        if account is None:
            return None
        state: dict[str, Any] = account.record.state
        lag = state.pop(LAG_KEY, 0)
        return Loaded(
            session_id=session_id,
            state=state,
            remaining=account.record.ttl,
            at=at,
            account=account,
            lag=timedelta(seconds=lag),
        )

    async def create(self, new_id: SessionId, record: SessionRecord, idle_ttl: IdleTtl) -> None:
        """Store a new session; one with an idle time of its own in two steps."""
        if idle_ttl is None or idle_ttl is UNCHANGED:
            await self.backend.create(new_id, record)
            return
        # ``create`` takes no idle time. No client ever knows the first id.
        first_id = SessionId.generate()
        await self.backend.create(first_id, record)
        await self.accounts.replace(first_id, new_id, record, idle_ttl=idle_ttl)

    async def update(self, loaded: Loaded, write: Write) -> None:
        """Store a session."""
        session_id, version = loaded.session_id, _version_of(loaded)
        if not write.checked and write.idle_ttl is UNCHANGED:
            await self.backend.update(session_id, write.record)
            return
        if not write.checked:
            current = await self.accounts.load_session(session_id)
            version = version if current is None else current.version
        await self.accounts.update_if(session_id, write.record, version, idle_ttl=write.idle_ttl)

    async def replace(self, loaded: Loaded, new_id: SessionId, write: Write) -> None:
        """Store a session under another id, in one statement."""
        # A state that this request did not change is never put over another request's.
        version = _version_of(loaded) if write.checked or not write.changed else None
        await self.accounts.replace(
            loaded.session_id, new_id, write.record, version=version, idle_ttl=write.idle_ttl
        )

    async def sign_in(
        self, loaded: Loaded | None, new_id: SessionId, write: Write, sign_in: SignIn
    ) -> SessionHandle:
        """Store a session as that of a subject, in one statement."""
        return await self.accounts.sign_in(
            None if loaded is None else loaded.session_id,
            new_id,
            write.record,
            subject=sign_in.subject,
            about=sign_in.about,
            lifetime=sign_in.lifetime,
            max_sessions=sign_in.max_sessions,
            version=_version_of(loaded) if loaded is not None and write.checked else None,
            idle_ttl=write.idle_ttl,
        )

    async def empty(self, loaded: Loaded, *, checked: bool) -> None:
        """Delete a session, unless its state is another one by now."""
        if checked:
            ended = SessionRecord({}, _AT_ONCE)
            await self.accounts.update_if(loaded.session_id, ended, _version_of(loaded))
        with suppress(UnknownIdError):  # It has expired already, and the row is deleted now.
            await self.backend.delete(loaded.session_id)

    async def end(self, loaded: Loaded) -> None:
        """Delete a session under whatever id it has by now."""
        if loaded.account is None:
            with suppress(UnknownIdError):
                await self.backend.delete(loaded.session_id)
            return
        await self.accounts.sign_out(loaded.session_id, loaded.account)


class PlainStorage:
    """Sessions in a backend with the seven operations only."""

    def __init__(self, backend: SessionStorageBackend) -> None:
        self.backend = backend

    async def load(self, session_id: SessionId) -> Loaded | None:
        """Return a live session."""
        at = time.monotonic()
        record = await self.backend.load(session_id)
        if record is None:
            return None
        return Loaded(session_id=session_id, state=record.state, remaining=record.ttl, at=at)

    async def create(self, new_id: SessionId, record: SessionRecord, idle_ttl: IdleTtl) -> None:
        """Store a new session."""
        del idle_ttl
        await self.backend.create(new_id, record)

    async def update(self, loaded: Loaded, write: Write) -> None:
        """Store a session, whatever other requests have stored."""
        await self.backend.update(loaded.session_id, write.record)

    async def replace(self, loaded: Loaded, new_id: SessionId, write: Write) -> None:
        """Store a session under another id.

        The id changes first: if only one of the two statements happens, no state of a user who
        logged in is under an id that an attacker may have planted.
        """
        if write.changed:
            await self._require_storable(write.record)
        await self.backend.change_id(loaded.session_id, new_id)
        if write.changed:
            await self.backend.update(new_id, write.record)
        elif write.renews:
            await self.backend.update_ttl(new_id, write.record.ttl)

    async def empty(self, loaded: Loaded, *, checked: bool) -> None:
        """Delete a session."""
        del checked
        await self.backend.delete(loaded.session_id)

    async def end(self, loaded: Loaded) -> None:
        """Delete a session under the id with which it was loaded."""
        with suppress(UnknownIdError):
            await self.backend.delete(loaded.session_id)

    async def _require_storable(self, record: SessionRecord) -> None:
        """Raise ``SerializationError`` if ``update`` would, before anything is changed."""
        try:
            JSONCodec().encode(record.state)
        except SerializationError:
            # The backend may have a codec that stores more than JSON. It is asked with a session
            # that has expired as soon as it is stored, under an id that no client knows.
            trial = SessionRecord(record.state, _AT_ONCE)
            await self.backend.create(SessionId.generate(), trial)


def storage_for(backend: object) -> AccountStorage | PlainStorage:
    """Return the storage for a backend.

    Raises:
        TypeError: It has not even the seven operations.
    """
    # A class has the methods too, and is a mistake.
    if isinstance(backend, type) or not isinstance(backend, SessionStorageBackend):
        raise TypeError(f"store is a session store, not {type(backend).__name__}")
    if isinstance(backend, AccountSessionBackend):
        return AccountStorage(backend, backend)
    return PlainStorage(backend)


def _version_of(loaded: Loaded) -> int:
    assert loaded.account is not None, "loaded from an AccountSessionBackend"
    return loaded.account.version
