"""The steps of a decision, each carried out on the storage."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sessionstore_sql.accounts import UNCHANGED
from sessionstore_sql.errors import DatabaseError, UnknownIdError
from sessionstore_sql.records import SessionRecord
from sessionstore_sql.web import tombstones
from sessionstore_sql.web.decision import Cookie, Step, Wish
from sessionstore_sql.web.loaded import SignIn, Write
from sessionstore_sql.web.storable import storable
from sessionstore_sql.web.storage import AccountStorage
from sessionstore_sql.web.work import Outcome

if TYPE_CHECKING:
    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.records import SessionId
    from sessionstore_sql.web.loaded import Loaded
    from sessionstore_sql.web.options import SessionOptions
    from sessionstore_sql.web.storage import PlainStorage
    from sessionstore_sql.web.work import Work

logger = logging.getLogger("sessionstore_sql.lifecycle")

_ALL = 10_000
"""More sessions than a user has."""

_NO_TIME = timedelta(0)
_LEAST = timedelta(microseconds=1)


class Writer:
    """Carries out the steps for one request.

    Attributes:
        loaded: The session that was loaded, or loaded again since.
        state: The state to store.
        changed: Whether it differs from the one in ``loaded``.
        checked: Whether to store only if ``loaded`` is still what is stored.
        announced_alone: Whether this request is the only one that announced a rotation.
    """

    def __init__(
        self, storage: AccountStorage | PlainStorage, options: SessionOptions, work: Work
    ) -> None:
        self.loaded = work.loaded
        self.state = work.state
        self.changed = bool(work.changes)
        self.checked = options.on_conflict != "overwrite"
        self.announced_alone: bool | None = None
        self._storage = storage
        self._options = options
        self._work = work
        # Of the session as it is stored in the end:
        self._new_id: SessionId | None = None
        self._own_idle_time: timedelta | None = None
        self._ttl = _NO_TIME
        self._ends_in: timedelta | None = None

    def is_renewal_due(self) -> bool:
        """Return whether the deadline of the loaded session has to move."""
        loaded = self.loaded
        if loaded is None:
            return False
        elapsed = loaded.elapsed()
        lifetimes = self._options.lifetimes
        return lifetimes.is_renewal_due(
            loaded.remaining - elapsed,
            lifetimes.idle_time(own=loaded.idle_ttl, signed_in=loaded.handle is not None),
            None if loaded.ends_in is None else loaded.ends_in - elapsed,
        )

    async def do(self, step: Step, *, renews: bool) -> bool:
        """Carry out a step.

        Args:
            step: The step.
            renews: Whether a session that goes on gets a new deadline.

        Returns:
            Whether it was done. If not, the session and its cookie are left alone.

        Raises:
            UnknownIdError: The loaded session is not live any more.
            ConflictError: Another request has changed it.
        """
        match step:
            case Step.CREATE:
                await self._create()
            case Step.SIGN_IN:
                await self._sign_in(None)
            case Step.SIGN_IN_FROM:
                await self._sign_in(self._require_loaded())
            case Step.SIGN_IN_AS_BEFORE:
                return await self._sign_in_as_before(self._require_loaded())
            case Step.REPLACE:
                await self._replace(self._require_loaded())
            case Step.UPDATE:
                await self._update(self._require_loaded(), renews=renews)
            case Step.EXTEND:
                return await self._extend(self._require_loaded())
            case Step.EMPTY:
                await self._storage.empty(self._require_loaded(), checked=self.checked)
            case Step.LEAVE_TOMBSTONE:
                await self._leave_tombstone()
            case _:
                await self._end()
        return True

    def outcome(self, cookie: Cookie) -> Outcome:
        """Return what the response says after the steps."""
        if cookie is not Cookie.SET:
            return Outcome(cookie)
        lasts = self._options.lifetimes.cookie_lasts(self._own_idle_time)
        session_id = self._new_id
        if session_id is None:
            session_id = self._require_loaded().session_id
            if not lasts and self._work.idle_ttl is UNCHANGED:
                # The client keeps the cookie until the browser is closed, as before.
                return Outcome(Cookie.KEEP)
        max_age = self._ttl if self._ends_in is None else min(self._ttl, self._ends_in)
        return Outcome(Cookie.SET, session_id, max_age if lasts else None)

    async def withdraw(self) -> None:
        """Take an announcement back, as the rotation will not be tried again."""
        if self.loaded is not None and self.announced_alone:
            with suppress(DatabaseError):
                await tombstones.withdraw(self._storage.backend, self.loaded.session_id)

    async def _create(self) -> None:
        own = self._begin(self._work.idle_ttl, signed_in=False)
        await self._storage.create(self._next_id(), self._record(), own)

    async def _sign_in(self, loaded: Loaded | None) -> None:
        storage, sign_in = self._storage, self._work.sign_in
        assert isinstance(storage, AccountStorage), "checked when the sign-in was asked for"
        assert sign_in is not None
        options = self._options
        sign_in = replace(
            sign_in,
            lifetime=sign_in.lifetime or options.lifetime,
            max_sessions=sign_in.max_sessions or options.max_sessions,
        )
        own = self._begin(self._kept_idle_time(sign_in), signed_in=True, ends_in=sign_in.lifetime)
        write = Write(
            record=self._record(),
            idle_ttl=own,
            checked=self.checked and self._work.wish is Wish.SIGN_IN,
        )
        if loaded is not None:
            await self._announce(loaded)
        await storage.sign_in(loaded, self._next_id(), write, sign_in)
        if loaded is not None:
            await self._note_rotation(loaded)

    def _kept_idle_time(self, sign_in: SignIn) -> IdleTtl:
        """Return the session's own idle time after a sign-in, which only the same user keeps."""
        loaded, given = self.loaded, self._work.idle_ttl
        if given is not UNCHANGED or loaded is None or self._work.wish is not Wish.SIGN_IN:
            return given
        return loaded.idle_ttl if loaded.subject == sign_in.subject else None

    async def _sign_in_as_before(self, loaded: Loaded) -> bool:
        """Sign in without authentication, unless the session has ended since it was rotated."""
        storage, lag = self._storage, loaded.authenticated_ago()
        if not isinstance(storage, AccountStorage) or loaded.subject is None or lag is None:
            return False
        ends_in = None if loaded.ends_in is None else loaded.ends_in - loaded.elapsed()
        if ends_in is not None and ends_in <= _NO_TIME:
            return False
        given = self._work.idle_ttl
        own = self._begin(
            loaded.idle_ttl if given is UNCHANGED else given, signed_in=True, ends_in=ends_in
        )
        sign_in = SignIn(subject=loaded.subject, lifetime=ends_in)
        write = Write(record=self._record(lag), idle_ttl=own)
        new_id = self._next_id()
        await storage.sign_in(None, new_id, write, sign_in)
        # Asked afterwards: a logout or revocation that comes later ends this session too, or finds
        # it in the user's list.
        sessions = await storage.accounts.sessions_of(loaded.subject, limit=_ALL)
        if loaded.handle in {each.handle for each in sessions}:
            return True
        with suppress(UnknownIdError):
            await storage.backend.delete(new_id)
        return False

    async def _replace(self, loaded: Loaded) -> None:
        is_given = self._work.idle_ttl is not UNCHANGED
        renews = self.changed or is_given or self.is_renewal_due()
        self._go_on(loaded, renews=renews)
        write = self._write(loaded, checked=self.checked, renews=renews)
        await self._announce(loaded)
        await self._storage.replace(loaded, self._next_id(), write)
        await self._note_rotation(loaded)

    async def _update(self, loaded: Loaded, *, renews: bool) -> None:
        self._go_on(loaded, renews=renews)
        # A state that this request did not change is never put over another request's.
        checked = self.checked or not self.changed
        write = self._write(loaded, checked=checked, renews=renews)
        await self._storage.update(loaded, write)

    async def _extend(self, loaded: Loaded) -> bool:
        self._go_on(loaded, renews=True)
        try:
            await self._storage.backend.update_ttl(loaded.session_id, self._ttl)
        except DatabaseError as error:
            if not error.transient:
                raise
            logger.warning("a session was not renewed; the next request will try again: %s", error)
            return False
        return True

    async def _leave_tombstone(self) -> None:
        session_id = self._work.stored_id if self.loaded is None else self.loaded.session_id
        assert session_id is not None
        await tombstones.note_successor(self._storage.backend, session_id)

    async def _end(self) -> None:
        if self.loaded is not None:
            await self._storage.end(self.loaded)
        elif self._work.stored_id is not None:
            with suppress(UnknownIdError):
                await self._storage.backend.delete(self._work.stored_id)

    def _begin(
        self, idle_ttl: IdleTtl, *, signed_in: bool, ends_in: timedelta | None = None
    ) -> timedelta | None:
        """Set the times of a session that begins, and return its own idle time."""
        own = None if idle_ttl is UNCHANGED else idle_ttl
        self._own_idle_time = own
        self._ttl = self._options.lifetimes.idle_time(own=own, signed_in=signed_in)
        self._ends_in = ends_in
        return own

    def _go_on(self, loaded: Loaded, *, renews: bool) -> None:
        """Set the times of a session that goes on."""
        elapsed, given = loaded.elapsed(), self._work.idle_ttl
        own = loaded.idle_ttl if given is UNCHANGED else given
        self._own_idle_time = own
        self._ends_in = None if loaded.ends_in is None else loaded.ends_in - elapsed
        if renews:
            signed_in = loaded.handle is not None
            self._ttl = self._options.lifetimes.idle_time(own=own, signed_in=signed_in)
        else:
            self._ttl = max(loaded.remaining - elapsed, _LEAST)

    def _require_loaded(self) -> Loaded:
        assert self.loaded is not None, "decided only for a session that was loaded"
        return self.loaded

    def _next_id(self) -> SessionId:
        announced = self._work.new_id
        self._new_id = self._options.new_id() if announced is None else announced
        return self._new_id

    def _write(self, loaded: Loaded, *, checked: bool, renews: bool) -> Write:
        return Write(
            record=self._record(loaded.lag),
            idle_ttl=self._work.idle_ttl,
            changed=self.changed,
            renews=renews,
            checked=checked,
        )

    def _record(self, lag: timedelta = _NO_TIME) -> SessionRecord:
        return SessionRecord(storable(self.state, self._options, lag), self._ttl)

    async def _announce(self, loaded: Loaded) -> None:
        if self.announced_alone is None:
            backend = self._storage.backend
            self.announced_alone = await tombstones.announce(backend, loaded.session_id)

    async def _note_rotation(self, loaded: Loaded) -> None:
        try:
            await tombstones.note_rotation(self._storage.backend, loaded.session_id)
        except DatabaseError as error:
            # The rotation itself is committed, and its response must tell the client.
            logger.warning(
                "a rotation was not noted, so concurrent requests of the visitor may not be "
                "stored: %s",
                error,
            )
