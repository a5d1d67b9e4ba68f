"""Many rows in one value, on MySQL and MariaDB: a row costs the drivers more than the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore_sql.accounts.sessions import HANDLE_BYTES
from sessionstore_sql.records import KEY_BYTES
from sessionstore_sql.schema import SUBJECT_BYTES
from sessionstore_sql.sql.dialects.mysql.texts import with_long_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

_DIGITS = 20
"""Width of a number: as many characters as the longest one has, with its sign."""

_SESSION_START = KEY_BYTES + 7 * _DIGITS
_REMAINING_END, _STATE_START = KEY_BYTES + _DIGITS, KEY_BYTES + _DIGITS + 10
"""Where the parts of a row end and begin."""


def select_load(connection: Connection, name: str, clock: str, condition: str) -> str:
    """Return the text that selects, of each row, what ``load`` reads, and their total size."""
    packed = (
        f"GROUP_CONCAT({name}.id, LPAD({name}.deadline - {clock}, {_DIGITS}, '0'), "
        f"LPAD(LENGTH({name}.state), 10, '0'), {name}.state SEPARATOR '')"
    )
    size = f"SUM({_STATE_START} + LENGTH({name}.state))"
    return with_long_values(connection, f"{size}, {packed} FROM {name} WHERE {condition}")


def unpacked_load(value: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Return key, state and remaining microseconds of each row."""
    at = 0
    while at < len(value):
        start = at + _STATE_START
        end = start + int(value[at + _REMAINING_END : start])
        remaining = int(value[at + KEY_BYTES : at + _REMAINING_END])
        yield value[at : at + KEY_BYTES], value[start:end], remaining
        at = end


def session_columns(name: str, clock: str) -> str:
    """Return all that ``load_session`` reads of a row, in the order of ``SessionColumns``."""
    return (
        f"{name}.state, {name}.deadline - {clock}, {name}.subject, {name}.handle, "
        f"{clock} - {name}.authenticated, {name}.final_deadline - {clock}, {name}.version, "
        f"{name}.idle_ttl, {name}.about"
    )


def select_sessions(connection: Connection, name: str, clock: str, condition: str) -> str:
    """Return the text that selects, of each row, what ``load_session`` reads, and their size.

    Numbers have a fixed width, and are blank for NULL. Subject and handle have a fixed length, so
    ``about`` follows them in the same piece.
    """
    account = f"COALESCE(CONCAT({name}.subject, {name}.handle, COALESCE({name}.about, '')), '')"
    numbers = (
        f"LENGTH({name}.state)",
        f"LENGTH({account})",
        f"{name}.deadline - {clock}",
        f"{clock} - {name}.authenticated",
        f"{name}.final_deadline - {clock}",
        f"{name}.version",
        f"{name}.idle_ttl",
    )
    fixed = ", ".join(f"LPAD(COALESCE({number}, ''), {_DIGITS}, ' ')" for number in numbers)
    packed = f"GROUP_CONCAT({name}.id, {fixed}, {name}.state, {account} SEPARATOR '')"
    size = f"SUM({_SESSION_START} + LENGTH({name}.state) + LENGTH({account}))"
    return with_long_values(connection, f"{size}, {packed} FROM {name} WHERE {condition}")


def unpacked_sessions(value: bytes) -> Iterator[Sequence[Any]]:
    """Return the key and the ``SessionColumns`` of each row."""
    at = 0
    while at < len(value):
        start = at + _SESSION_START
        numbers = [
            int(digits) if (digits := value[place : place + _DIGITS].strip()) else None
            for place in range(at + KEY_BYTES, start, _DIGITS)
        ]
        size, length, remaining, ago, ends, version, idle = numbers
        end = start + (size or 0)
        handle, about = end + SUBJECT_BYTES, end + SUBJECT_BYTES + HANDLE_BYTES
        state, key = value[start:end], value[at : at + KEY_BYTES]
        at = end + (length or 0)
        subject = value[end:handle] if length else None
        yield (
            *(key, state, remaining, subject, value[handle:about] if length else None),
            *(ago, ends, version, idle, value[about:at] if length else None),
        )
