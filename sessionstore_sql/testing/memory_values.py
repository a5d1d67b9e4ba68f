"""What ``MemorySessionStore`` returns, made of the rows of ``MemoryTable``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql.accounts.about import decode_about
from sessionstore_sql.accounts.sessions import AccountReference, AccountSession, SessionInfo
from sessionstore_sql.records import SessionRecord

if TYPE_CHECKING:
    from sessionstore_sql.accounts.subjects import SubjectKeys
    from sessionstore_sql.codec import StateCodec
    from sessionstore_sql.testing.memory_rows import Account, Found, Row


class Values:
    """Decodes rows."""

    def __init__(self, codec: StateCodec, subjects: SubjectKeys) -> None:
        self._codec = codec
        self._subjects = subjects

    def record(self, found: Found) -> SessionRecord:
        """Return the state, and the time that remains."""
        row, now = found
        return SessionRecord(self._codec.decode(row.state), row.deadline - now)

    def account_session(self, found: Found) -> AccountSession:
        """Return what ``load_session`` returns."""
        row, now = found
        account = row.account
        subject = None if account is None else self.subject(account)
        return AccountSession(
            record=self.record(found),
            handle=None if account is None else account.handle,
            authenticated_ago=None if account is None else now - account.authenticated,
            ends_in=None if row.final_deadline is None else row.final_deadline - now,
            version=row.version,
            account=None if account is None else self.reference(account, subject),
            idle_ttl=row.idle_ttl,
            subject=subject,
        )

    def subject(self, account: Account) -> str | None:
        """Return the subject that the row was signed in with."""
        return decode_about(self._codec, account.about).subject

    def reference(self, account: Account, subject: str | None) -> AccountReference:
        """Return what a sign-out needs."""
        # The digest may be another one by the time of a sign-out, if keys are being replaced.
        digests = () if subject is None else self._subjects.digests(subject)
        return AccountReference((account.digest, *digests), bytes(account.handle))

    def info(self, row: Row, account: Account) -> SessionInfo:
        """Return what ``sessions_of`` returns of a row."""
        return SessionInfo(
            handle=account.handle,
            created=account.created,
            seen=row.seen,
            authenticated=account.authenticated,
            expires=row.deadline,
            ends=row.final_deadline,
            about=decode_about(self._codec, account.about).about,
        )
