"""A statement that is compiled once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.types import TypeDecorator

from sessionstore_sql.dialects.sending import BY_CURSOR, goes_directly, send_directly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import ClauseElement, Connection, CursorResult, Executable
    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler

    from sessionstore_sql.dialects.sending import Bound, Sender


class CompiledStatement:
    """A statement whose text is kept, and which SQLAlchemy executes only where somebody listens.

    It finds the text of a statement again by walking through all of it. The drivers take what is
    bound here as it is, but for what a type of ours turns into something else.
    """

    def __init__(self, statement: Executable, sender: Sender = BY_CURSOR) -> None:
        """Keep ``statement``; it is compiled when it is first executed."""
        self.statement = statement
        self._sender = sender
        self._dialect: Dialect | None = None
        self._text = ""
        self._constants: Mapping[str, Any] = {}
        self._processors: Mapping[str, Callable[[Any], Any]] = {}
        self._order: Sequence[str] | None = None
        """The names of the parameters, where the driver takes them by position."""

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Execute, and return the rows."""
        if not goes_directly(connection):
            return connection.execute(self.statement, parameters).all()
        bound = self._bound(connection.dialect, parameters)
        return send_directly(connection, self._sender.fetch, self._text, bound)

    def count(self, connection: Connection, parameters: Mapping[str, Any]) -> int:
        """Execute what returns no rows, and return how many it changed."""
        if not goes_directly(connection):
            result: CursorResult[Any] = connection.execute(self.statement, parameters)
            return result.rowcount
        bound = self._bound(connection.dialect, parameters)
        return send_directly(connection, self._sender.change, self._text, bound)

    def _bound(self, dialect: Dialect, parameters: Mapping[str, Any]) -> Bound:
        if self._dialect is not dialect:
            self._compile(dialect)
        bound = {**self._constants, **parameters}
        for name, process in self._processors.items():
            bound[name] = process(bound[name])
        return bound if self._order is None else tuple([bound[name] for name in self._order])

    def _compile(self, dialect: Dialect) -> None:
        # Every statement is both, and its type says one.
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
