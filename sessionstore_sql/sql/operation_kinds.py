"""What an entry of the table of operations can say: a read or a write of one row, or of many.

Entries know rows and connections. They know nothing of session ids, codecs and event loops.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from sqlalchemy.exc import IntegrityError

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.collisions import is_duplicate, write_in_steps
from sessionstore_sql.sql.compiled import NotOnLineError
from sessionstore_sql.sql.effects import Effect, Outcome, Repeated
from sessionstore_sql.sql.lost_batches import LostBatchError, recognise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from sessionstore_sql.errors import SessionStoreError
    from sessionstore_sql.sql.compiled import CompiledStatement, Line
    from sessionstore_sql.sql.dialects import Dialect
    from sessionstore_sql.sql.dialects.base import Batches, Row
    from sessionstore_sql.sql.dialects.clauses import SessionColumns
    from sessionstore_sql.sql.dialects.endings import Endings
    from sessionstore_sql.sql.statements import Statements

Answer = TypeVar("Answer")
Answer_co = TypeVar("Answer_co", covariant=True)
Result = TypeVar("Result")

Work: TypeAlias = "Callable[..., Result]"
"""A function of a connection, and of further arguments."""

OnLine: TypeAlias = "Callable[..., Awaitable[Result]]"
"""A function of a line, and of further arguments. It raises ``NotOnLineError`` if it needs more."""

Parameters: TypeAlias = "dict[str, Any]"
ReadMany: TypeAlias = "Callable[[Connection, Sequence[bytes]], Iterable[Any]]"
WriteMany: TypeAlias = "Callable[[Connection, Sequence[Row]], Collection[bytes]]"
IfUnchanged: TypeAlias = "Callable[[Connection, SessionTable, Row], Outcome]"
IfTaken: TypeAlias = "Callable[[Connection, SessionTable, Row], Outcome | None]"


@dataclass(frozen=True, slots=True)
class SessionTable:
    """The table that the operations work on, and how its database does that."""

    dialect: Dialect
    statements: Statements
    batches: Batches
    endings: Endings


class Runner(Protocol):
    """Runs work on a connection: ``Executor.run``."""

    def __call__(
        self,
        work: Work[Result],
        effect: Effect,
        *arguments: object,
        is_conclusive: Callable[[Result], bool] = ...,
        on_line: OnLine[Result] | None = ...,
    ) -> Awaitable[Result]:
        """Return what ``work`` returns for a connection and the arguments."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation(Generic[Answer]):
    """What every entry of the table has.

    Attributes:
        name: The name of the store's method.
        error: The class that every error of the operation belongs to.
        effect: What running it a second time would do.
        statement: Returns its statement.
        binds: The attributes of a row that the statement binds, by their names.
    """

    name: str
    error: type[SessionStoreError]
    effect: Effect
    statement: Callable[[Statements], CompiledStatement]
    binds: tuple[str, ...]

    def parameters(self, row: Row) -> Parameters:
        """Return what the statement binds for a row."""
        return {name: getattr(row, name) for name in self.binds}

    @property
    def is_batched(self) -> bool:
        """Whether there is a statement for many rows."""
        raise NotImplementedError

    @property
    def merges(self) -> bool:
        """Whether one row can answer several waiting calls for one session."""
        raise NotImplementedError

    def one(self, connection: Connection, table: SessionTable, row: Row) -> Answer:
        """Do one row, and return its answer."""
        raise NotImplementedError

    async def one_on(self, line: Line, table: SessionTable, row: Row) -> Answer:
        """Do one row on a line, and return its answer.

        Raises:
            NotOnLineError: It takes more than the statement. Nothing was changed.
        """
        raise NotImplementedError

    async def many(
        self, run: Runner, table: SessionTable, rows: Sequence[Row]
    ) -> Mapping[bytes, Answer]:
        """Do many rows of different sessions with one statement.

        Returns:
            The answers by key. The rows that got none have to be done one by one.
        """
        raise NotImplementedError

    def group(self, rows: Sequence[Row]) -> tuple[int, int]:
        """Choose the waiting calls for one session that are answered next, by one row.

        Args:
            rows: The rows of the waiting calls, in the order in which they were made.

        Returns:
            How many of the calls, from the first on; and the place of the one whose row is sent.
        """
        raise NotImplementedError

    def answer_of_others(self, answer: Answer) -> Answer:
        """Return the answer of those calls of a group whose row is not the one that was sent."""
        return answer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Read(Operation[Answer]):
    """An operation that changes nothing.

    Attributes:
        found: Makes the answer from the columns of the row that was found.
        absent: The answer if no row was found.
        batch: Returns the function that reads many rows. For each row that it finds, that returns
            the key and then the same columns. ``None``: rows are read one by one.
        bytes_of: Returns the size of the state in an answer.
    """

    effect: Effect = Effect.READ
    found: Callable[[Sequence[Any]], Answer]
    absent: Answer
    batch: Callable[[Batches], ReadMany] | None = None
    bytes_of: Callable[[Answer], int] = lambda _answer: 0

    @property
    def is_batched(self) -> bool:
        """Whether there is a statement for many rows."""
        return self.batch is not None

    @property
    def merges(self) -> bool:
        """Whether one row can answer several waiting calls for one session."""
        return True

    def one(self, connection: Connection, table: SessionTable, row: Row) -> Answer:
        """Read one row."""
        rows = self.statement(table.statements).rows(connection, self.parameters(row))
        return self.found(rows[0]) if rows else self.absent

    async def one_on(self, line: Line, table: SessionTable, row: Row) -> Answer:
        """Read one row on a line."""
        rows = await self.statement(table.statements).rows_on(line, self.parameters(row))
        return self.found(rows[0]) if rows else self.absent

    async def many(
        self, run: Runner, table: SessionTable, rows: Sequence[Row]
    ) -> Mapping[bytes, Answer]:
        """Read many rows. Each gets an answer."""
        assert self.batch is not None
        keys = [row.key for row in rows]
        answers = dict.fromkeys(keys, self.absent)
        batch = self.batch(table.batches)
        found = await run(batch, self.effect, keys, on_line=getattr(batch, "on_line", None))
        for row in found:
            answers[bytes(row[0])] = self.found(row[1:])
        return answers

    def group(self, rows: Sequence[Row]) -> tuple[int, int]:
        """Choose all calls."""
        return len(rows), 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Write(Operation[Outcome]):
    """An operation that changes its row, or nothing.

    Attributes:
        unchanged: The outcome if the statement changed no row.
        if_taken: What is done if the statement fails because the row's key is taken: a function
            that returns the outcome, or ``None`` to run the statement again. ``None`` in its
            place: the statement does not fail so.
        upserts: Whether the statement replaces an expired row by itself if the dialect can do so.
            Then it does not fail because of its key.
        if_unchanged: Finds the outcome if the statement changed no row, with further statements.
            ``None``: it is ``unchanged``.
        batch: Returns the function that writes many rows, and returns the keys of those that it
            changed. ``None``: rows are written one by one.
        waits_for_rows: Whether a batch may wait for a lock on one of its rows.
        repeated: How several waiting calls for one session are answered by one row. ``None``: each
            has its own.
        has_versions: Whether each row gets the version of its call, so that the rows that an
            attempt has written can be recognised if its connection was lost.
    """

    unchanged: Outcome
    if_taken: IfTaken | None = None
    if_unchanged: IfUnchanged | None = None
    upserts: bool = False
    batch: Callable[[Batches], WriteMany] | None = None
    waits_for_rows: bool = False
    repeated: Repeated | None = None
    has_versions: bool = False

    @property
    def is_batched(self) -> bool:
        """Whether there is a statement for many rows."""
        return self.batch is not None

    @property
    def merges(self) -> bool:
        """Whether one row can answer several waiting calls for one session."""
        return self.repeated is not None

    def one(self, connection: Connection, table: SessionTable, row: Row) -> Outcome:
        """Write one row."""
        if len(row.state) > table.dialect.small_state_bytes:
            _require_room(connection, table.dialect, row.state)
        statement, parameters = self.statement(table.statements), self.parameters(row)
        dialect = table.dialect
        may_collide = self.if_taken is not None and not (self.upserts and dialect.upsert)
        if may_collide and dialect.error_aborts_transaction:
            return write_in_steps(connection, table, self, row)
        try:
            count = statement.count(connection, parameters)
        except IntegrityError as error:
            if may_collide and is_duplicate(error, dialect):
                return write_in_steps(connection, table, self, row)
            raise
        return Outcome.DONE if count else self.outcome_unchanged(connection, table, row)

    def outcome_unchanged(self, connection: Connection, table: SessionTable, row: Row) -> Outcome:
        """Return the outcome if the statement changed no row."""
        if self.if_unchanged is None:
            return self.unchanged
        return self.if_unchanged(connection, table, row)

    async def one_on(self, line: Line, table: SessionTable, row: Row) -> Outcome:
        """Write one row on a line, if it is small and that takes no further statement."""
        if len(row.state) > table.dialect.small_state_bytes:
            raise NotOnLineError
        statement, parameters = self.statement(table.statements), self.parameters(row)
        try:
            count = await statement.count_on(line, parameters)
        except IntegrityError as error:
            if self.if_taken is not None and is_duplicate(error, table.dialect):
                raise NotOnLineError from None
            raise
        if count:
            return Outcome.DONE
        if self.if_unchanged is not None:
            raise NotOnLineError
        return self.unchanged

    async def many(
        self, run: Runner, table: SessionTable, rows: Sequence[Row]
    ) -> Mapping[bytes, Outcome]:
        """Write many rows. Those that the database had to leave, as they are locked, get no answer.

        Neither do those that would get the same key as another one, as a batch returns the new keys
        of the rows that it has moved.

        One query determines which of the rows that were not changed are rejected, unless more has
        to be done about those.
        """
        assert self.batch is not None
        different = {row.new_key or row.key: row for row in reversed(rows)}
        # In the order of the keys, in which every batch locks its rows.
        ordered = sorted(different.values(), key=attrgetter("key"))
        batch = self.batch(table.batches)
        try:
            keys = await run(
                batch,
                self.effect,
                ordered,
                is_conclusive=lambda keys: len(keys) == len(ordered),
                on_line=getattr(batch, "on_line", None),
            )
        except DatabaseError as error:
            if not (self.has_versions and error.outcome_unknown):
                raise
            lost = error
        else:
            return await self._outcomes(run, table, ordered, keys)
        raise LostBatchError(lost, await recognise(run, table, ordered, self.recognised))

    async def _outcomes(
        self, run: Runner, table: SessionTable, ordered: Sequence[Row], keys: Collection[bytes]
    ) -> Mapping[bytes, Outcome]:
        """Return the outcomes of a batch that has changed the rows with these keys."""
        outcomes = dict.fromkeys(map(bytes, keys), Outcome.DONE)
        left = [row.key for row in ordered if row.key not in outcomes]
        if not left or self.if_unchanged is not None:
            return outcomes
        # The query is no part of the write, which is committed by now. What was written must
        # neither be written again nor be reported as a failure.
        try:
            live = set(map(bytes, await run(table.batches.live, Effect.READ, left)))
        except DatabaseError:
            if not outcomes:
                raise
            return outcomes
        rejects_live = self.unchanged is Outcome.DUPLICATE
        rejected = [key for key in left if (key in live) is rejects_live]
        return outcomes | dict.fromkeys(rejected, self.unchanged)

    def recognised(self, row: Row, columns: SessionColumns) -> None:
        """Note what is stored in a row that an earlier attempt has written."""

    def group(self, rows: Sequence[Row]) -> tuple[int, int]:
        """Choose the calls as ``repeated`` says."""
        match self.repeated:
            case Repeated.LAST_WINS:
                # The session is not live after a call with a ttl of zero, so that call is the last.
                ends = (place for place, row in enumerate(rows, 1) if row.ttl == 0)
                length = next(ends, len(rows))
                return length, length - 1
            case Repeated.FIRST_WINS:
                # Nor is it after it was created so; then the other calls are no duplicates.
                ends_at_once = self.unchanged is Outcome.DUPLICATE and rows[0].ttl == 0
                return 1 if ends_at_once else len(rows), 0
            case None:
                return 1, 0

    def answer_of_others(self, answer: Outcome) -> Outcome:
        """Return the outcome of those calls of a group whose row is not the one that was sent."""
        return self.unchanged if self.repeated is Repeated.FIRST_WINS else answer


def _require_room(connection: Connection, dialect: Dialect, state: bytes) -> None:
    limit = dialect.state_limit(connection)
    if limit is not None and len(state) > limit:
        raise DatabaseError(
            f"a state of {len(state)} bytes is more than the server takes: with its "
            f"max_allowed_packet, at most about {limit} bytes"
        )
