"""Operations on many sessions that also run on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sqlalchemy import Connection

    from sessionstore_sql.sql.compiled import Line

Given = TypeVar("Given")
Result = TypeVar("Result")


class WithLine(Generic[Given, Result]):
    """A function of a connection, and a function that does the same on a line.

    Attributes:
        on_line: The other function. If the work needs more than a line, it raises
            ``NotOnLineError``, and has changed nothing.
    """

    __slots__ = ("_function", "on_line")

    def __init__(
        self,
        function: Callable[[Connection, Sequence[Given]], Result],
        on_line: Callable[[Line, Sequence[Given]], Awaitable[Result]],
    ) -> None:
        self._function = function
        self.on_line = on_line

    def __call__(self, connection: Connection, given: Sequence[Given]) -> Result:
        """Do it on a connection."""
        return self._function(connection, given)
