"""Statements that are compiled once, and whose text is sent straight to the driver if possible.

SQLAlchemy finds the text of a statement again by walking through all of the statement. Drivers take
the values as they are, except those of a ``TypeDecorator``, which converts them first.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy.types import TypeDecorator

from sessionstore_sql.sql.direct import can_bypass, raise_for_driver, send
from sessionstore_sql.sql.senders import BY_CURSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import ClauseElement, Connection, CursorResult, Executable
    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler

    from sessionstore_sql.sql.senders import Bound, Channel, Sender

Statements = TypeVar("Statements")


class NotOnLineError(Exception):
    """The work needs more than a line. It has changed nothing."""


class CompiledStatement:
    """A statement that is compiled when it is first executed."""

    def __init__(self, statement: Executable, sender: Sender = BY_CURSOR) -> None:
        """Keep ``statement``; it is compiled when it is first executed."""
        self.statement = statement
        self._sender = sender
        self._dialect: Dialect | None = None
        self._text = ""
        self._constants: Mapping[str, Any] = {}
        self._processors: Mapping[str, Callable[[Any], Any]] = {}
        self._order: Sequence[str] | None = None
        """The names of the parameters if the driver takes them by position."""

    def uncompiled(self) -> CompiledStatement:
        """Return the same statement, which is compiled when it is first executed."""
        return CompiledStatement(self.statement, self._sender)

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Execute the statement and return its rows."""
        if not can_bypass(connection):
            return connection.execute(self.statement, parameters).all()
        bound = self._bound(connection.dialect, parameters)
        return send(connection, self._sender.fetch, self._text, bound)

    def count(self, connection: Connection, parameters: Mapping[str, Any]) -> int:
        """Execute a statement that returns no rows, and return how many rows it changed."""
        if not can_bypass(connection):
            result: CursorResult[Any] = connection.execute(self.statement, parameters)
            return result.rowcount
        bound = self._bound(connection.dialect, parameters)
        return send(connection, self._sender.change, self._text, bound)

    async def rows_on(self, line: Line, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Execute the statement on a line and return its rows."""
        bound = self._bound(line.connection.dialect, parameters)
        return await line.fetch(self._text, bound)

    async def count_on(self, line: Line, parameters: Mapping[str, Any]) -> int:
        """Execute a statement that returns no rows on a line, and return the number of changes."""
        bound = self._bound(line.connection.dialect, parameters)
        return await line.change(self._text, bound)

    def _bound(self, dialect: Dialect, parameters: Mapping[str, Any]) -> Bound:
        if self._dialect is not dialect:
            self._compile(dialect)
        bound = {**self._constants, **parameters}
        for name, process in self._processors.items():
            bound[name] = process(bound[name])
        return bound if self._order is None else tuple([bound[name] for name in self._order])

    def _compile(self, dialect: Dialect) -> None:
        # Every statement is both, although its type says only one.
        statement = cast("ClauseElement", self.statement)
        compiled = cast("SQLCompiler", statement.compile(dialect=dialect))
        self._text = str(compiled)
        self._constants = {
            name: value for name, value in compiled.params.items() if value is not None
        }
        processors = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in compiled.binds.items()
            if isinstance(bind.type, TypeDecorator)
        }
        self._processors = {
            name: process for name, process in processors.items() if process is not None
        }
        self._order = compiled.positiontup
        self._dialect = dialect


def uncompiled(statements: Statements) -> Statements:
    """Return a dataclass of statements again, with none of them compiled.

    To build a statement takes longer than to compile it. So it is built once for all stores, and
    each store compiles its own.
    """
    if isinstance(statements, CompiledStatement):
        return cast("Statements", statements.uncompiled())
    if not is_dataclass(statements) or isinstance(statements, type):
        return statements
    given = [each.name for each in fields(statements) if each.init]
    return replace(statements, **{name: uncompiled(getattr(statements, name)) for name in given})


class Line:
    """A connection on which the driver's own coroutines are awaited, without a greenlet.

    The errors that it raises are SQLAlchemy's, as everywhere.
    """

    def __init__(self, connection: Connection, channel: Channel) -> None:
        self.connection = connection
        """Not for statements: these would need a greenlet."""
        self._channel = channel

    async def fetch(self, text: str, bound: Bound) -> Sequence[Any]:
        """Return the rows."""
        try:
            return await self._channel.fetch(text, bound)
        except BaseException as error:  # noqa: BLE001  # cancellation invalidates the connection too
            return await raise_for_driver(self.connection, error, text)

    async def change(self, text: str, bound: Bound) -> int:
        """Return how many rows a statement changed that returns none."""
        try:
            return await self._channel.change(text, bound)
        except BaseException as error:  # noqa: BLE001  # cancellation invalidates the connection too
            return await raise_for_driver(self.connection, error, text)


def fetch_text(connection: Connection, text: str, bound: tuple[Any, ...]) -> Sequence[Any]:
    """Return the rows of a text that was not compiled by SQLAlchemy."""
    if can_bypass(connection):
        return send(connection, BY_CURSOR.fetch, text, bound)
    return connection.exec_driver_sql(text, bound).all()


def change_text(connection: Connection, text: str, bound: tuple[Any, ...]) -> int:
    """Return how many rows such a text changed."""
    if can_bypass(connection):
        return send(connection, BY_CURSOR.change, text, bound)
    return connection.exec_driver_sql(text, bound).rowcount
