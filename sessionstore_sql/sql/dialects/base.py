"""The one interface behind which the differences between databases lie."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import LargeBinary, literal

from sessionstore_sql.sql.senders import BY_CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, ColumnElement, Connection, Engine, Table
    from sqlalchemy.types import TypeEngine

    from sessionstore_sql.sql.dialects.clauses import UpsertableInsert
    from sessionstore_sql.sql.dialects.connecting import Connector
    from sessionstore_sql.sql.dialects.endings import Endings
    from sessionstore_sql.sql.dialects.failure import Failure
    from sessionstore_sql.sql.dialects.signing_in import SignInRow
    from sessionstore_sql.sql.dialects.storage import Connections, Storage
    from sessionstore_sql.sql.dialects.upgrading import Wait
    from sessionstore_sql.sql.senders import Channel, Sender


KEEP = -1
"""As ``idle_ttl`` of a row: the session keeps the one it has. 0 removes it."""

ANY_VERSION = -1
"""As ``expected`` of a row: the write depends on no version."""


@dataclass(slots=True, eq=False, repr=False)
class Row:
    """What a call says of its session. What the operation does not need is empty.

    It is not frozen, as that would double the cost of making one. Nothing changes it. Its ``repr``
    shows no state, as tracebacks show the variables of a frame.
    """

    key: bytes
    ttl: int = 0
    """Time to live in microseconds."""
    state: bytes = b""
    new_key: bytes = b""
    version: int = 0
    """The version of the state from here on, chosen for this call."""
    expected: int = ANY_VERSION
    """The version that the stored state must have."""
    idle_ttl: int = KEEP
    """The session's own idle time in microseconds."""

    @property
    def size_bytes(self) -> int:
        """The number of bytes that the row adds to a statement, apart from what is short."""
        return len(self.state)


class Batches(Protocol):
    """The operations on many sessions at once. No session is given twice.

    Writes return the keys of the rows that they changed. They skip rows that another transaction
    has locked. Only ``create`` and ``begin`` wait, for another transaction that is inserting the
    same key. They say nothing about the other keys, which may be unknown, live already or locked.
    """

    def load(self, connection: Connection, keys: Sequence[bytes], /) -> Iterable[Any]:
        """Return key, state and remaining microseconds of the sessions that are live."""
        ...

    def live(self, connection: Connection, keys: Sequence[bytes], /) -> Collection[bytes]:
        """Return those of the keys that are live, as far as it is committed."""
        ...

    def create(self, connection: Connection, rows: Sequence[Row], /) -> Collection[bytes]:
        """Insert the rows, or replace expired ones."""
        ...

    def update(self, connection: Connection, rows: Sequence[Row], /) -> Collection[bytes]:
        """Replace state and deadline of the rows that are live."""
        ...

    def update_ttl(self, connection: Connection, rows: Sequence[Row], /) -> Collection[bytes]:
        """Replace the deadline of the rows that are live."""
        ...

    def update_if(self, connection: Connection, rows: Sequence[Row], /) -> Collection[bytes]:
        """Replace state and deadline of the rows that are live and have the expected version."""
        ...

    def change_id(self, connection: Connection, rows: Sequence[Row], /) -> Collection[bytes]:
        """Replace the keys of the rows that are live; return their old keys.

        Raises:
            IntegrityError: One of the new keys is taken; nothing was changed.
        """
        ...

    def replace(self, connection: Connection, rows: Sequence[Row], /) -> Collection[bytes]:
        """Do the same, and replace state and deadline, if they have the expected version."""
        ...

    def begin(self, connection: Connection, rows: Sequence[SignInRow], /) -> Collection[bytes]:
        """Insert the rows of sign-ins without a session, or replace expired ones."""
        ...

    def sign_in(self, connection: Connection, rows: Sequence[SignInRow], /) -> Collection[bytes]:
        """Sign in from the rows that are live and have the expected version; return their old keys.

        The given rows are told the handles that are stored.

        Raises:
            IntegrityError: One of the new keys is taken; nothing was changed.
        """
        ...

    def load_session(self, connection: Connection, keys: Sequence[bytes], /) -> Iterable[Any]:
        """Return the key, and what the statement for one row returns, of those that are live."""
        ...

    def delete(self, connection: Connection, rows: Sequence[Row], /) -> Collection[bytes]:
        """Remove the rows that are live."""
        ...


class Removed(NamedTuple):
    """What one step of a purge did."""

    rows: int
    """How many rows it removed."""
    is_last: bool
    """Whether another step would find nothing to remove."""


class Purge(Protocol):
    """One call of ``delete_expired``: a series of steps, each in a transaction of its own."""

    def step(
        self, connection: Connection, limit: int, *, exclusively: bool = False
    ) -> Removed | None:
        """Remove at most ``limit`` expired rows, oldest first.

        A step that failed may be repeated. It skips rows that another transaction has locked.

        Args:
            connection: The connection to use. In a transaction, that of the caller.
            limit: The number of rows, at most the purger's ``largest_step``.
            exclusively: Remove nothing while another exclusive step on the same table runs
                anywhere, and return ``None`` then.
        """
        ...


class Purger(Protocol):
    """Removes expired rows of one table."""

    largest_step: int
    """Maximum number of rows that one step removes."""

    def begin(self) -> Purge:
        """Return a new purge, which has not done a step yet."""
        ...


class Dialect(ABC):
    """What the store needs to know of one database.

    The attributes and methods have the value that most databases need. A database overrides what
    it does differently, and gives the reason there.
    """

    drivers: Mapping[str, str]
    """The supported drivers, the default one first, and the extra that installs each."""

    connector: Connector
    """Reads the options of a URL, and connects the drivers as they say."""

    binary: TypeEngine[bytes] = LargeBinary()
    """The type that bytes are bound as."""

    sender: Sender = BY_CURSOR
    """How a statement's text is sent to the driver."""

    error_aborts_transaction = False
    """Whether a failed statement makes the transaction around it unusable."""

    autocommit_is_free = False
    """Whether a connection switches to autocommit and back without a round trip."""

    has_one_writer = False
    """Whether all writes exclude each other, whatever rows they change."""

    statements_at_once = 2
    """How many batches of one operation are sent at once. Two keep the database busy while this
    process reads the result of another batch."""

    upsert: Callable[[Table], UpsertableInsert] | None = None
    """Returns an INSERT that can replace an expired row, and counts 0 for a live one. ``None``: the
    count would not tell the two apart, so an INSERT has to fail first."""

    small_state_bytes = sys.maxsize
    """Size in bytes up to which the server accepts any state, and is not asked for its limit."""

    answer_timeout_s: float | None = None
    """Seconds that a statement may take on an engine made by the store. It is longer than the
    server's own timeout, for a server or a network that has stopped answering. ``None``: no server
    or network is involved."""

    socket_of: Callable[[object], int | None] | None = None
    """Returns the file descriptor of a driver's connection; ``CLOSED`` if its socket is closed,
    ``None`` if the driver does not show it. ``None``: connections have no sockets."""

    unsolicited = b""
    """The first bytes of messages that a server sends to idle clients, other than its reason for
    closing the connection."""

    def channel_of(self, driver_connection: object) -> Channel | None:  # noqa: ARG002
        """Return a channel to a driver's connection; ``None`` if there is none for the driver."""
        return None

    def equals(self, column: ColumnElement[bytes], value: bytes) -> ColumnElement[bool]:
        """Return the condition that ``column`` holds ``value``, which may be of any size."""
        return column == literal(value, self.binary)

    @abstractmethod
    def batches(self, table: Table, lifetime: int | None = None, subjects: int = 1) -> Batches:
        """Return the operations on many sessions at once.

        Args:
            table: The session table.
            lifetime: The lifetime of sessions that ``create`` stores, in microseconds.
            subjects: Under how many digests a subject may be found.
        """

    @abstractmethod
    def endings(self, table: Table) -> Endings:
        """Return what ends the sessions of one subject."""

    @abstractmethod
    def purger(self, table: Table) -> Purger:
        """Return what removes expired rows."""

    @abstractmethod
    def storage(self, connection: Connection, table: Table) -> Storage:
        """Return the size of a table, from the system catalog."""

    def connections(self, connection: Connection) -> Connections | None:  # noqa: ARG002
        """Return the number of connections to the server, or ``None`` if there is no server."""
        return None

    @abstractmethod
    def problems(self, connection: Connection, table: Table) -> Iterable[str]:
        """Return what keeps the store from working, although the columns of the table are right.

        Such as a primary key of other columns, a foreign key that refers to the table, or a policy
        of the server. Each is a clause about the table, for the operator of the database.
        """

    def parent_of(
        self,
        connection: Connection,  # noqa: ARG002
        table: str,  # noqa: ARG002
        schema: str | None,  # noqa: ARG002
    ) -> tuple[str, str] | None:
        """Return the parent of a table that is a partition of it, or inherits from it.

        That is what the table is to its parent, as words, and the parent's name; or ``None``.
        """
        return None

    @abstractmethod
    def upgrading(
        self, connection: Connection, key: bytes, wait: Wait
    ) -> AbstractContextManager[None]:
        """Hold the lock for migrations of one table while the context lasts.

        For the duration, statements may take as long as they need, and wait for locks as long as
        for the lock of the upgrade. On errors too, the lock is released, and the settings are put
        back. A connection that was lost has taken both along.

        If a transaction is open already, the migration becomes part of it, and on PostgreSQL and
        SQLite the lock is held until it ends. MySQL and MariaDB commit at every statement of DDL:
        what the transaction held is committed before the migration, and the migration after.

        Args:
            connection: The connection that migrates.
            key: Tells tables apart; 32 bytes.
            wait: Bounds and logs the wait for the lock.

        Raises:
            DatabaseError: The lock was not free in time.
        """

    @abstractmethod
    def classify(self, error: BaseException) -> Failure:
        """Return what a driver's error means. The server's code decides, never a class."""

    @abstractmethod
    def status_code(self, error: BaseException) -> str | None:
        """Return the code that the server, or the driver, gave to an error."""

    def redact(self, message: str) -> str:
        """Return an error's text without bound values."""
        return message

    def advice(self, error: BaseException) -> str | None:  # noqa: ARG002  # for overrides
        """Return what to do about an error whose own text does not say it."""
        return None

    def is_unreachable(self, error: BaseException) -> bool:  # noqa: ARG002
        """Return whether an error while connecting, which has no code, may pass."""
        return False

    def prepare_engine(self, engine: Engine) -> None:  # noqa: B027  # most need nothing
        """Add what each new connection needs to an engine made by the store."""

    def namespace(self, url: URL) -> str | None:
        """Return the name of the database, as telemetry reports it."""
        return url.database or None

    def absent_file(self, url: URL) -> str | None:  # noqa: ARG002
        """Return the path of the file that is the database if the file does not exist.

        Connecting would create an empty database.
        """
        return None

    def state_limit(self, connection: Connection) -> int | None:  # noqa: ARG002
        """Return the maximum size of a state in bytes, for a state that is not small."""
        return None
