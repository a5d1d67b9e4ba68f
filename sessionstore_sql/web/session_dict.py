"""The session as an application sees it: a dict that knows when it is too late for a change."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sessionstore_sql.web.request_session import RequestSession


class SessionDict(dict[str, Any]):
    """The state of a session.

    Copies of any kind, pickled ones too, are plain dicts.

    Args:
        request_session: The session of the request.
        challenge: The authentication scheme that a response 401 names.

    Attributes:
        request_session: The session of the request.
        challenge: The authentication scheme that a response 401 names.
        accessed: Whether the response depends on the session.
        before_saving: Called before the state is stored, to write changes to it that were made
            elsewhere; and once more in the end, to find changes that came too late.
    """

    def __init__(self, request_session: RequestSession, *, challenge: str = "Cookie") -> None:
        super().__init__({} if request_session.failure is not None else request_session.state)
        self.request_session = request_session
        self.challenge = challenge
        self.accessed = False
        self.before_saving: list[Callable[[], None]] = []

    @staticmethod
    def of(request_session: RequestSession, *, challenge: str = "Cookie") -> SessionDict:
        """Return the dict for the session of a request.

        If the session could not be loaded, using the dict raises the ``DatabaseError``.

        Args:
            request_session: The session of the request.
            challenge: The authentication scheme that a response 401 names.
        """
        made = SessionDict if request_session.failure is None else UnavailableSession
        return made(request_session, challenge=challenge)

    def mark_accessed(self) -> None:
        """Note that the response depends on the session. Starlette's ``request.session`` calls it.

        Raises:
            DatabaseError: The session could not be loaded.
        """
        self.request_session.require_loaded()
        self.accessed = True

    def invalidate(self) -> None:
        """Empty the session, and let it end; see ``RequestSession.invalidate``."""
        self.request_session.invalidate()
        self.before_saving.clear()
        dict.clear(self)

    def complete_state(self) -> dict[str, Any]:
        """Return the state as the application leaves it, with changes that were made elsewhere.

        It is empty if the session could not be loaded.
        """
        if self.request_session.failure is not None:
            return {}
        for write in self.before_saving:
            write()
        return dict(self)

    async def reload(self) -> bool:
        """Load the session again, and return whether it is still live.

        For responses and WebSockets that go on for long. A session that has ended is empty then.

        Raises:
            RuntimeError: Changes would be lost that are stored only when the response starts.
            DatabaseError: The database failed.
        """
        request_session = self.request_session
        if not request_session.closed and request_session.is_changed(dict(self)):
            raise RuntimeError("the session has changes that are not stored yet: reload it later")
        is_live = await request_session.reload()
        dict.clear(self)
        dict.update(self, request_session.state)
        return is_live

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __reduce_ex__(self, _protocol: object) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class UnavailableSession(SessionDict):
    """A session that could not be loaded: it says so wherever it is used."""

    def __repr__(self) -> str:
        return "UnavailableSession()"


def _guarded(name: str, check: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    @functools.wraps(method)
    def guarded(session: SessionDict, *args: Any, **kwargs: Any) -> object:
        getattr(session.request_session, check)()
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

# Instead of methods that are written out, whose signatures would be those of a dict.
for _name in _CHANGING:
    setattr(SessionDict, _name, _guarded(_name, "require_open"))
for _name in (*_CHANGING, *_READING):
    setattr(UnavailableSession, _name, _guarded(_name, "require_loaded"))
