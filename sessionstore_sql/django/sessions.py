"""``SessionStore``: Django's session interface on this store."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.sessions.backends.base import (
    VALID_KEY_CHARS,
    CreateError,
    SessionBase,
    UpdateError,
)
from django.contrib.sessions.exceptions import SessionInterrupted
from django.utils.crypto import get_random_string

from sessionstore_sql.codec import JSONCodec
from sessionstore_sql.django.process import result_of, wait_for
from sessionstore_sql.errors import (
    DeserializationError,
    DuplicateIdError,
    SerializationError,
    UnknownIdError,
)
from sessionstore_sql.records import MAX_TTL, SessionId, SessionRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sessionstore_sql.store import SQLSessionStore

_log = logging.getLogger(__name__)

_KEY_LENGTH = 32
"""Characters of a new key, 165 bits. Django's own length: applications keep keys in columns of
40 characters, as Django's model has it."""

_INTERRUPTED = (
    "The session was deleted, or expired, while this request was answered; by a logout in another "
    "request, for example."
)


class SessionStore(SessionBase):
    """One session, as ``request.session``.

    It behaves as Django's own database backend, with these differences:

    - ``cycle_key`` changes the key of the stored session in one statement: at no moment are both
      keys live, or neither. Where the session was deleted meanwhile it raises
      ``SessionInterrupted``, which Django answers with 400, and revives nothing.
    - ``save`` of a session that nobody has changed only extends its life, and so undoes no
      other request's change: what ``SESSION_SAVE_EVERY_REQUEST`` comes to most of the time.
    - Values that JSON would alter are refused when the session is saved, with their path.
    - A stored session that cannot be decoded is an empty one for this request and logged, and is
      never overwritten.

    Whatever the database refuses is ``sessionstore_sql.DatabaseError``. A session is written in
    a transaction of its own, not in the request's.
    """

    _known: bytes | None = None
    """What is stored under this key as far as this object has seen, for comparing; ``None``
    where it hasn't met the session there, empty where it is not JSON."""

    # Django's; its stubs leave them out.
    _get_session: Callable[..., dict[str, Any]]
    _aget_session: Callable[..., Coroutine[Any, Any, dict[str, Any]]]

    def load(self) -> dict[str, Any]:
        """Return the stored session; where the key is not live, nothing, and forget the key."""
        return wait_for(self._load)

    async def aload(self) -> dict[str, Any]:
        """Do as ``load`` does."""
        return await result_of(self._load)

    def exists(self, session_key: str) -> bool:
        """Return whether the key is live."""
        return wait_for(_exists, session_key)

    async def aexists(self, session_key: str) -> bool:
        """Do as ``exists`` does."""
        return await result_of(_exists, session_key)

    def create(self) -> None:
        """Store this session under a new key."""
        state = self._get_session(no_load=True)
        wait_for(self._create_anew, state, _ttl(self.get_expiry_age()))

    async def acreate(self) -> None:
        """Do as ``create`` does."""
        state = await self._aget_session(no_load=True)
        await result_of(self._create_anew, state, _ttl(await self.aget_expiry_age()))

    def save(self, must_create: bool = False) -> None:
        """Store this session under its key, or a new one where it has none.

        Args:
            must_create: Whether the key has to be new.

        Raises:
            CreateError: It has to be, and is live.
            UpdateError: It is not live, without ``must_create``. Nothing was stored: a session
                that was deleted meanwhile is not revived.
            SerializationError: A value is not JSON; the message says where.
        """
        if self.session_key is None:
            self.create()
            return
        state = self._get_session(no_load=must_create)
        write = self._create if must_create else self._update
        wait_for(write, state, _ttl(self.get_expiry_age()))

    async def asave(self, must_create: bool = False) -> None:
        """Do as ``save`` does."""
        if self.session_key is None:
            await self.acreate()
            return
        state = await self._aget_session(no_load=must_create)
        write = self._create if must_create else self._update
        await result_of(write, state, _ttl(await self.aget_expiry_age()))

    def delete(self, session_key: str | None = None) -> None:
        """Delete this session, or the one with that key; where there is none, do nothing."""
        wait_for(_delete, self.session_key if session_key is None else session_key)

    async def adelete(self, session_key: str | None = None) -> None:
        """Do as ``delete`` does."""
        await result_of(_delete, self.session_key if session_key is None else session_key)

    def cycle_key(self) -> None:
        """Give this session a new key, at once and for everybody; its data stay.

        Raises:
            SessionInterrupted: It was deleted, or has expired, since it was loaded.
        """
        state = self._get_session()
        wait_for(self._cycle_key, state, _ttl(self.get_expiry_age()))

    async def acycle_key(self) -> None:
        """Do as ``cycle_key`` does."""
        state = await self._aget_session()
        await result_of(self._cycle_key, state, _ttl(await self.aget_expiry_age()))

    @classmethod
    def clear_expired(cls) -> None:
        """Remove expired sessions, in batches; what ``manage.py clearsessions`` calls."""
        wait_for(_delete_expired)

    @classmethod
    async def aclear_expired(cls) -> None:
        """Do as ``clear_expired`` does."""
        await result_of(_delete_expired)

    def _get_new_session_key(self) -> str:
        # Django asks the database whether the key is free. Here creating it will tell.
        return get_random_string(_KEY_LENGTH, VALID_KEY_CHARS)

    # What follows runs in the store's event loop, while the caller waits.

    async def _load(self, store: SQLSessionStore) -> dict[str, Any]:
        session_id = _session_id(self.session_key)
        try:
            record = None if session_id is None else await store.load(session_id)
        except DeserializationError as error:
            # Django would save over it. The row might still be read, by who has its key.
            _log.warning("a stored session cannot be decoded, and is taken for empty: %s", error)
            record = None
        if record is None:
            self._session_key = None
            return {}
        self._known = _comparable(record.state)
        return record.state

    async def _create(self, store: SQLSessionStore, state: dict[str, Any], ttl: timedelta) -> None:
        session_id = _session_id(self.session_key)
        if session_id is None:
            raise CreateError("this is not a key that a session can have")
        try:
            await store.create(session_id, SessionRecord(state, ttl))
        except DuplicateIdError as error:
            raise CreateError from error
        self._known = _comparable(state)

    async def _create_anew(
        self, store: SQLSessionStore, state: dict[str, Any], ttl: timedelta
    ) -> None:
        while True:
            key = self._get_new_session_key()
            try:
                await store.create(SessionId(key), SessionRecord(state, ttl))
            except DuplicateIdError:
                continue
            break
        self._session_key = key
        self._known = _comparable(state)
        self.modified = True

    async def _update(self, store: SQLSessionStore, state: dict[str, Any], ttl: timedelta) -> None:
        session_id = _session_id(self.session_key)
        if session_id is None:
            raise UpdateError
        seen = _comparable(state)
        try:
            if seen and seen == self._known and not self.modified:
                await store.update_ttl(session_id, ttl)
            else:
                await store.update(session_id, SessionRecord(state, ttl))
        except UnknownIdError as error:
            raise UpdateError from error
        self._known = seen

    async def _cycle_key(
        self, store: SQLSessionStore, state: dict[str, Any], ttl: timedelta
    ) -> None:
        old_id = _session_id(self.session_key)
        while old_id is not None:
            key = self._get_new_session_key()
            try:
                await store.change_id(old_id, SessionId(key))
            except DuplicateIdError:
                continue
            except UnknownIdError as error:
                if self._known is not None:
                    raise SessionInterrupted(_INTERRUPTED) from error
                # The key was a client's claim, and the data are this request's own: cleared
                # before they were ever loaded.
                break
            self._session_key = key
            self.modified = True  # the middleware is to send the new key
            return
        await self._create_anew(store, state, ttl)


async def _exists(store: SQLSessionStore, session_key: str | None) -> bool:
    session_id = _session_id(session_key)
    try:
        return session_id is not None and await store.load(session_id) is not None
    except DeserializationError:
        return True


async def _delete(store: SQLSessionStore, session_key: str | None) -> None:
    session_id = _session_id(session_key)
    if session_id is None:
        return
    try:
        await store.delete(session_id)
    except UnknownIdError:
        return


async def _delete_expired(store: SQLSessionStore) -> None:
    await store.delete_expired()


def _session_id(session_key: str | None) -> SessionId | None:
    """Return the key as an id; ``None`` for what cannot be one, whoever sent it."""
    try:
        return None if session_key is None else SessionId(session_key)
    except ValueError:
        return None


def _ttl(seconds: float) -> timedelta:
    """Return an age of Django's as a time to live; one in the past has none left."""
    return timedelta(seconds=min(max(seconds, 0), MAX_TTL.total_seconds()))


def _comparable(state: dict[str, Any]) -> bytes:
    """Return bytes that differ where states do, even ``True`` and ``1``; nothing, if not JSON."""
    try:
        return JSONCodec().encode(state)
    except SerializationError:
        return b""
