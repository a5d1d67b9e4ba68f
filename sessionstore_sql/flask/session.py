"""``flask.session`` and ``quart.session``."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from flask.sessions import SessionMixin, session_json_serializer

from sessionstore_sql.web.errors import SessionClosedError
from sessionstore_sql.web.session_dict import SessionDict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sessionstore_sql.web.request_session import RequestSession

logger = logging.getLogger("sessionstore_sql.lifecycle")


class Session(SessionDict, SessionMixin):
    """The session of a request: a dict with the attributes that Flask documents.

    Changes inside of values are noticed, so ``modified`` need not be set. Values of the types that
    Flask's own sessions can hold are stored as JSON in the form of its ``TaggedJSONSerializer``:
    tuples, bytes, ``Markup``, UUIDs and datetimes.

    Attributes:
        was_permanent: Whether the session was ``permanent`` when it was loaded.
        watcher: Closes the WebSocket that has this session when it ends.
    """

    def __init__(self, request_session: RequestSession, *, challenge: str = "Cookie") -> None:
        super().__init__(request_session, challenge=challenge)
        stored = _items_of(self)
        dict.clear(self)
        dict.update(self, untagged(stored))
        self.watcher: asyncio.Task[None] | None = None
        self.was_permanent = bool(dict.get(self, "_permanent", False))

    @property
    def modified(self) -> bool:
        """Whether there is anything to store."""
        return self.request_session.is_changed(tagged(_items_of(self)))

    @modified.setter
    def modified(self, _modified: bool) -> None:
        """Do nothing: changes are noticed."""

    @property
    def new(self) -> bool:  # type: ignore[override]
        """Whether the request came without a live session."""
        return self.request_session.session_id is None

    def complete_state(self) -> dict[str, Any]:
        """Return the state as it is to be stored."""
        if self.request_session.failure is not None:
            return {}
        for write in self.before_saving:
            write()
        return tagged(_items_of(self))

    def log_late_changes(self) -> None:
        """Log an error if a value inside of the session was changed after it was stored.

        It is called at the end of a stream, whose client has received the response by then.
        """
        try:
            self.request_session.require_finished(self.complete_state())
        except SessionClosedError as error:
            logger.error("%s", error)  # noqa: TRY400  # the traceback does not show the change

    async def reload(self) -> bool:
        """Load the session again, and return whether it is still live.

        Raises:
            RuntimeError: Changes would be lost that are stored only with the response.
            DatabaseError: The database failed.
        """
        request_session = self.request_session
        if not request_session.closed and self.modified:
            raise RuntimeError("the session has changes that are not stored yet: reload it later")
        is_live = await request_session.reload()
        dict.clear(self)
        dict.update(self, untagged(request_session.state))
        return is_live

    def __copy__(self) -> dict[str, Any]:
        return _items_of(self)

    def __reduce_ex__(self, _protocol: object) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (_items_of(self),)


class UnavailableSession(Session):
    """A session that could not be loaded: it says so wherever it is used."""

    def __repr__(self) -> str:
        return "UnavailableSession()"


def session_for(request_session: RequestSession, *, challenge: str) -> Session:
    """Return the session that an application sees."""
    made = Session if request_session.failure is None else UnavailableSession
    return made(request_session, challenge=challenge)


def tagged(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state in the form in which it is stored: JSON, for the types that Flask knows.

    Many applications set ``permanent`` in every request. That alone is no content.
    """
    if state.keys() <= {"_permanent"}:
        return {}
    return {key: session_json_serializer.tag(value) for key, value in state.items()}


def untagged(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state as the application left it."""
    return {key: _untagged(value) for key, value in state.items()}


def _untagged(value: object) -> object:
    if isinstance(value, dict):
        return session_json_serializer.untag({key: _untagged(each) for key, each in value.items()})
    if isinstance(value, list):
        return [_untagged(each) for each in value]
    return value


def _items_of(session: dict[str, Any]) -> dict[str, Any]:
    return dict(dict.items(session))


def _guarded(name: str, *, reads_only: bool, requires_loaded: bool) -> Callable[..., Any]:
    method = getattr(dict, name)

    @functools.wraps(method)
    def guarded(session: Session, *args: Any, **kwargs: Any) -> object:
        if requires_loaded:
            session.request_session.require_loaded()
        if not reads_only:
            session.request_session.require_open()
        session.accessed = True
        return method(session, *args, **kwargs)

    return guarded


_CHANGING = (
    *("__setitem__", "__delitem__", "__ior__"),
    *("clear", "pop", "popitem", "setdefault", "update"),
)
_READING = (
    *("__getitem__", "__iter__", "__len__", "__contains__", "__eq__", "__ne__"),
    *("__or__", "__ror__", "__reversed__", "get", "keys", "values", "items", "copy"),
)

# As in SessionDict. Quart does not note itself that a session was used.
for _class in (Session, UnavailableSession):
    for _name in (*_CHANGING, *_READING):
        _method = _guarded(
            _name,
            reads_only=_name in _READING,
            requires_loaded=_class is UnavailableSession,
        )
        setattr(_class, _name, _method)
