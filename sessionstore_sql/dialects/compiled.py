"""A statement that is compiled once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ClauseElement, Connection, Executable
    from sqlalchemy.engine.interfaces import Dialect


class CompiledStatement:
    """A statement whose text is kept.

    SQLAlchemy finds the text of a statement again by walking through all of it, and looks at the
    type of each parameter; that costs as much as the rows of a small batch. The drivers take what
    is bound here as it is. Logs, error classes and the events of cursors are those of any
    statement; ``before_execute`` and ``after_execute`` are for statements that are not texts.
    """

    def __init__(self, statement: Executable) -> None:
        """Keep ``statement``; it is compiled when it is first executed."""
        self._statement = statement
        self._dialect: Dialect | None = None
        self._text = ""
        self._constants: Mapping[str, Any] = {}
        self._order: Sequence[str] | None = None
        """The names of the parameters, where the driver takes them by position."""

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Return the rows."""
        if connection.get_execution_options().get("schema_translate_map"):
            # A text names one schema, and each connection may name another one.
            return connection.execute(self._statement, parameters).all()
        if self._dialect is not connection.dialect:
            self._compile(connection.dialect)
        bound: Any = {**self._constants, **parameters}
        if self._order is not None:
            bound = tuple([bound[name] for name in self._order])
        return connection.exec_driver_sql(self._text, bound).all()

    def _compile(self, dialect: Dialect) -> None:
        # Every statement is both, and its type says one.
        compiled = cast("ClauseElement", self._statement).compile(dialect=dialect)
        self._text = str(compiled)
        given = compiled.params or {}
        self._constants = {name: value for name, value in given.items() if value is not None}
        self._order = getattr(compiled, "positiontup", None)
        self._dialect = dialect
