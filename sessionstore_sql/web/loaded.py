"""A session as it was loaded, and what to store of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sessionstore_sql.accounts import UNCHANGED

if TYPE_CHECKING:
    from sessionstore_sql.accounts import AccountSession, SessionHandle
    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.records import JSON, SessionId, SessionRecord

LAG_KEY = "sessionstore_sql.authenticated_earlier"
"""A key that the application does not see: seconds between a user's authentication and the time
when a copy of their session was stored, which the backend takes for the authentication."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A live session as it was loaded.

    ``remaining``, ``authenticated_ago`` and ``ends_in`` are as of ``at``, which is the monotonic
    clock of this process just before it was loaded.
    """

    session_id: SessionId
    state: dict[str, Any] = field(repr=False)
    remaining: timedelta
    at: float
    account: AccountSession | None = field(default=None, repr=False)
    """``None`` from a plain backend."""
    lag: timedelta = timedelta(0)
    """How much longer ago than ``account`` says the user authenticated; see ``LAG_KEY``."""

    @property
    def handle(self) -> SessionHandle | None:
        """Names the session, if it is signed in."""
        return None if self.account is None else self.account.handle

    @property
    def subject(self) -> str | None:
        """The user, if the session is signed in and the backend knows."""
        return None if self.account is None else self.account.subject

    @property
    def idle_ttl(self) -> timedelta | None:
        """The session's own idle time."""
        return None if self.account is None else self.account.idle_ttl

    @property
    def ends_in(self) -> timedelta | None:
        """The time until the absolute lifetime is over, as of ``at``."""
        return None if self.account is None else self.account.ends_in

    def authenticated_ago(self) -> timedelta | None:
        """Return how long ago the user authenticated; ``None`` if the session is not signed in."""
        if self.account is None or self.account.authenticated_ago is None:
            return None
        return self.account.authenticated_ago + self.lag + self.elapsed()

    def elapsed(self) -> timedelta:
        """Return how long ago it was loaded."""
        return timedelta(seconds=time.monotonic() - self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """What the application said at a sign-in."""

    subject: str = field(repr=False)
    about: dict[str, JSON] | None = field(default=None, repr=False)
    lifetime: timedelta | None = None
    max_sessions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What to store of a session.

    Args:
        record: State and time to live.
        idle_ttl: The session's own idle time.
        changed: Whether the request changed the state.
        renews: Whether the deadline is a new one.
        checked: Whether to store only if the state is still the one that was loaded.
    """

    record: SessionRecord
    idle_ttl: IdleTtl = UNCHANGED
    changed: bool = True
    renews: bool = True
    checked: bool = False
