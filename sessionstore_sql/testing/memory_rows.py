"""What ``MemoryTable`` keeps of a session, and what its operations take and return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sessionstore_sql.accounts.sessions import IdleTtl, SessionHandle


@dataclass(slots=True, kw_only=True)
class Row:
    """A session as it is stored."""

    state: bytes
    version: int
    deadline: datetime
    seen: datetime
    final_deadline: datetime | None = None
    idle_ttl: timedelta | None = None
    account: Account | None = None
    written: int = 0
    """Orders rows that were written while the clock stood still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose session a row is."""

    digest: bytes
    handle: SessionHandle
    created: datetime
    authenticated: datetime
    about: bytes
    number: int
    """Orders accounts that were created while the clock stood still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """What a sign-in stores."""

    state: bytes
    ttl: timedelta
    digests: tuple[bytes, ...]
    about: bytes
    keeps_about: bool
    """Whether re-authentication leaves ``about`` as it is."""
    lifetime: timedelta | None
    max_sessions: int | None
    version: int | None
    idle_ttl: IdleTtl


class SignedIn(NamedTuple):
    """What a sign-in did."""

    handle: SessionHandle
    is_new: bool
    evicted: list[SessionHandle]


class Found(NamedTuple):
    """A live row, and when it was read."""

    row: Row
    now: datetime
