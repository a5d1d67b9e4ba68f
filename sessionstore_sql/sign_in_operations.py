"""Signing in: what a session gets, which sessions end for it, and what is reported."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from sessionstore_sql.account_rows import expected_version, idle_microseconds
from sessionstore_sql.accounts.about import encode_about
from sessionstore_sql.accounts.arguments import check_sign_in
from sessionstore_sql.accounts.events import AccountEvent, AccountEventKind, report
from sessionstore_sql.accounts.sessions import HANDLE_BYTES, UNCHANGED, SessionHandle
from sessionstore_sql.errors import (
    DatabaseError,
    SerializationError,
    SignInError,
    for_operation,
)
from sessionstore_sql.records import key_of, new_version
from sessionstore_sql.session_operations import SessionOperations
from sessionstore_sql.sql.account_work import bounded
from sessionstore_sql.sql.dialects.signing_in import SignInRow
from sessionstore_sql.sql.effects import Effect, Outcome
from sessionstore_sql.sql.operations import SIGN_IN_BY_ITSELF
from sessionstore_sql.sql.sign_in import SIGN_IN, SIGN_IN_ANEW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.accounts.options import AccountOptions
    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.codec import StateCodec
    from sessionstore_sql.records import JSON, SessionId, SessionRecord
    from sessionstore_sql.sql.batching import Dispatcher
    from sessionstore_sql.sql.execution import Executor
    from sessionstore_sql.sql.operation_kinds import Operation, SessionTable
    from sessionstore_sql.sql.purge import TablePurger

_MICROSECOND = timedelta(microseconds=1)

_log = logging.getLogger("sessionstore_sql.accounts")


class Account:
    """Whose a session becomes. Its ``repr`` shows nothing of it."""

    __slots__ = ("about", "handle", "subject")

    def __init__(self, subject: str, about: dict[str, JSON] | None) -> None:
        self.subject = subject
        self.about = about
        self.handle = b""


class SignInOperations(SessionOperations):
    """``AccountSessionBackend.sign_in``, on a pool or on one connection."""

    def __init__(  # noqa: PLR0913  # the parts of a store
        self,
        executor: Executor,
        dispatcher: Dispatcher,
        purger: TablePurger,
        codec: StateCodec,
        *,
        options: AccountOptions,
        table: SessionTable,
    ) -> None:
        super().__init__(executor, dispatcher, purger, codec, options.lifetime)
        self._options = options
        self._table = table

    async def sign_in(  # noqa: PLR0913  # options, each by keyword
        self,
        old_id: SessionId | None,
        new_id: SessionId,
        record: SessionRecord,
        *,
        subject: str,
        about: dict[str, JSON] | None = None,
        lifetime: timedelta | None = None,
        max_sessions: int | None = None,
        version: int | None = None,
        idle_ttl: IdleTtl = UNCHANGED,
    ) -> SessionHandle:
        """Make a session that of ``subject``; see ``AccountSessionBackend.sign_in``.

        One UPDATE or INSERT. With a limit, the sessions above it are ended after that was
        committed. If they cannot be ended, an error is logged, and the next sign-in of the user
        ends them. A bound store ends them in the same transaction, and raises the error.

        Raises:
            ValueError: A bound transaction on MySQL or MariaDB, and a limit, below REPEATABLE READ.
        """
        with self._observed("sign_in"):
            check_sign_in(
                old_id,
                new_id,
                record,
                subject=subject,
                about=about,
                lifetime=lifetime,
                max_sessions=max_sessions,
                version=version,
                idle_ttl=idle_ttl,
            )
            account = Account(subject, about)
            del subject, about  # the traceback of an error would show them
            row = self._sign_in_row(old_id, new_id, record, account)
            row.expected = expected_version(version)
            row.idle_ttl = idle_microseconds(idle_ttl)
            if lifetime is not None:
                row.lifetime = lifetime // _MICROSECOND
            if row.lifetime is not None:
                row.ttl = min(row.ttl, row.lifetime)
            limit = self._options.max_sessions if max_sessions is None else max_sessions
            if limit is not None:
                await self._require_isolation()
            account.handle = await self._sign_in(row, old_id, new_id)
            evicted = [] if limit is None else await self._trim(row, limit)
        is_new = account.handle == row.handle
        kind = AccountEventKind.SIGNED_IN if is_new else AccountEventKind.REAUTHENTICATED
        await self._report(kind, account.subject, [account.handle])
        await self._report(AccountEventKind.EVICTED, account.subject, evicted)
        return SessionHandle.from_bytes(account.handle)

    async def _require_isolation(self) -> None:
        """Raise ``ValueError`` if sessions could escape the caller's transaction."""
        if self._executor.is_bound:
            await self._executor.run(self._table.endings.require_isolation, Effect.READ)

    async def _report(
        self, kind: AccountEventKind, subject: str | None, handles: Sequence[bytes]
    ) -> None:
        if not handles:
            return
        if self._executor.observer is not None:
            self._executor.observer.account(kind, len(handles))
        if self._options.on_event is not None:
            named = tuple(
                SessionHandle.from_bytes(each) for each in handles if len(each) == HANDLE_BYTES
            )
            event = AccountEvent(kind, subject, named, len(handles))
            await report(self._options.on_event, event)

    def _sign_in_row(
        self,
        old_id: SessionId | None,
        new_id: SessionId,
        record: SessionRecord,
        account: Account,
    ) -> SignInRow:
        new_key = key_of(new_id)
        try:
            return SignInRow(
                key=new_key if old_id is None else key_of(old_id),
                new_key=new_key,
                ttl=record.ttl // _MICROSECOND,
                state=self._codec.encode(record.state),
                version=new_version(),
                digests=self._options.subjects.digests(account.subject),
                handle=bytes(SessionHandle.generate()),
                about=encode_about(self._codec, account.subject, account.about or {}),
                keeps_about=int(account.about is None),
                lifetime=self._options.lifetime,
            )
        except SerializationError as error:
            cause = error
            del new_key  # the traceback of the error would show it
        raise for_operation(SignInError, cause)

    async def _sign_in(self, row: SignInRow, old_id: SessionId | None, new_id: SessionId) -> bytes:
        operation: Operation[Outcome] = SIGN_IN
        if old_id is None:
            operation = SIGN_IN_ANEW
        elif row.key == row.new_key:
            operation = SIGN_IN_BY_ITSELF
        await self._write(operation, row, old_id or new_id, new_id)
        return row.stored_handle or row.handle

    async def _trim(self, row: SignInRow, limit: int) -> Sequence[bytes]:
        """End the subject's oldest sessions above the limit, and return their handles."""
        bound = self._executor.is_bound
        trim = partial(
            self._table.endings.trim, newest=row.stored_handle or row.handle, bound=bound
        )
        try:
            ended = await self._executor.run(trim, Effect.REPEATABLE, row.digests, bounded(limit))
        except DatabaseError as error:
            if bound:
                cause = error
                del trim  # the traceback of the error would show the handle
            else:
                # The user is signed in. Without a database, the next call fails anyway.
                _log.error(
                    "a user signed in, but the sessions above the limit of %d could not be ended "
                    "(%s); the user's next sign-in ends them",
                    limit,
                    type(error.__cause__ or error).__name__,
                )
                return ()
        else:
            return ended.handles
        raise for_operation(SignInError, cause)
