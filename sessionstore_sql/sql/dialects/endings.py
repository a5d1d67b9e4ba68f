"""Ending the sessions of one subject: what every database has to offer for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


class Ended(NamedTuple):
    """What a call, or one step of it, has ended."""

    handles: Sequence[bytes]
    is_last: bool
    """Whether another step would find nothing to end."""


class Endings(Protocol):
    """Ends sessions of one subject in one table.

    Nothing that another transaction does to a session meanwhile lets it escape: neither a rotation,
    which moves its row behind the scan of a statement, nor a write.
    """

    def require_isolation(self, connection: Connection) -> None:
        """Raise ``ValueError`` unless the transaction of ``connection`` lets no session escape."""
        ...

    def revoke(
        self,
        connection: Connection,
        digests: Sequence[bytes],
        *,
        only: bytes | None = None,
        keep: bytes | None = None,
        bound: bool = False,
    ) -> Ended:
        """End sessions, live or expired, in steps of a size that is a matter of milliseconds.

        Args:
            connection: In a transaction, that of the caller.
            digests: Under which the subject may be found.
            only: The handle of the only session to end.
            keep: The handle of the only session to keep.
            bound: Whether the transaction is the caller's.
        """
        ...

    def trim(
        self,
        connection: Connection,
        digests: Sequence[bytes],
        limit: int,
        *,
        newest: bytes,
        bound: bool = False,
    ) -> Ended:
        """End the oldest live sessions above ``limit``.

        The order is one that never changes. By the last use, two calls at once could disagree, and
        end too many.

        Args:
            connection: In a transaction, that of the caller.
            digests: Under which the subject may be found.
            limit: How many sessions are left.
            newest: The handle of the session that was signed in, which is newer than others of the
                same time where the clock is not fine enough to tell.
            bound: Whether the transaction is the caller's.
        """
        ...
