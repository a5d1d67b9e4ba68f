"""Ending the sessions of one subject on PostgreSQL, in a transaction of the caller's too."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, bindparam, func, select

from sessionstore_sql.sql.compiled import CompiledStatement
from sessionstore_sql.sql.dialects.returning_endings import ReturningEndings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Table

    from sessionstore_sql.sql.dialects.base import Dialect
    from sessionstore_sql.sql.dialects.endings import Ended

_PREFIX = b"sessionstore limit\0"
"""Keeps these locks apart from those of upgrades."""


class PostgreSQLEndings(ReturningEndings):
    """``ReturningEndings`` whose limits hold among transactions of the caller's."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        super().__init__(table, dialect)
        lock = bindparam("lock", type_=BigInteger())
        self._wait = CompiledStatement(select(func.pg_advisory_xact_lock(lock)))

    def trim(
        self,
        connection: Connection,
        digests: Sequence[bytes],
        limit: int,
        *,
        newest: bytes,
        bound: bool = False,
    ) -> Ended:
        """End the oldest sessions. In the caller's transaction, wait for others that do so first.

        Their sign-ins are not committed yet, so none would see the others', and all would stay. At
        READ COMMITTED, the statement after the wait sees them.
        """
        if bound:
            for lock in sorted(map(_lock_of, digests)):
                self._wait.rows(connection, {"lock": lock})
        return super().trim(connection, digests, limit, newest=newest, bound=bound)


def _lock_of(digest: bytes) -> int:
    """Return the key of the lock that limits of a subject take: 64 bits of a hash."""
    return int.from_bytes(hashlib.sha256(_PREFIX + digest).digest()[:8], signed=True)
