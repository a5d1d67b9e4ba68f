"""``request.session``: a dict that knows what a request did with it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from starlette.requests import HTTPConnection

    from sessionstore_sql.records import SessionId, SessionRecord


class SessionClosedError(RuntimeError):
    """A session was changed after the response had started, too late to be stored.

    ``request.session`` raises it where it is changed itself; a change inside one of its values
    is found, and reported likewise, when the application has finished.
    """


def _while_open(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def changing(session: Session, *args: Any, **kwargs: Any) -> object:
        session.require_open()
        return method(session, *args, **kwargs)

    return changing


class Session(dict[str, Any]):
    """The state of a session, as the application sees it.

    Attributes:
        accessed: Whether the application asked for it. ``request.session`` says so, by
            ``mark_accessed``; whoever takes ``scope["session"]`` does not.
        rotated: Whether a new id was asked for.
        invalidated: Whether the session was ended. What is in the dict was put there since.
        closed: Whether the response has started: too late for a change.
        before_saving: Called before the state is stored, to write to it what changed elsewhere;
            and once more in the end, to find what changed too late.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        super().__init__(state)
        self.accessed = False
        self.rotated = False
        self.invalidated = False
        self.closed = False
        self.before_saving: list[Callable[[], None]] = []

    def mark_accessed(self) -> None:
        """Note that the response depends on the session; ``request.session`` calls it."""
        self.accessed = True

    def rotate(self) -> None:
        """Ask for a new id."""
        self.require_open()
        self.rotated = True

    def invalidate(self) -> None:
        """Empty the session, and have what was stored of it deleted."""
        self.clear()
        self.before_saving.clear()
        self.invalidated = True

    def fingerprint(self) -> bytes | None:
        """Return bytes that are equal as long as the state is, or ``None`` if JSON has none.

        Values that ``==`` takes for equal, such as ``1`` and ``True``, differ here.
        """
        try:
            return orjson.dumps(self)
        except TypeError:
            # Storing it will fail, and that error names the path.
            return None

    def require_open(self) -> None:
        """Raise ``SessionClosedError`` if it is too late for a change."""
        if self.closed:
            raise SessionClosedError(
                "the response has started: the session can no longer be changed"
            )


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


class Visit:
    """One request's use of a session, from loading it to the end of the request.

    Args:
        presented: Whether the client sent a cookie of the name, of whatever value.
        session_id: The id it presented; ``None`` where it was none.
        record: What was loaded; ``None`` where no live session has the id.
    """

    def __init__(
        self, *, presented: bool, session_id: SessionId | None, record: SessionRecord | None
    ) -> None:
        self.presented = presented
        self.session_id = session_id
        self.remaining: timedelta | None = None if record is None else record.ttl
        self.session = Session({} if record is None else record.state)
        self._fingerprint = self.session.fingerprint()

    def close(self) -> bool:
        """End the time for changes, and return whether there were any to the state.

        A state that JSON cannot express counts as changed.
        """
        before, self._fingerprint = self._fingerprint, self._current_fingerprint()
        self.session.closed = True
        return self._fingerprint is None or self._fingerprint != before

    def require_saved(self) -> None:
        """Raise ``SessionClosedError`` if something was changed that will not be stored."""
        session = self.session
        asked_for = not session.closed and (session.rotated or session.invalidated)
        if asked_for or self._current_fingerprint() != self._fingerprint:
            raise SessionClosedError(
                "the session was changed after the response had started, or without one that"
                " carries headers: the change is lost"
            )

    def _current_fingerprint(self) -> bytes | None:
        for write in self.session.before_saving:
            write()
        return self.session.fingerprint()
