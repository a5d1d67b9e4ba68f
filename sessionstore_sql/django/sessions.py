"""``SessionStore``: Django's session interface on this store."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.conf import settings

from sessionstore_sql.django.configuration import new_key
from sessionstore_sql.django.expiry import ttl_of
from sessionstore_sql.django.process import result_of, sessions_in, wait_for
from sessionstore_sql.django.storing import StoredSession, id_of, presented_by
from sessionstore_sql.django.visit import NOTHING_SAID, Visit
from sessionstore_sql.errors import DeserializationError
from sessionstore_sql.records import SessionId
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.work import Outcome

if TYPE_CHECKING:
    from sessionstore_sql.store import SQLSessionStore
    from sessionstore_sql.web.presented import Presented


class SessionStore(StoredSession):
    """One session, as ``request.session``.

    It has the interface of Django's database backend. These are the differences:

    - In a request, ``cycle_key`` and ``flush`` are done when the response starts, together with
      everything else: a login is one statement. Elsewhere, they are done immediately.
    - A request that was overtaken by another one undoes none of its changes. Their changes are
      merged by top-level key; see ``on_conflict``.
    - A session that has ended is never stored again: ``save`` raises ``SessionEndedError``.
    - Values that JSON cannot express are rejected when the session is saved, with their path.
      Tuples become lists.
    - A stored session that cannot be decoded is logged, and is empty for this request. It is
      never overwritten.
    - Copies are plain dicts.

    Errors of the database are ``sessionstore_sql.DatabaseError``. A session is stored in a
    transaction of its own, not in that of the request.
    """

    # Requests

    def enter_request(self, presented: Presented | None = None) -> None:
        """Make this the session of a request, or note that another middleware found it there.

        Args:
            presented: Several ids that the request presents; ``None``: the one that this object
                was made with.
        """
        self._in_request += 1
        if presented is not None:
            self.visit = Visit(presented)

    def leave_request(self, status: int) -> Outcome:
        """Store the session of a request, and return what the response says about the cookie.

        Args:
            status: The status of the response. With an error of the server, nothing is stored,
                but a session that was to end does end.

        Raises:
            SessionEndedError: The session ended while the request used it.
            SerializationError, ConflictError, DatabaseError: It cannot be stored.
        """
        self._in_request = max(0, self._in_request - 1)
        if self._in_request > 0 or self._closed:
            return NOTHING_SAID
        try:
            self._finish_request(failed=status >= HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self._closed = True
        return self.visit.said

    def said_to_strangers(self) -> Outcome:
        """Return what a response says to a client that does not have this session's key."""
        session_id = id_of(self.session_key)
        if session_id is None:
            return NOTHING_SAID
        age = None if self.get_expire_at_browser_close() else ttl_of(self.get_expiry_age())
        return Outcome(Cookie.SET, session_id, age)

    def _finish_request(self, *, failed: bool) -> None:
        visit = self.visit
        if failed:
            if visit.is_flushed:
                visit.invalidate()
                self._session_cache = {}
                wait_for(self._store)
            return
        saves = self.modified or settings.SESSION_SAVE_EVERY_REQUEST
        if saves and self.session_key is not None:
            self._get_session()
        if not hasattr(self, "_session_cache"):
            return
        if saves or visit.is_asked:
            if not visit.has_stored(self._session_cache):
                wait_for(self._store, in_response=True)
        elif visit.session is not None and visit.session.session_id is not None:
            wait_for(self._renew)

    # Django's interface

    def load(self) -> dict[str, Any]:
        """Return the stored session. If the key is not live, forget the key and return nothing."""
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
        self._get_session(no_load=True)
        wait_for(self._create)

    async def acreate(self) -> None:
        """Do as ``create`` does."""
        await self._aget_session(no_load=True)
        await result_of(self._create)

    def save(self, must_create: bool = False) -> None:
        """Store this session under its key, or under a new one if it has none.

        Args:
            must_create: Whether the key has to be new.

        Raises:
            CreateError: It has to be new, and is live.
            SessionEndedError: It is not live, without ``must_create``. Nothing was stored.
            SerializationError: A value is not JSON; the message names its path.
        """
        self._get_session(no_load=must_create)
        wait_for(self._save, must_create=must_create)

    async def asave(self, must_create: bool = False) -> None:
        """Do as ``save`` does."""
        await self._aget_session(no_load=must_create)
        await result_of(self._save, must_create=must_create)

    def delete(self, session_key: str | None = None) -> None:
        """Delete this session, or the one with that key. If there is none, do nothing."""
        wait_for(_delete, self.session_key if session_key is None else session_key)

    async def adelete(self, session_key: str | None = None) -> None:
        """Do as ``delete`` does."""
        await result_of(_delete, self.session_key if session_key is None else session_key)

    def cycle_key(self) -> None:
        """Give this session a new key. Its data stay.

        Raises:
            SessionEndedError: It was deleted, or has expired, since it was loaded.
        """
        self._get_session()
        if not self._rotates_later():
            wait_for(self._store, keeps_empty=True)

    async def acycle_key(self) -> None:
        """Do as ``cycle_key`` does."""
        await self._aget_session()
        if not self._rotates_later():
            await result_of(self._store, keeps_empty=True)

    def flush(self) -> None:
        """End this session. What is put into it afterwards belongs to a new one."""
        if not self._ends_later():
            super().flush()
            self.visit = Visit()

    async def aflush(self) -> None:
        """Do as ``flush`` does."""
        if not self._ends_later():
            await super().aflush()
            self.visit = Visit()

    @classmethod
    def clear_expired(cls) -> None:
        """Delete expired sessions in batches, for ``manage.py clearsessions``."""
        wait_for(_delete_expired)

    @classmethod
    async def aclear_expired(cls) -> None:
        """Do as ``clear_expired`` does."""
        await result_of(_delete_expired)

    def __copy__(self) -> dict[str, Any]:
        return dict(self._get_session())

    def __reduce_ex__(self, _protocol: object) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self._get_session()),)

    def _get_new_session_key(self) -> str:
        return new_key()

    async def _aget_new_session_key(self) -> str:
        return new_key()

    def _rotates_later(self) -> bool:
        """Ask for a new key, and return whether that is done when the response starts."""
        self.modified = True
        self._session_key = self._get_new_session_key()
        self.visit.rotate(SessionId(str(self.session_key)))
        return self._in_request > 0

    def _ends_later(self) -> bool:
        """Ask for the end, and return whether that is done when the response starts."""
        if self._in_request == 0:
            return False
        self.clear()
        self.visit.invalidate()
        self._session_key = None
        return True


async def _exists(store: SQLSessionStore, session_key: str | None) -> bool:
    session_id = id_of(session_key)
    try:
        return session_id is not None and await store.load(session_id) is not None
    except DeserializationError:
        return True


async def _delete(store: SQLSessionStore, session_key: str | None) -> None:
    session = await sessions_in(store).begin(presented_by(session_key))
    session.require_loaded()
    session.invalidate()
    await session.finish({})


async def _delete_expired(store: SQLSessionStore) -> None:
    await store.delete_expired()
