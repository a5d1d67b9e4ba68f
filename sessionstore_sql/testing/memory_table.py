"""The rows of ``MemorySessionStore``, and what each operation does to them.

It mirrors what the statements of ``SQLSessionStore`` do to a table. Every operation runs under
one lock, reads the clock once and awaits nothing, so it is atomic. Errors are causes: the store
adds the operation.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

from sessionstore_sql.accounts.sessions import UNCHANGED, SessionHandle
from sessionstore_sql.errors import ConflictError, DuplicateIdError, UnknownIdError
from sessionstore_sql.records import new_version
from sessionstore_sql.testing.memory_rows import Account, Found, Row, SignedIn, SignIn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.records import SessionId


class MemoryTable:
    """All sessions."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._rows: dict[SessionId, Row] = {}
        self._lock = Lock()
        self._numbers = count(1)

    def find(self, session_id: SessionId) -> Found | None:
        """Return a copy of a live row."""
        with self._lock:
            now = self._now()
            row = self._rows.get(session_id)
            return Found(replace(row), now) if row is not None and row.deadline > now else None

    def create(
        self, session_id: SessionId, state: bytes, ttl: timedelta, lifetime: timedelta | None
    ) -> None:
        """Insert a row, or replace an expired one."""
        with self._lock:
            now = self._now()
            self._require_free(session_id, now)
            row = Row(state=state, version=new_version(), deadline=now, seen=now)
            row.final_deadline = None if lifetime is None else now + lifetime
            self._extend(row, ttl, now)
            self._rows[session_id] = row

    def update(
        self,
        session_id: SessionId,
        state: bytes,
        ttl: timedelta,
        *,
        version: int | None = None,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> int:
        """Replace state and deadline of a live row, and return its new version."""
        with self._lock:
            now = self._now()
            row = self._live(session_id, now)
            _require_version(row, session_id, version)
            self._write(row, state, ttl, idle_ttl, now)
            return row.version

    def extend(self, session_id: SessionId, ttl: timedelta) -> None:
        """Replace the deadline of a live row."""
        with self._lock:
            now = self._now()
            self._extend(self._live(session_id, now), ttl, now)

    def move(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live row another id."""
        with self._lock:
            now = self._now()
            row = self._replaceable(old_id, new_id, None, now)
            self._touch(row, now)
            self._rows[new_id] = self._rows.pop(old_id)

    def replace(  # noqa: PLR0913  # the arguments of the operation
        self,
        old_id: SessionId,
        new_id: SessionId,
        state: bytes,
        ttl: timedelta,
        *,
        version: int | None,
        idle_ttl: IdleTtl,
    ) -> None:
        """Give a live row another id, state and deadline."""
        with self._lock:
            now = self._now()
            row = self._replaceable(old_id, new_id, version, now)
            self._write(row, state, ttl, idle_ttl, now)
            self._rows[new_id] = self._rows.pop(old_id)

    def sign_in(self, old_id: SessionId | None, new_id: SessionId, wanted: SignIn) -> SignedIn:
        """Make a row that of a subject, then remove the subject's oldest above the limit."""
        with self._lock:
            now = self._now()
            if old_id is None:
                self._require_free(new_id, now)
                row = Row(state=wanted.state, version=0, deadline=now, seen=now)
            else:
                row = self._replaceable(old_id, new_id, wanted.version, now)
                del self._rows[old_id]
            before = row.account
            row.account = account = self._account(before, wanted, now)
            is_new = before is None or account.handle != before.handle
            if before is not None and is_new:
                row.idle_ttl = None
            row.final_deadline = None if wanted.lifetime is None else now + wanted.lifetime
            self._write(row, wanted.state, wanted.ttl, wanted.idle_ttl, now)
            self._rows[new_id] = row
            evicted = self._trim(wanted.digests, wanted.max_sessions, now)
            return SignedIn(account.handle, is_new, evicted)

    def live_of(self, digests: Collection[bytes]) -> list[tuple[Row, Account]]:
        """Return copies of a subject's live rows, the one written last first."""
        with self._lock:
            now = self._now()
            found = [
                (replace(row), account)
                for _, row, account in self._of(digests)
                if row.deadline > now
            ]
        return sorted(found, key=lambda each: (each[0].seen, each[0].written), reverse=True)

    def remove_of(
        self,
        digests: Collection[bytes],
        *,
        only: SessionHandle | None = None,
        keep: SessionHandle | None = None,
    ) -> list[SessionHandle]:
        """Remove a subject's rows, live or expired, and return their handles."""
        with self._lock:
            found = {
                session_id: account.handle
                for session_id, _, account in self._of(digests)
                if only in (None, account.handle) and account.handle != keep
            }
            self._remove(found)
            return list(found.values())

    def delete(self, session_id: SessionId) -> None:
        """Remove a live row."""
        with self._lock:
            self._live(session_id, self._now())
            del self._rows[session_id]

    def discard(self, session_id: SessionId) -> bool:
        """Remove a row, live or expired, and return whether there was one."""
        with self._lock:
            return self._rows.pop(session_id, None) is not None

    def purge(self, limit: int | None) -> int:
        """Remove expired rows, the oldest first, and return how many."""
        with self._lock:
            now = self._now()
            expired = [each for each, row in self._rows.items() if row.deadline <= now]
            expired.sort(key=lambda each: self._rows[each].deadline)
            self._remove(expired[:limit])
            return len(expired[:limit])

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)

    def _live(self, session_id: SessionId, now: datetime) -> Row:
        row = self._rows.get(session_id)
        if row is None or row.deadline <= now:
            raise UnknownIdError(session_id)
        return row

    def _require_free(self, session_id: SessionId, now: datetime) -> None:
        row = self._rows.get(session_id)
        if row is not None and row.deadline > now:
            raise DuplicateIdError(session_id)

    def _replaceable(
        self, old_id: SessionId, new_id: SessionId, version: int | None, now: datetime
    ) -> Row:
        row = self._live(old_id, now)
        if old_id == new_id:
            raise DuplicateIdError(new_id)
        _require_version(row, old_id, version)
        self._require_free(new_id, now)
        return row

    def _write(
        self, row: Row, state: bytes, ttl: timedelta, idle_ttl: IdleTtl, now: datetime
    ) -> None:
        row.state, row.version = state, new_version()
        if idle_ttl is not UNCHANGED:
            row.idle_ttl = idle_ttl
        self._extend(row, ttl, now)

    def _extend(self, row: Row, ttl: timedelta, now: datetime) -> None:
        self._touch(row, now)
        row.deadline = now + ttl
        if row.final_deadline is not None:
            row.deadline = min(row.deadline, row.final_deadline)

    def _touch(self, row: Row, now: datetime) -> None:
        row.seen, row.written = now, next(self._numbers)

    def _account(self, before: Account | None, wanted: SignIn, now: datetime) -> Account:
        digest = wanted.digests[0]
        if before is not None and before.digest in wanted.digests:
            about = before.about if wanted.keeps_about else wanted.about
            return replace(before, digest=digest, authenticated=now, about=about)
        return Account(
            digest=digest,
            handle=SessionHandle.generate(),
            created=now,
            authenticated=now,
            about=wanted.about,
            number=next(self._numbers),
        )

    def _trim(
        self, digests: Collection[bytes], limit: int | None, now: datetime
    ) -> list[SessionHandle]:
        """Remove the oldest live rows of a subject above ``limit``.

        The order is one that never changes: by the last use, two calls at once could disagree
        and remove too many.
        """
        live = [
            (account.created, account.number, session_id, account.handle)
            for session_id, row, account in self._of(digests)
            if row.deadline > now
        ]
        surplus = [] if limit is None else sorted(live, reverse=True)[limit:]
        self._remove([session_id for _, _, session_id, _ in surplus])
        return [handle for _, _, _, handle in surplus]

    def _of(self, digests: Collection[bytes]) -> Iterator[tuple[SessionId, Row, Account]]:
        for session_id, row in self._rows.items():
            if row.account is not None and row.account.digest in digests:
                yield session_id, row, row.account

    def _remove(self, session_ids: Iterable[SessionId]) -> None:
        for session_id in session_ids:
            del self._rows[session_id]


def _require_version(row: Row, session_id: SessionId, version: int | None) -> None:
    if version is not None and row.version != version:
        raise ConflictError(session_id)
