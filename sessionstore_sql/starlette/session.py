"""``request.session``: a dict that knows what a request did with it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection

    from sessionstore_sql.visits import Visit


def _while_open(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def changing(session: Session, *args: Any, **kwargs: Any) -> object:
        session.require_open()
        return method(session, *args, **kwargs)

    return changing


class Session(dict[str, Any]):
    """The state of a session, as the application sees it.

    Args:
        visit: The request's use of the session.

    Attributes:
        accessed: Whether the application asked for it. ``request.session`` says so, by
            ``mark_accessed``; whoever takes ``scope["session"]`` does not.
        before_saving: Called before the state is stored, to write to it what changed elsewhere;
            and once more in the end, to find what changed too late.
    """

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit.state)
        self.accessed = False
        self.before_saving: list[Callable[[], None]] = []
        self._visit = visit

    def mark_accessed(self) -> None:
        """Note that the response depends on the session; ``request.session`` calls it."""
        self.accessed = True

    def rotate(self) -> None:
        """Ask for a new id."""
        self._visit.rotate()

    def invalidate(self) -> None:
        """Empty the session, and have what was stored of it deleted."""
        self.clear()
        self.before_saving.clear()
        self._visit.invalidate()

    def complete_state(self) -> dict[str, Any]:
        """Return the state as the application leaves it, with what changed elsewhere."""
        for write in self.before_saving:
            write()
        return dict(self)

    def require_open(self) -> None:
        """Raise ``SessionClosedError`` if it is too late for a change."""
        self._visit.require_open()


_CHANGING = (
    *("__setitem__", "__delitem__", "__ior__"),
    *("clear", "pop", "popitem", "setdefault", "update"),
)
"""The methods of a dict that change it."""

for _name in _CHANGING:  # in place of eight methods, whose signatures are the dict's
    setattr(Session, _name, _while_open(getattr(dict, _name)))


def session_of(connection: HTTPConnection) -> Session:
    """Return the session of a request or a WebSocket.

    Raises:
        RuntimeError: It did not pass through ``SessionMiddleware``.
    """
    session = connection.scope.get("session")
    if not isinstance(session, Session):
        raise RuntimeError(  # noqa: TRY004  # the set-up is at fault, not the argument
            "the application has no SessionMiddleware of sessionstore_sql"
        )
    return session
