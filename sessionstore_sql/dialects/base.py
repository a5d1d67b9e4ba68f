"""What a database has to tell: the one interface behind which the differences live."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sessionstore_sql.dialects.sending import BY_CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy import URL, Connection, Delete, Engine, Executable, Table
    from sqlalchemy.types import TypeEngine

    from sessionstore_sql.dialects.sending import Sender
    from sessionstore_sql.dialects.storage import Storage
    from sessionstore_sql.dialects.upserts import UpsertableInsert


class Failure(enum.Enum):
    """What an error of the database means for the call that met it (hazard D2)."""

    DUPLICATE_KEY = enum.auto()
    """The primary key is taken; the statement changed nothing."""
    ABORTED = enum.auto()
    """Deadlock, serialization or certification failure: the server rolled back."""
    LOCKED = enum.auto()
    """A lock was not had in time: the statement changed nothing."""
    STALE_PLAN = enum.auto()
    """A prepared statement outlived a migration: nothing was executed (hazards A4, A5)."""
    UNREACHABLE = enum.auto()
    """No connection was had: nothing was sent."""
    LOST = enum.auto()
    """The connection went away with the statement under way: nobody knows."""
    UNANSWERED = enum.auto()
    """The server did not answer in time: nobody knows."""
    READ_ONLY = enum.auto()
    """The server is a standby, or was demoted: another one takes writes (hazard M11)."""
    TIMED_OUT = enum.auto()
    """The server gave up on the statement, and changed nothing."""
    OUT_OF_RESOURCES = enum.auto()
    """Disk or memory is full: nothing was changed, and it may pass."""
    UNSUPPORTED = enum.auto()
    """The server, or the cluster it is part of, does not offer this: nothing was changed."""
    SCHEMA_MISSING = enum.auto()
    """The table or a column does not exist: the migrations have not run."""
    OTHER = enum.auto()
    """Something an operator has to change first: privileges, a full database."""

    @property
    def unknown(self) -> bool:
        """Whether the statement may have taken effect all the same."""
        return self in {Failure.LOST, Failure.UNANSWERED}

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self not in {
            Failure.DUPLICATE_KEY,
            Failure.UNSUPPORTED,
            Failure.SCHEMA_MISSING,
            Failure.OTHER,
        }


@dataclass(slots=True, eq=False)
class Row:
    """What a call gives of a session; what it doesn't need is empty.

    Not frozen, which would double what it costs to make one; nobody changes it.
    """

    key: bytes
    ttl: int = 0
    """Microseconds."""
    state: bytes = b""


class Batches(Protocol):
    """The operations on many sessions at once, none of which is given twice.

    Writes return the keys of the rows they changed. They wait for no row that is there; ``create``
    waits for one that someone else is about to insert. They decide nothing about the others, which
    may be unknown, live already or locked.
    """

    def load(self, connection: Connection, keys: Sequence[bytes]) -> Iterable[Any]:
        """Return key, state and remaining microseconds of those that are live."""
        ...

    def live(self, connection: Connection, keys: Sequence[bytes]) -> Collection[bytes]:
        """Return the keys that are live, as far as it is committed."""
        ...

    def create(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Insert, or replace expired rows."""
        ...

    def update(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Replace state and deadline."""
        ...

    def update_ttl(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Replace the deadline."""
        ...

    def delete(self, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        """Remove."""
        ...


class PurgeLock(NamedTuple):
    """A lock on one table that only purges take: of a connection's, whatever it commits."""

    take: Executable
    """Doesn't wait: returns 1, or something false where someone else has it."""
    guard: Executable
    """Executed next: has the server soon release it if the holder has vanished without a word."""
    release: Executable
    unguard: Executable
    """Executed last: leaves the connection as it was."""


class KeyedPurge(Protocol):
    """A purge in two steps."""

    largest_part: int
    """How many of the keys chosen are removed at once."""

    def choose(self, connection: Connection, limit: int) -> Sequence[bytes]:
        """Return the keys of the oldest expired rows, without locking any."""
        ...

    def remove(self, connection: Connection, keys: Sequence[bytes]) -> int:
        """Delete those that are expired and that nobody has locked; return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Named capabilities and functions of one database."""

    binary: TypeEngine[bytes]
    """How bytes are bound."""

    sender: Sender = BY_CURSOR
    """How a statement reaches the driver."""

    batches: Callable[[Table], Batches]
    """Builds the operations on many sessions at once."""

    largest_purge: int
    """How many rows one purge may be asked for; a larger batch is several of them."""

    error_aborts_transaction: bool
    """Whether a failed statement takes the transaction around it along."""

    autocommit_is_free: bool
    """Whether a connection changes to autocommit and back without a round trip."""

    has_one_writer: bool = False
    """Whether writes, of whatever rows, exclude each other."""

    statements_at_once: int = 2
    """How many batches of an operation are worth sending at once: more than one where the database
    works while this process takes the answers of another batch apart."""

    classify: Callable[[BaseException], Failure]
    """Says what an error means. Codes decide, not classes or texts (hazard A3)."""

    status_code: Callable[[BaseException], str | None]
    """Returns the code that the server, or the driver in its place, gave to an error."""

    redact: Callable[[str], str]
    """Removes from an error's text what shows bound values (hazard X2)."""

    drivers: dict[str, str]
    """The drivers it is tested with, the default first, and the extra that installs each."""

    storage: Callable[[Connection, Table, int], Storage]
    """Says how much room a table of so many rows takes. It reads the database's books, and no more
    of the table than a sample."""

    engine_options: Callable[[URL], dict[str, Any]]
    """Returns what ``create_async_engine`` needs beyond what every database gets."""

    answer_timeout_s: float | None = None
    """How long a statement may take on an engine of our own: longer than the server's own timeout,
    for a server or a network that has fallen silent. ``None`` where neither is in between."""

    prepare_engine: Callable[[Engine], None] = lambda _engine: None
    """Adds what each new connection needs to an engine of our own."""

    namespace: Callable[[URL], str | None] = lambda url: url.database or None
    """Returns the name of the database, for whoever looks at several."""

    is_unreachable: Callable[[BaseException], bool] = lambda _error: False
    """Whether an error of connecting, which has no code, means that the server was not reached."""

    advice: Callable[[BaseException], str | None] = lambda _error: None
    """Says what to do about an error whose own words don't."""

    at_hosts: Callable[[URL, Sequence[str]], URL] | None = None
    """Returns the URL for several hosts, each with its port or without, of which the driver finds
    the one that takes writes. ``None`` where drivers take one host."""

    absent_file: Callable[[URL], str | None] = lambda _url: None
    """Returns the path of the file that is the database, where there is none: to connect would make
    an empty one."""

    state_limit: Callable[[Connection, int], int | None] = lambda _connection, _size: None
    """Returns the most bytes a state can have where ``size`` is more than that."""

    upsert: Callable[[Table], UpsertableInsert] | None = None
    """Builds an insert with ON CONFLICT, which can replace an expired row and count 0 for a live
    one. ``None`` where the count could not tell, and an insert has to fail first."""

    purge: Callable[[Table], Delete] | None = None
    """Builds the purge of at most ``:batch_size`` rows as one statement. ``None`` where the
    database runs two better: choose, then delete by key."""

    purge_by_key: Callable[[Table], KeyedPurge] | None = None
    """Builds the two."""

    purge_exclusively: Callable[[Table], Executable] | None = None
    """Builds a ``purge`` that removes nothing while another of its kind is under way anywhere. It
    returns whether none was, and how many rows went. ``None`` where no statement can."""

    purge_lock: Callable[[Table], PurgeLock] | None = None
    """Builds what keeps purges apart there. ``None`` where writers take turns anyway."""
