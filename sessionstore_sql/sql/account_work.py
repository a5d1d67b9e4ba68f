"""Work on a subject's sessions that is one statement on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore_sql.sql.dialects.clauses import digest_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from sessionstore_sql.sql.operation_kinds import SessionTable

_MAX_LIMIT = 2**63 - 1


def bounded(limit: int) -> int:
    """Return ``limit`` as a number that every driver sends and every database takes.

    More than the largest number of a database is no limit. The drivers of MySQL and MariaDB send
    an instance of a derived class, such as a member of an ``IntEnum``, as text.
    """
    return min(int(limit), _MAX_LIMIT)


def rows_of(
    connection: Connection, table: SessionTable, digests: Sequence[bytes], limit: int
) -> Sequence[Any]:
    """Return what ``SessionInfo`` needs of a subject's live sessions."""
    bound = {**digest_parameters(digests), "limit": bounded(limit)}
    return table.statements.accounts.sessions_of.rows(connection, bound)


def end_by_key(connection: Connection, table: SessionTable, key: bytes) -> bool:
    """Remove a row, live or expired, and return whether there was one."""
    return bool(table.statements.discard.count(connection, {"key": key}))
