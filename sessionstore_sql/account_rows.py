"""Rows of account sessions become what the operations return, and the other way round."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sessionstore_sql.accounts.about import decode_about
from sessionstore_sql.accounts.sessions import (
    HANDLE_BYTES,
    MAX_VERSION,
    UNCHANGED,
    AccountReference,
    AccountSession,
    SessionHandle,
    SessionInfo,
)
from sessionstore_sql.errors import DeserializationError
from sessionstore_sql.schema import SUBJECT_BYTES
from sessionstore_sql.sql.dialects.base import ANY_VERSION, KEEP
from sessionstore_sql.sql.operations import BINARY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.codec import StateCodec
    from sessionstore_sql.records import SessionRecord
    from sessionstore_sql.sql.dialects.clauses import SessionColumns

_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_MAX_MICROSECONDS = timedelta.max // _MICROSECOND


def idle_microseconds(idle_ttl: IdleTtl) -> int:
    """Return ``idle_ttl`` as a row has it."""
    if idle_ttl is UNCHANGED:
        return KEEP
    return 0 if idle_ttl is None else idle_ttl // _MICROSECOND


def expected_version(version: int | None) -> int:
    """Return ``version`` as a row has it.

    The drivers of MySQL and MariaDB send an instance of a derived class as text, which the servers
    compare with a number as floating point: close versions would be equal.
    """
    return ANY_VERSION if version is None else int(version)


def account_session(
    columns: SessionColumns, record: SessionRecord, codec: StateCodec
) -> AccountSession:
    """Return a loaded session.

    Args:
        columns: What was read of its row.
        record: Its state and remaining time to live.
        codec: Decodes ``about``.

    Raises:
        DeserializationError: A value is of another type than its column.
    """
    _, _, subject, handle, ago, ends_in, version, idle_ttl, about = columns
    if subject is None:
        return AccountSession(
            record=record,
            handle=None,
            authenticated_ago=None,
            ends_in=_duration(ends_in),
            version=_version(version),
            account=None,
            idle_ttl=_duration(idle_ttl),
        )
    digest, name = _bytes(subject, SUBJECT_BYTES), _bytes(handle, HANDLE_BYTES)
    return AccountSession(
        record=record,
        handle=SessionHandle.from_bytes(name),
        authenticated_ago=_duration(ago),
        ends_in=_duration(ends_in),
        version=_version(version),
        account=AccountReference((digest,), name),
        idle_ttl=_duration(idle_ttl),
        subject=decode_about(codec, _optional_bytes(about)).subject,
    )


def session_info(columns: Sequence[Any], codec: StateCodec) -> SessionInfo:
    """Return an entry of a user's list of sessions. An ``about`` that is damaged is empty.

    Raises:
        DeserializationError: Another value is of another type than its column.
    """
    handle, created, seen, authenticated, deadline, final_deadline, about = columns
    return SessionInfo(
        handle=SessionHandle.from_bytes(_bytes(handle, HANDLE_BYTES)),
        created=_time(created),
        seen=_time(seen),
        authenticated=_time(authenticated),
        expires=_time(deadline),
        ends=None if final_deadline is None else _time(final_deadline),
        about=decode_about(codec, _optional_bytes(about)).about,
    )


def _time(microseconds: object) -> datetime:
    if not isinstance(microseconds, int):
        raise _wrong_type()
    # A time written by hand may be later than any that Python has.
    return _EPOCH + timedelta(microseconds=max(0, min(microseconds, _LATEST)))


def _duration(microseconds: object) -> timedelta | None:
    if microseconds is None:
        return None
    # Of any size, if it was written by hand.
    if isinstance(microseconds, int) and abs(microseconds) <= _MAX_MICROSECONDS:
        return timedelta(microseconds=microseconds)
    raise _wrong_type()


def _version(version: object) -> int:
    """Return a version; 0 for a row that was written before revision 0002."""
    if version is None:
        return 0
    if not isinstance(version, int) or not 0 <= version <= MAX_VERSION:
        raise _wrong_type()
    return version


def _bytes(value: object, length: int) -> bytes:
    if not isinstance(value, BINARY) or len(value) != length:
        raise _wrong_type()
    return bytes(value)


def _optional_bytes(value: object) -> bytes | None:
    """Return bytes, of which others make nothing if they cannot be decoded."""
    return bytes(value) if isinstance(value, BINARY) else None


def _wrong_type() -> DeserializationError:
    return DeserializationError("a stored value is of another type than its column")
