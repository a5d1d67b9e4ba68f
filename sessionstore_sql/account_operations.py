"""The operations on a user's sessions: arguments, subjects, handles, versions and events."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sessionstore_sql.account_rows import (
    account_session,
    expected_version,
    idle_microseconds,
    session_info,
)
from sessionstore_sql.accounts.arguments import (
    check_replace,
    check_revoke,
    check_sessions_of,
    check_sign_out,
    check_update_if,
)
from sessionstore_sql.accounts.events import AccountEventKind
from sessionstore_sql.accounts.sessions import UNCHANGED
from sessionstore_sql.errors import (
    DatabaseError,
    RevokeError,
    SessionsOfError,
    SessionStoreError,
    SignOutError,
    for_operation,
)
from sessionstore_sql.records import key_of, require_id
from sessionstore_sql.session_operations import attributed
from sessionstore_sql.sign_in_operations import Account, SignInOperations
from sessionstore_sql.sql.account_work import end_by_key, rows_of
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.operations import (
    LOAD_SESSION,
    REPLACE,
    REPLACE_BY_ITSELF,
    UPDATE_IF,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.accounts.sessions import (
        AccountReference,
        AccountSession,
        IdleTtl,
        SessionHandle,
        SessionInfo,
    )
    from sessionstore_sql.records import SessionId, SessionRecord
    from sessionstore_sql.sql.dialects.clauses import SessionColumns


class AccountOperations(SignInOperations):
    """The operations of ``AccountSessionBackend``, on a pool or on one connection."""

    async def load_session(self, session_id: SessionId) -> AccountSession | None:
        """Return a live session and whose it is; see ``AccountSessionBackend.load_session``.

        One statement.
        """
        with self._observed(LOAD_SESSION.name):
            require_id(session_id)
            try:
                # Not kept in a variable, as in ``load``.
                return self._account_session(
                    await self._dispatcher.dispatch(LOAD_SESSION, Row(key_of(session_id)))
                )
            except SessionStoreError as error:
                cause = error
            raise for_operation(LOAD_SESSION.error, cause)

    async def replace(
        self,
        old_id: SessionId,
        new_id: SessionId,
        record: SessionRecord,
        *,
        version: int | None = None,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> None:
        """Replace id, state and deadline; see ``AccountSessionBackend.replace``.

        One UPDATE. If the new id is taken, an expired session is removed from it first, in a
        statement of its own.
        """
        with self._observed(REPLACE.name):
            check_replace(old_id, new_id, record, version=version, idle_ttl=idle_ttl)
            row = self._row(REPLACE, old_id, record)
            row.new_key = key_of(new_id)
            row.expected = expected_version(version)
            row.idle_ttl = idle_microseconds(idle_ttl)
            operation = REPLACE_BY_ITSELF if row.key == row.new_key else REPLACE
            await self._write(operation, row, old_id, new_id)

    async def update_if(
        self,
        session_id: SessionId,
        record: SessionRecord,
        version: int,
        *,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> int:
        """Replace an unchanged session; see ``AccountSessionBackend.update_if``. One UPDATE."""
        with self._observed(UPDATE_IF.name):
            check_update_if(session_id, record, version, idle_ttl)
            row = self._row(UPDATE_IF, session_id, record)
            row.expected, row.idle_ttl = expected_version(version), idle_microseconds(idle_ttl)
            await self._write(UPDATE_IF, row, session_id)
            return row.version

    async def sessions_of(self, subject: str, *, limit: int = 100) -> list[SessionInfo]:
        """Return a user's live sessions; see ``AccountSessionBackend.sessions_of``.

        One statement.
        """
        with self._observed("sessions_of"):
            check_sessions_of(subject, limit)
            reading = self._sessions_of(self._options.subjects.digests(subject), limit)
            del subject  # the traceback of an error would show it
            return await attributed(SessionsOfError, reading)

    async def revoke(
        self, subject: str, *, only: SessionHandle | None = None, keep: SessionHandle | None = None
    ) -> int:
        """End sessions of a user, and return how many; see ``AccountSessionBackend.revoke``.

        One DELETE on PostgreSQL and SQLite. On MySQL and MariaDB one transaction at REPEATABLE
        READ, which locks the sessions first. If a user has thousands of sessions, several of them
        follow each other. What was ended by an attempt whose connection was lost is not counted.

        A transaction that a store is bound to does not see sessions that are younger than its
        snapshot, at REPEATABLE READ and above.

        Raises:
            ValueError: A bound transaction on MySQL or MariaDB below REPEATABLE READ.
        """
        with self._observed("revoke"):
            check_revoke(subject, only, keep)
            account = Account(subject, None)
            del subject
            await self._require_isolation()
            ending = self._end(
                self._options.subjects.digests(account.subject),
                only=None if only is None else bytes(only),
                keep=None if keep is None else bytes(keep),
            )
            del only, keep  # the traceback of an error would show them
            handles = await attributed(RevokeError, ending)
        await self._report(AccountEventKind.REVOKED, account.subject, handles)
        return len(handles)

    async def sign_out(self, session_id: SessionId, session: AccountSession) -> None:
        """End a session, whatever its id is by now; see ``AccountSessionBackend.sign_out``.

        One DELETE, or another one by the handle if the id was rotated.

        Raises:
            ValueError: A bound transaction on MySQL or MariaDB below REPEATABLE READ.
        """
        with self._observed("sign_out"):
            account = check_sign_out(session_id, session)
            await self._require_isolation()
            ending = self._sign_out(key_of(session_id), session, account)
            del session  # the traceback of an error would show its handle
            is_ended = await attributed(SignOutError, ending)
        if is_ended and account is not None:
            await self._report(AccountEventKind.SIGNED_OUT, None, [account.handle])

    async def _sessions_of(self, digests: Sequence[bytes], limit: int) -> list[SessionInfo]:
        rows = await self._executor.run(rows_of, Effect.READ, self._table, digests, limit)
        return [session_info(row, self._codec) for row in rows]

    async def _sign_out(
        self, key: bytes, session: AccountSession, account: AccountReference | None
    ) -> bool:
        if await self._executor.run(end_by_key, Effect.REPEATABLE, self._table, key):
            return True
        if account is None:
            return False
        digests = list(account.digests)
        if session.subject is not None:
            # The digest may be another one by now, if keys are being replaced.
            digests += self._options.subjects.digests(session.subject)
        return bool(await self._end(tuple(dict.fromkeys(digests)), only=account.handle, keep=None))

    async def _end(
        self, digests: Sequence[bytes], *, only: bytes | None, keep: bytes | None
    ) -> list[bytes]:
        """End sessions in steps that are committed and retried one by one; return their handles."""
        revoke = self._table.endings.revoke
        step = partial(revoke, only=only, keep=keep, bound=self._executor.is_bound)
        handles: list[bytes] = []
        async with self._executor.call() as run:
            while True:
                try:
                    ended = await run(step, Effect.REPEATABLE, digests)
                except DatabaseError as error:
                    # What earlier steps have ended is committed.
                    error.outcome_unknown |= bool(handles)
                    raise
                handles += ended.handles
                if ended.is_last:
                    return handles

    def _account_session(self, columns: SessionColumns | None) -> AccountSession | None:
        if columns is None:
            return None
        record = self._live_record(columns.state, columns.remaining)
        return account_session(columns, record, self._codec)
