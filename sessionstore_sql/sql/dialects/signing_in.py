"""What a sign-in stores, and the columns that it sets, for one row or for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, case, literal_column, null, or_

from sessionstore_sql.sql.dialects.base import KEEP, Row
from sessionstore_sql.sql.dialects.clauses import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, FromClause


@dataclass(slots=True, eq=False, repr=False)
class SignInRow(Row):
    """What a sign-in stores."""

    digests: tuple[bytes, ...] = ()
    """Under which the subject may be found, the one that is written first."""
    handle: bytes = b""
    """Of a session that was not the subject's before."""
    about: bytes = b""
    keeps_about: int = 0
    """1 if re-authentication leaves ``about`` as it is."""
    lifetime: int | None = None
    """In microseconds."""
    stored_handle: bytes = b""
    """The handle that the session has, which the write that signs in finds out. Empty: the session
    was not the subject's before, or another call has ended it since."""

    @property
    def subject(self) -> bytes:
        """The digest that is written."""
        return self.digests[0]

    @property
    def own_idle_ttl(self) -> int | None:
        """The idle time of a new session."""
        return self.idle_ttl if self.idle_ttl > 0 else None

    @property
    def size_bytes(self) -> int:
        """The number of bytes that the row adds to a statement, apart from what is short."""
        return len(self.state) + len(self.about)


class SignInColumns(NamedTuple):
    """What sign-ins give to rows: the parameters of one, or the columns of a table of many."""

    ttl: ColumnElement[int]
    state: ColumnElement[bytes]
    version: ColumnElement[int]
    idle_ttl: ColumnElement[Any]
    handle: ColumnElement[bytes]
    about: ColumnElement[bytes]
    lifetime: ColumnElement[Any]
    subject: ColumnElement[bytes]


def columns_of_sign_in(given: SignInColumns) -> dict[str, Any]:
    """Return what a row gets that no session had before: all columns but the id."""
    return {
        "deadline": now() + given.ttl,
        "state": given.state,
        "handle": given.handle,
        "created": now(),
        "authenticated": now(),
        "seen": now(),
        # NULL if the lifetime is.
        "final_deadline": now() + given.lifetime,
        "idle_ttl": given.idle_ttl,
        "version": given.version,
        "about": given.about,
        "subject": given.subject,
    }


def changes_of_sign_in(
    table: FromClause,
    given: SignInColumns,
    keeps_about: ColumnElement[int],
    digests: Sequence[ColumnElement[bytes]],
) -> dict[str, Any]:
    """Return what the row of a live session gets.

    Args:
        table: The session table.
        given: What the sign-in gives.
        keeps_about: 1 if re-authentication leaves ``about`` as it is.
        digests: Under which the subject may be found.
    """
    is_same = table.c.subject.in_(digests)
    # MySQL and MariaDB assign from left to right, so the subject, which other columns are compared
    # with, is the last one.
    return {
        **columns_of_sign_in(given),
        "handle": case((is_same, table.c.handle), else_=given.handle),
        "created": case((is_same, table.c.created), else_=now()),
        "idle_ttl": _idle_ttl(table, given.idle_ttl, is_same),
        "about": case(
            (and_(keeps_about == literal_column("1"), is_same), table.c.about),
            else_=given.about,
        ),
    }


def own_idle_ttl(given: ColumnElement[Any]) -> ColumnElement[int | None]:
    """Return the idle time of a new session, for a ``Row.idle_ttl``."""
    return case((given > literal_column("0"), given), else_=null())


def _idle_ttl(
    table: FromClause, given: ColumnElement[Any], is_same: ColumnElement[bool]
) -> ColumnElement[int | None]:
    """Return the idle time that a row gets. That of another subject is not kept."""
    is_kept = or_(table.c.subject.is_(None), is_same)
    return case(
        (given == literal_column("0"), null()),
        (given != literal_column(str(KEEP)), given),
        (is_kept, table.c.idle_ttl),
        else_=null(),
    )
