"""The texts of many sign-ins on MySQL and MariaDB."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from sessionstore_sql.sql.dialects.base import KEEP
from sessionstore_sql.sql.dialects.mysql.parts import Text, new_keys_of, of_each, states_of, ttl_of
from sessionstore_sql.sql.dialects.mysql.texts import BY_KEY, BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.sql.dialects.signing_in import SignInRow

_COLUMNS = (
    "id, deadline, state, handle, created, authenticated, seen, final_deadline, idle_ttl, version, "
    "about, subject"
)


def insertion(name: str, clock: str, rows: Sequence[SignInRow]) -> Text:
    """Return the INSERT of sign-ins without a session before."""
    value = (
        f"({BYTES}, {clock} + %s, {BYTES}, {BYTES}, {clock}, {clock}, {clock}, {clock} + %s, "
        f"%s, %s, {BYTES}, {BYTES})"
    )
    values = ", ".join([value] * len(rows))
    bound = tuple(
        part
        for row in rows
        for part in (
            *(row.key.hex(), row.ttl, row.state.hex(), row.handle.hex(), row.lifetime),
            *(row.own_idle_ttl, row.version, row.about.hex(), row.subject.hex()),
        )
    )
    return Text(f"INSERT INTO {name} ({_COLUMNS}) VALUES {values}", bound)


def moving(name: str, clock: str, rows: Sequence[SignInRow]) -> Text:
    """Return the UPDATE of sign-ins from live sessions, without its condition.

    The servers assign from left to right, and what follows an assignment sees the new value. So the
    subject, which others are compared with, comes after them, and the id, which tells the rows
    apart, is the last one.
    """
    is_same = _is_same(rows)
    handle = of_each(rows, BYTES, [row.handle.hex() for row in rows])
    lifetime = of_each(rows, "%s", [row.lifetime for row in rows])
    about = of_each(rows, BYTES, [row.about.hex() for row in rows])
    keeps_about = of_each(rows, "%s", [row.keeps_about for row in rows])
    subject = of_each(rows, BYTES, [row.subject.hex() for row in rows])
    assigned = {
        "deadline": _text(f"{clock} + ", ttl_of(rows)),
        "state": states_of(rows),
        "handle": _text("CASE WHEN ", is_same, " THEN handle ELSE ", handle, " END"),
        "created": _text("CASE WHEN ", is_same, f" THEN created ELSE {clock} END"),
        "authenticated": Text(clock),
        "seen": Text(clock),
        "final_deadline": _text(f"{clock} + ", lifetime),
        "idle_ttl": _idle_ttl(rows, is_same),
        "version": of_each(rows, "%s", [row.version for row in rows]),
        "about": _text(
            "CASE WHEN ", keeps_about, " = 1 AND ", is_same, " THEN about ELSE ", about, " END"
        ),
        "subject": subject,
        "id": new_keys_of(rows),
    }
    texts = ", ".join(f"{column} = {value.text}" for column, value in assigned.items())
    bound = tuple(chain.from_iterable(value.bound for value in assigned.values()))
    return Text(f"UPDATE {name} {BY_KEY} SET {texts}", bound)


def _is_same(rows: Sequence[SignInRow]) -> Text:
    """Return the condition that a row is that of the subject."""
    digests = [
        of_each(rows, BYTES, [digest.hex() for digest in of_all])
        for of_all in zip(*(row.digests for row in rows), strict=True)
    ]
    bound = tuple(chain.from_iterable(digest.bound for digest in digests))
    return Text(f"subject IN ({', '.join(digest.text for digest in digests)})", bound)


def _idle_ttl(rows: Sequence[SignInRow], is_same: Text) -> Text:
    given = of_each(rows, "%s", [row.idle_ttl for row in rows])
    return _text(
        *("CASE WHEN ", given, f" <> {KEEP} THEN NULLIF(", given, ", 0) "),
        *("WHEN subject IS NULL OR ", is_same, " THEN idle_ttl END"),
    )


def _text(*parts: Text | str) -> Text:
    """Return the parts in one."""
    texts = [Text(part) if isinstance(part, str) else part for part in parts]
    bound: tuple[Any, ...] = tuple(chain.from_iterable(text.bound for text in texts))
    return Text("".join(text.text for text in texts), bound)
