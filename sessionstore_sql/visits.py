"""One request's use of a session: from the cookie that it presents to what its response owes.

What those adapters of web frameworks share that give an application a dict, and look at it when
the response is about to start.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from sessionstore_sql.cookies import id_of
from sessionstore_sql.errors import DeserializationError
from sessionstore_sql.lifecycle import SessionUse, carry_out, decide
from sessionstore_sql.records import MAX_TTL, SessionRecord

if TYPE_CHECKING:
    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.lifecycle import Outcome
    from sessionstore_sql.records import JSON, SessionId

logger = logging.getLogger(__name__)


class SessionClosedError(RuntimeError):
    """A session was changed after the response had started, too late to be stored.

    Raised where it is changed, if the session can tell; a change inside one of its values, or of
    a plain dict, is found and reported likewise when the application has finished.
    """


class Visit:
    """One request's use of a session.

    Args:
        presented: Whether the client sent a cookie of the name, of whatever value.
        session_id: The id it presented; ``None`` where it was none.
        record: What was loaded; ``None`` where no live session has the id.

    Attributes:
        session_id: The id of the session that was loaded; ``None`` where none was.
        state: What was loaded, or an empty dict: the application's to change.
        closed: Whether the response has started.
    """

    def __init__(
        self, *, presented: bool, session_id: SessionId | None, record: SessionRecord | None
    ) -> None:
        self.session_id = None if record is None else session_id
        self.state: dict[str, JSON] = {} if record is None else record.state
        self.closed = False
        self._presented = presented
        self._remaining = None if record is None else record.ttl
        self._fingerprint = _fingerprint(self.state)
        self._rotated = False
        self._invalidated = False

    @classmethod
    async def begin(cls, store: SessionStorageBackend, presented: list[bytes]) -> Visit:
        """Load the session whose id a client presents, if it presents one.

        A state that cannot be decoded is logged, and its id taken for an unknown one: to raise
        would lock the client out for as long as it has the cookie.

        Args:
            store: Where the sessions are.
            presented: Each value that the request has for the cookie.

        Raises:
            DatabaseError: The database failed.
        """
        session_id, record = id_of(presented), None
        if session_id is not None:
            try:
                record = await store.load(session_id)
            except DeserializationError:
                logger.exception("a session cannot be decoded: it is taken for an unknown one")
        return cls(presented=bool(presented), session_id=session_id, record=record)

    def rotate(self) -> None:
        """Ask for a new id.

        Raises:
            SessionClosedError: The response has started.
        """
        self.require_open()
        self._rotated = True

    def invalidate(self) -> None:
        """Have what was loaded deleted; what the state holds in the end is another session's.

        Raises:
            SessionClosedError: The response has started.
        """
        self.require_open()
        self._invalidated = True

    def require_open(self) -> None:
        """Raise ``SessionClosedError`` if it is too late for a change."""
        if self.closed:
            raise SessionClosedError(
                "the response has started: the session can no longer be changed"
            )

    async def finish(
        self,
        store: SessionStorageBackend,
        state: dict[str, Any],
        *,
        ttl: timedelta,
        renewal_threshold: float,
        new_ttl: bool = False,
    ) -> Outcome:
        """Close the visit, and give the session what it is owed; see ``lifecycle``.

        Args:
            store: Where the sessions are.
            state: As the application leaves it.
            ttl: The time to live that the session gets when it is stored or extended.
            renewal_threshold: The share of ``ttl`` below which remaining life is extended.
            new_ttl: Whether ``ttl`` is another one than usual, and to be stored in any case.

        Raises:
            SerializationError: The state cannot be stored.
            DatabaseError: The database failed.
        """
        before, self._fingerprint = self._fingerprint, _fingerprint(state)
        self.closed = True
        use = SessionUse(
            presented=self._presented,
            remaining=self._remaining,
            ttl=ttl,
            renewal_threshold=renewal_threshold,
            changed=new_ttl or self._fingerprint is None or self._fingerprint != before,
            empty=not state,
            rotated=self._rotated,
            invalidated=self._invalidated,
        )
        record = SessionRecord(state, ttl)
        return await carry_out(decide(use), store, session_id=self.session_id, record=record)

    def require_finished(self, state: dict[str, Any]) -> None:
        """Raise ``SessionClosedError`` if something was asked for that has not been done."""
        asked_for = not self.closed and (self._rotated or self._invalidated)
        if asked_for or _fingerprint(state) != self._fingerprint:
            raise SessionClosedError(
                "the session was changed after the response had started, or without one that "
                "can carry a cookie: the change is lost"
            )


def ttl_of_seconds(max_age: object) -> timedelta:
    """Return the option ``max_age`` of a web framework as a time to live.

    Raises:
        TypeError: It is not an ``int``.
        ValueError: It is less than a second, or more than a hundred years.
    """
    if not isinstance(max_age, int) or isinstance(max_age, bool):
        raise TypeError(f"max_age is an int of seconds, not {type(max_age).__name__}")
    if not 0 < max_age <= MAX_TTL.total_seconds():
        raise ValueError("max_age lies between one second and a hundred years")
    return timedelta(seconds=max_age)


def require_threshold(renewal_threshold: float) -> None:
    """Raise ``ValueError`` unless ``renewal_threshold`` is a share of a time to live."""
    if not 0 <= renewal_threshold <= 1:
        raise ValueError("renewal_threshold lies between 0 and 1")


def _fingerprint(state: dict[str, Any]) -> bytes | None:
    """Return bytes that are equal as long as the state is, or ``None`` where JSON has none.

    Values that ``==`` takes for equal, such as ``1`` and ``True``, differ here; the order of keys
    doesn't matter.
    """
    try:
        return orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Storing it will fail, and that error names the path.
        return None
