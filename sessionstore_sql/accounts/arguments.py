"""Checks of arguments that every implementation of ``AccountSessionBackend`` makes before any I/O.

There is one function for each operation. They raise ``TypeError`` and ``ValueError``, and no
message shows a value.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sessionstore_sql.accounts.sessions import (
    MAX_VERSION,
    UNCHANGED,
    AccountReference,
    AccountSession,
    SessionHandle,
)
from sessionstore_sql.accounts.subjects import require_subject
from sessionstore_sql.records import MAX_TTL, require_id, require_record

if TYPE_CHECKING:
    from sessionstore_sql.accounts.sessions import IdleTtl


def check_sign_in(  # noqa: PLR0913  # the arguments of the operation
    old_id: object,
    new_id: object,
    record: object,
    *,
    subject: object,
    about: object,
    lifetime: timedelta | None,
    max_sessions: int | None,
    version: int | None,
    idle_ttl: IdleTtl,
) -> None:
    """Check the arguments of ``sign_in``."""
    if old_id is not None:
        require_id(old_id)
    require_id(new_id)
    require_record(record)
    require_subject(subject)
    require_about(about)
    require_lifetime(lifetime)
    require_max_sessions(max_sessions)
    if version is not None:
        require_version(version)
        if old_id is None:
            raise ValueError("version goes with old_id: a session that begins has no version yet")
    require_idle_ttl(idle_ttl)


def check_sessions_of(subject: object, limit: object) -> None:
    """Check the arguments of ``sessions_of``."""
    require_subject(subject)
    _require_count(limit, "limit")


def check_revoke(subject: object, only: object, keep: object) -> None:
    """Check the arguments of ``revoke``."""
    require_subject(subject)
    for handle, name in ((only, "only"), (keep, "keep")):
        if handle is not None and not isinstance(handle, SessionHandle):
            raise TypeError(f"{name} is a SessionHandle, not {type(handle).__name__}")
    if only is not None and keep is not None:
        raise ValueError("only and keep contradict each other: give one of them")


def check_sign_out(session_id: object, session: object) -> AccountReference | None:
    """Check the arguments of ``sign_out``, and return whose session it is."""
    require_id(session_id)
    if not isinstance(session, AccountSession):
        raise TypeError(f"session is an AccountSession, not {type(session).__name__}")
    if session.account is not None and not isinstance(session.account, AccountReference):
        raise TypeError("session.account is what load_session returned")
    return session.account


def check_replace(
    old_id: object, new_id: object, record: object, *, version: int | None, idle_ttl: IdleTtl
) -> None:
    """Check the arguments of ``replace``."""
    require_id(old_id)
    require_id(new_id)
    require_record(record)
    if version is not None:
        require_version(version)
    require_idle_ttl(idle_ttl)


def check_update_if(session_id: object, record: object, version: object, idle_ttl: IdleTtl) -> None:
    """Check the arguments of ``update_if``."""
    require_id(session_id)
    require_record(record)
    require_version(version)
    require_idle_ttl(idle_ttl)


def require_about(about: object) -> None:
    """Raise ``TypeError`` unless ``about`` is ``None`` or a dict."""
    if about is not None and not isinstance(about, dict):
        raise TypeError(f"about is a dict, not {type(about).__name__}")


def require_lifetime(lifetime: object) -> None:
    """Raise unless ``lifetime`` is ``None`` or a duration from 1 microsecond to 36,525 days."""
    if lifetime is not None:
        _require_duration(lifetime, "lifetime")


def require_max_sessions(max_sessions: object) -> None:
    """Raise unless ``max_sessions`` is ``None`` or an int of at least 1."""
    if max_sessions is not None:
        _require_count(max_sessions, "max_sessions")


def require_idle_ttl(idle_ttl: object) -> None:
    """Raise unless ``idle_ttl`` is ``UNCHANGED``, ``None`` or a duration."""
    if idle_ttl is not None and idle_ttl is not UNCHANGED:
        _require_duration(idle_ttl, "idle_ttl")


def require_version(version: object) -> None:
    """Raise unless ``version`` is an int such as ``AccountSession.version``."""
    if not isinstance(version, int) or isinstance(version, bool):
        raise TypeError(f"version is an int, not {type(version).__name__}")
    if not 0 <= version <= MAX_VERSION:
        raise ValueError("version is one that load_session or update_if returned")


def _require_duration(value: object, name: str) -> None:
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} is a timedelta, not {type(value).__name__}")
    if not timedelta(0) < value <= MAX_TTL:
        raise ValueError(f"{name} is more than zero and at most {MAX_TTL.days} days")


def _require_count(value: object, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is an int, not {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} is at least 1")
