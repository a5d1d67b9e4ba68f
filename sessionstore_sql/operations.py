"""The operations as work on one connection: statements, and what their counts mean.

Each is a plain function that SQLAlchemy runs in a greenlet, so the same code serves a
connection of the pool and the caller's own. They raise causes (``UnknownIdError``); the store
adds whose operation it was.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.exc import IntegrityError

from sessionstore_sql.dialects import Failure
from sessionstore_sql.dialects.purging import purge_parameters
from sessionstore_sql.dialects.sending import is_autocommit
from sessionstore_sql.errors import DatabaseError, DuplicateIdError, UnknownIdError
from sessionstore_sql.records import MAX_TTL
from sessionstore_sql.schema import key_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sessionstore_sql.dialects import Dialect
    from sessionstore_sql.dialects.compiled import CompiledStatement
    from sessionstore_sql.records import SessionId
    from sessionstore_sql.statements import Statements

_MICROSECOND = timedelta(microseconds=1)
_MAX_MICROSECONDS = MAX_TTL // _MICROSECOND

_BINARY = (bytes, bytearray, memoryview)
"""What drivers return of a binary column."""

_COLLISIONS = 10
"""How often a row may vanish between two statements before a call gives up."""

_UNBOUNDED_BATCH = 1_000
"""How many rows one statement removes where the caller set no bound."""


class Purge(NamedTuple):
    """What one purge did."""

    removed: int
    is_last: bool
    """Whether another one would find nothing."""


@dataclass(slots=True)
class Backlog:
    """What one call of ``delete_expired`` remembers from purge to purge."""

    chosen: list[bytes] = field(default_factory=list)
    """Keys still to be removed."""
    is_all: bool = False
    """Whether they were all there was to choose."""
    tried: set[bytes] = field(default_factory=set)
    """Keys that could not all be removed, as someone had some locked."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations on one table of one kind of database."""

    dialect: Dialect
    statements: Statements

    def create(
        self, connection: Connection, session_id: SessionId, state: bytes, ttl: timedelta
    ) -> None:
        """Insert, or replace an expired row."""
        self._require_room(connection, state)
        row = {"key": key_of(session_id), "state": state, "ttl": microseconds(ttl)}
        if self.dialect.upsert is not None:
            if self.statements.create.count(connection, row) == 0:
                raise DuplicateIdError(session_id)
            return
        for _ in range(_COLLISIONS):
            if self._try(connection, self.statements.create, row) is not None:
                return
            if self.statements.replace_expired.count(connection, row) == 1:
                return
            self._require_not_live(connection, session_id)
        raise _restless()

    def update(
        self, connection: Connection, session_id: SessionId, state: bytes, ttl: timedelta
    ) -> None:
        """Replace state and deadline of a live row."""
        self._require_room(connection, state)
        row = {"key": key_of(session_id), "state": state, "ttl": microseconds(ttl)}
        if self.statements.update.count(connection, row) == 0:
            raise UnknownIdError(session_id)

    def update_ttl(self, connection: Connection, session_id: SessionId, ttl: timedelta) -> None:
        """Replace the deadline of a live row."""
        row = {"key": key_of(session_id), "ttl": microseconds(ttl)}
        if self.statements.update_ttl.count(connection, row) == 0:
            raise UnknownIdError(session_id)

    def load(
        self, connection: Connection, session_id: SessionId
    ) -> tuple[bytes | None, timedelta] | None:
        """Return the state of a live row and the life that remains; see ``as_loaded``."""
        rows = self.statements.load.rows(connection, {"key": key_of(session_id)})
        return as_loaded(*rows[0]) if rows else None

    def delete(self, connection: Connection, session_id: SessionId) -> None:
        """Remove a live row."""
        if self.statements.delete.count(connection, {"key": key_of(session_id)}) == 0:
            raise UnknownIdError(session_id)

    def change_id(self, connection: Connection, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live row another key, first removing an expired row that has it."""
        if old_id == new_id:
            self._require_not_live(connection, new_id)
            raise UnknownIdError(old_id)
        keys = {"key": key_of(old_id), "new_key": key_of(new_id)}
        for _ in range(_COLLISIONS):
            count = self._try(connection, self.statements.change_id, keys)
            if count == 0:
                raise UnknownIdError(old_id)
            if count is not None:
                return
            expired = {"key": keys["new_key"]}
            if self.statements.delete_if_expired.count(connection, expired) == 0:
                self._require_not_live(connection, new_id)
        raise _restless()

    def count_expired(self, connection: Connection) -> int:
        """Return how many rows are expired."""
        return int(self.statements.expired_count.rows(connection, {})[0][0])

    def purge_limit(self, wanted: int | None) -> int:
        """Return for how many rows to ask in one purge, where so many are wanted, or all."""
        return min(
            _UNBOUNDED_BATCH if wanted is None else wanted,
            self.dialect.largest_purge,
        )

    def purge(self, connection: Connection, limit: int, backlog: Backlog) -> Purge:
        """Remove expired rows, oldest first, at most ``limit``.

        Args:
            connection: To the database.
            limit: From ``purge_limit``.
            backlog: Of the same call of ``delete_expired``; one statement has none.
        """
        if self.statements.purge is not None:
            count = self.statements.purge.count(connection, purge_parameters(limit))
            return Purge(count, is_last=count < limit)
        # Choosing reads without locks. Deleting by key locks only the rows that go, in the order
        # in which updates lock them too, and skips those that someone else has (hazard M7).
        by_key = self.statements.purge_by_key
        assert by_key is not None
        if not backlog.chosen:
            wanted = limit + len(backlog.tried)
            found = by_key.choose(connection, wanted)
            untried = [key for key in found if key not in backlog.tried]
            backlog.chosen = sorted(untried[:limit])
            backlog.is_all = len(found) < wanted and len(untried) <= limit
        part = backlog.chosen[: by_key.largest_part]
        count = by_key.remove(connection, part) if part else 0
        if count < len(part):
            backlog.tried.update(part)
        # Only now: if it failed, these keys are tried again.
        del backlog.chosen[: len(part)]
        return Purge(count, is_last=not part or (backlog.is_all and not backlog.chosen))

    def _try(
        self, connection: Connection, statement: CompiledStatement, parameters: dict[str, Any]
    ) -> int | None:
        """Execute and return the count; ``None`` if the key it would give is taken.

        A transaction that an error would abort is kept usable by a savepoint, where there is one.
        """
        aborts = self.dialect.error_aborts_transaction and not is_autocommit(connection)
        try:
            with connection.begin_nested() if aborts else nullcontext():
                return statement.count(connection, parameters)
        except IntegrityError as error:
            if self.dialect.classify(error.orig or error) is not Failure.DUPLICATE_KEY:
                raise
        return None

    def _require_not_live(self, connection: Connection, session_id: SessionId) -> None:
        parameters = {"key": key_of(session_id)}
        if self.statements.lock_live.rows(connection, parameters):
            raise DuplicateIdError(session_id)

    def _require_room(self, connection: Connection, state: bytes) -> None:
        limit = self.dialect.state_limit(connection, len(state))
        if limit is not None and len(state) > limit:
            raise DatabaseError(
                f"a state of {len(state)} bytes is more than the server takes: with its "
                f"max_allowed_packet, at most about {limit} bytes"
            )


def microseconds(ttl: timedelta) -> int:
    """Return ``ttl`` as statements bind it."""
    return ttl // _MICROSECOND


def as_loaded(state: object, remaining: float) -> tuple[bytes | None, timedelta]:
    """Return the state of a row and its remaining life, as a record holds it.

    ``None`` in place of a state that cannot be read: SQLite lets anything be written by hand, to
    either column. A text for a deadline is later than every number, and yet no life remains. To
    make bytes of a number would make as many as it says.
    """
    # A deadline written by hand may lie further off than any record's can.
    life = _MICROSECOND * remaining if 0 < remaining < _MAX_MICROSECONDS else MAX_TTL
    if not isinstance(state, _BINARY) or remaining <= 0:
        return None, life
    return bytes(state), life


def _restless() -> DatabaseError:
    return DatabaseError(
        "the id is taken by a session that kept appearing and vanishing, or that this "
        "transaction cannot see; try again",
        transient=True,
    )
