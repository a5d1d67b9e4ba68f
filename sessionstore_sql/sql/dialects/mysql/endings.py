"""Ending the sessions of one subject on MySQL and MariaDB: lock all of them, then delete by key."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql.sql.compiled import change_text, fetch_text
from sessionstore_sql.sql.dialects.endings import Ended
from sessionstore_sql.sql.dialects.mysql.texts import (
    BY_KEY,
    BYTES,
    markers,
    names,
    of_safe_updates,
)
from sessionstore_sql.sql.direct import is_autocommit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Table

LARGEST_STEP = 1_000
"""Maximum number of sessions that one transaction ends: a fraction of a second."""

_LARGEST_PART = 125
"""Maximum number of keys in one statement: from 1,000 on, MariaDB may scan the table for them."""

_ALL = 2**63 - 1

_LEVEL = "REPEATABLE READ"
_STRICT_ENOUGH = {_LEVEL, "SERIALIZABLE"}


class LockingEndings:
    """``Endings`` in a transaction that locks the entries of a subject, and the gaps between them.

    A rotation moves a row to another place in the index on the subject. At READ COMMITTED, that may
    be behind the scan of a DELETE: of 120 revocations, sessions survived 16 on MariaDB 10.11, and
    19 on MySQL 9.7. At REPEATABLE READ, the scan locks the gaps, so the rotation waits, or one of
    the two is rolled back as a deadlock and tried again.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def require_isolation(self, connection: Connection) -> None:
        """Raise ``ValueError`` below REPEATABLE READ."""
        level = connection.get_isolation_level()
        if level not in _STRICT_ENOUGH:
            raise ValueError(
                f"at {level}, a session that is being rotated would escape: bind a connection "
                "whose isolation level is REPEATABLE READ"
            )

    def revoke(
        self,
        connection: Connection,
        digests: Sequence[bytes],
        *,
        only: bytes | None = None,
        keep: bytes | None = None,
        bound: bool = False,
    ) -> Ended:
        """End at most 1,000 sessions. The last step finds fewer, as it has read all entries."""
        condition, handle = "", only if keep is None else keep
        if handle is not None:
            condition = f" AND {'' if keep is None else 'NOT '}handle <=> {BYTES}"
        values = [*digests, *([] if handle is None else [handle])]
        with _repeatable_read(connection, bound=bound):
            found = self._locked(connection, digests, f"{condition} LIMIT {LARGEST_STEP}", values)
            self._delete(connection, [key for key, _ in found])
        return Ended([handle for _, handle in found], is_last=len(found) < LARGEST_STEP)

    def trim(
        self,
        connection: Connection,
        digests: Sequence[bytes],
        limit: int,
        *,
        newest: bytes,  # noqa: ARG002  # the clock counts microseconds
        bound: bool = False,
    ) -> Ended:
        """End the oldest sessions, in a second step: one statement may not do both (error 1093)."""
        _, clock = names(self._table, connection)
        is_live = f" AND deadline > {clock}"
        oldest = f" ORDER BY created DESC, handle DESC LIMIT {_ALL} OFFSET {limit}"
        with _repeatable_read(connection, bound=bound):
            found = self._locked(connection, digests, f"{is_live}{oldest}", digests)
            self._delete(connection, [key for key, _ in found])
        return Ended([handle for _, handle in found], is_last=True)

    def _locked(
        self, connection: Connection, digests: Sequence[bytes], rest: str, values: Sequence[bytes]
    ) -> Sequence[tuple[bytes, bytes]]:
        """Return key and handle of the sessions, all of whose entries are locked.

        By the index on the subject: on a table of a few pages, the optimizer would scan the table,
        and so lock the sessions of other users.
        """
        name, _ = names(self._table, connection)
        index = connection.dialect.identifier_preparer.quote(f"{self._table.name}_subject")
        text = (
            f"SELECT id, handle FROM {name} FORCE INDEX ({index}) "
            f"WHERE subject IN ({markers(digests)}){rest} FOR UPDATE"
        )
        return fetch_text(connection, text, tuple([each.hex() for each in values]))

    def _delete(self, connection: Connection, keys: Sequence[bytes]) -> None:
        name, _ = names(self._table, connection)
        for start in range(0, len(keys), _LARGEST_PART):
            part = keys[start : start + _LARGEST_PART]
            text = f"DELETE {name} FROM {name} {BY_KEY} WHERE id IN ({markers(part)})"
            text = of_safe_updates(connection, text)
            change_text(connection, text, tuple([key.hex() for key in part]))


@contextmanager
def _repeatable_read(connection: Connection, *, bound: bool) -> Iterator[None]:
    """Do what follows in one transaction at REPEATABLE READ, and commit it.

    A transaction of the caller's has that level already. On another connection that is not in
    autocommit, nothing was changed before, and the executor commits.
    """
    if bound or not is_autocommit(connection):
        if not bound:
            connection.rollback()
            connection.exec_driver_sql(f"SET TRANSACTION ISOLATION LEVEL {_LEVEL}")
        yield
        return
    change_text(connection, f"SET TRANSACTION ISOLATION LEVEL {_LEVEL}", ())
    change_text(connection, "START TRANSACTION", ())
    try:
        yield
        change_text(connection, "COMMIT", ())
    except Exception:
        # A deadlock has ended the transaction, but the timeout of a lock has not.
        if not connection.invalidated:
            with suppress(SQLAlchemyError):
                change_text(connection, "ROLLBACK", ())
        raise
