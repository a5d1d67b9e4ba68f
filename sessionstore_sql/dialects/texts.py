"""A statement that is compiled once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ClauseElement, Connection, Executable
    from sqlalchemy.engine.interfaces import Dialect


class Text:
    """A statement whose text is kept.

    SQLAlchemy finds a statement's text again by walking through all of it, and looks at the type of
    each parameter; that costs as much as the rows of a small batch. The drivers take what is bound
    here as it is. Its events, logs and error classes are those of any other statement.
    """

    def __init__(self, statement: Executable) -> None:
        """Keep ``statement``; it is compiled when it is first executed."""
        self._statement = statement
        self._dialect: Dialect | None = None

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Return the rows."""
        if connection.get_execution_options().get("schema_translate_map"):
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
        self._constants = {
            name: value for name, value in (compiled.params or {}).items() if value is not None
        }
        self._order: Sequence[str] | None = getattr(compiled, "positiontup", None)
        self._dialect = dialect
