"""The session as an application of aiohttp-session sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiohttp_session import Session

from sessionstore_sql.web.lifetimes import duration_of

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.web.request_session import RequestSession

_CREATED = "aiohttp_session.created"
"""The key of a state that says when the session began, which aiohttp-session wants to know."""


class SQLSession(Session):
    """A session of aiohttp-session that is kept in a session store.

    ``created`` is the time when it began, in seconds since 1970 by the application's clock.
    Changes do not move it. Changes inside a value need no call of ``changed()``. Copies of any
    kind, pickled ones too, are plain dicts.

    Attributes:
        request_session: The session of the request; ``None`` until a session is stored that
            ``SQLStorage.new_session`` returned.
        own_max_age: The idle time that this request gave the session; ``None``: none.
        ends_with_browser: Whether this request set ``max_age`` to ``None``.
    """

    def __init__(
        self, request_session: RequestSession | None, default_max_age: timedelta, *, new: bool
    ) -> None:
        self.request_session = request_session
        self.own_max_age: timedelta | None = None
        self.ends_with_browser = False
        self._marks: dict[str, Any] = {}
        super().__init__(None, data=None, new=new, max_age=None)
        self._max_age = _seconds(default_max_age)
        if new or request_session is None:
            self._begin()
        else:
            self._take(request_session.state)
        # So that aiohttp-session calls ``save_session``, which finds out what has changed.
        self._changed = True

    @property
    def new(self) -> bool:
        """Whether it is not stored yet, or ended in this request."""
        return self._new

    @property
    def identity(self) -> str | None:
        """The id of the session that was loaded; ``None`` for a new one. It is a secret."""
        session = self.request_session
        if self._new or session is None or session.session_id is None:
            return None
        return session.session_id.value

    @property
    def created(self) -> int:
        """When the session began; now, if another framework began it."""
        created = self._marks.get(_CREATED)
        return created if isinstance(created, int) else int(time.time())

    @property
    def max_age(self) -> int | None:
        """The idle time in seconds: that of the storage, unless this request set another one."""
        return self._max_age

    @max_age.setter
    def max_age(self, value: timedelta | float | None) -> None:
        """Give the session an idle time of its own, as ``set_max_age`` does.

        With ``None``, the cookie ends with the browser, and the session lasts as long as the
        storage says. That counts for this response only.
        """
        self._require_open()
        self.own_max_age = None if value is None else duration_of(value, "max_age")
        self.ends_with_browser = self.own_max_age is None
        self._max_age = _seconds(self.own_max_age)

    @property
    def state(self) -> dict[str, Any]:
        """What is to be stored."""
        return {**self._mapping, **self._marks} if self._mapping else {}

    def __setitem__(self, key: str, value: object) -> None:
        self._require_open()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self._require_open()
        super().__delitem__(key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [new:{self.new}, created:{self.created}]>"

    def __copy__(self) -> dict[str, Any]:
        return dict(self._mapping)

    def __reduce_ex__(self, _protocol: object) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (dict(self._mapping),)

    def rotate(self) -> None:
        """Give the session a new id with this response; see ``sessionstore_sql.aiohttp.rotate``.

        Raises:
            SessionClosedError: The response has started.
        """
        self._require_open()
        if self.request_session is not None:
            self.request_session.rotate()

    def invalidate(self) -> None:
        """End the session: it is deleted with this response, and its cookie is removed.

        What is put into it afterwards begins another session, with an id of its own.

        Raises:
            SessionClosedError: The response has started.
        """
        self._require_open()
        if self.request_session is not None:
            self.request_session.invalidate()
        super().invalidate()
        self._begin()

    def set_new_identity(self, identity: object) -> None:  # noqa: ARG002  # aiohttp-session's
        """Raise an error: an id that is chosen by code may be known to others.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("the id of a session is drawn at random when it is stored")

    async def reload(self) -> bool:
        """Load the session again, and return whether it is still live.

        For responses and WebSockets that go on for long. A session that has ended is empty then.

        Raises:
            RuntimeError: Changes would be lost that are stored only when the response starts.
            DatabaseError: The database failed.
        """
        session = self.request_session
        if session is None:
            return False
        if not session.closed and session.is_changed(self.state):
            raise RuntimeError("the session has changes that are not stored yet: reload it later")
        is_live = await session.reload()
        self._take(session.state)
        return is_live

    def _take(self, state: dict[str, Any]) -> None:
        self._mapping = {key: value for key, value in state.items() if key != _CREATED}
        self._marks = {_CREATED: state[_CREATED]} if _CREATED in state else {}

    def _begin(self) -> None:
        self._new = True
        self._marks = {_CREATED: int(time.time())}

    def _require_open(self) -> None:
        if self.request_session is not None:
            self.request_session.require_open()


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else max(1, int(duration.total_seconds()))
