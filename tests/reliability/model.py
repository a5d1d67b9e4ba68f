"""The contract as a function: what sessions an operation leaves, if its answer is right.

Time is known only as far as the history knows it: an operation happened somewhere between its
call and its return, so a deadline is an interval too. Where it leaves both possible, live and
expired, either answer is right, and the next one need not be the same: a statement reads the clock
before it commits, so one that extends a session in the last moment of its life may be overtaken by
one that finds it expired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from tests.reliability.history import Operation, Outcome

SLACK = 100_000_000
"""Nanoseconds by which a database's clock may stray from the monotonic one while a test runs."""


class Session(NamedTuple):
    """A session as far as the history tells."""

    state: str
    earliest: int
    """The deadline lies between these two."""
    latest: int
    subject: str | None = None
    handle: str | None = None
    """``None``: anonymous, or the outcome of the sign-in is unknown and no call has read it yet."""
    ended_by: float = math.inf
    """By when another call has ended it, as its sign-in returned a handle that is not its own."""


Sessions: TypeAlias = Mapping[str, Session]


def after(sessions: Sessions, operation: Operation, end: int) -> Sessions | None:
    """Return the sessions after ``operation``, or ``None`` if it cannot have been answered so.

    Args:
        sessions: Those that are there before it.
        operation: With its answer. Of one whose outcome is unknown, the case that it took effect;
            the other case is to leave it out.
        end: When the history ended, which is how late an unknown outcome can have come about.
    """
    moment = _Moment(sessions, operation, end)
    left: Sessions | None = getattr(moment, operation.name)()
    return left


class _Moment:
    """One operation, somewhere between its call and its return."""

    def __init__(self, sessions: Sessions, operation: Operation, end: int) -> None:
        self._sessions = sessions
        self._operation = operation
        self._from = operation.invoked
        returned = operation.returned if operation.outcome.is_answer else None
        self._until = end if returned is None else returned
        self._id, self._new_id = (*operation.ids, "", "")[:2]

    def create(self) -> Sessions | None:
        return self._begin(self._id)

    def update(self) -> Sessions | None:
        return self._change(self._id)

    def update_if(self) -> Sessions | None:
        return self._change(self._id)

    def update_ttl(self) -> Sessions | None:
        return self._change(self._id)

    def change_id(self) -> Sessions | None:
        return self._change(self._id, self._new_id)

    def replace(self) -> Sessions | None:
        return self._change(self._id, self._new_id)

    def sign_in(self) -> Sessions | None:
        return self._change(self._id, self._new_id) if self._new_id else self._begin(self._id)

    def load(self) -> Sessions | None:
        if self._operation.state is None:
            return self._unchanged_if(self._may_be_dead(self._id))
        if not self._may_be_live(self._id):
            return None
        session = self._sessions[self._id]
        earliest, latest = self._deadline()
        is_same = session.state == self._operation.state
        overlaps = earliest <= session.latest + SLACK and latest >= session.earliest - SLACK
        return self._unchanged_if(is_same and overlaps)

    def load_session(self) -> Sessions | None:
        if self.load() is None or self._operation.state is None:
            return self.load()
        session = self._sessions[self._id]
        if session.subject != self._operation.subject:
            return None
        return self._named(self._id, *self._operation.handles)

    def sessions_of(self) -> Sessions | None:
        """Compare a list, of which ``handles`` has those that belong to these sessions."""
        listed = set(self._operation.handles)
        unnamed = []
        for session_id in self._of_subject():
            handle = self._sessions[session_id].handle
            if handle is None:
                unnamed.append(session_id)
            elif not (self._may_be_live if handle in listed else self._may_be_dead)(session_id):
                return None
            listed.discard(handle or "")
        if len(listed) == len(unnamed) == 1:
            return self._named(*unnamed, *listed)
        return self._unchanged_if(len(listed) <= len(unnamed))

    def delete(self) -> Sessions | None:
        if self._operation.outcome is Outcome.UNKNOWN_ID:
            return self._unchanged_if(self._may_be_dead(self._id))
        return self._without(self._id) if self._may_be_live(self._id) else None

    def sign_out(self) -> Sessions:
        if self._id in self._sessions:
            return self._without(self._id)
        return self.revoke_only()

    def revoke(self) -> Sessions:
        return self._without(*self._of_subject())

    def revoke_only(self) -> Sessions:
        handles = self._operation.handles
        named = (each for each in self._of_subject() if self._sessions[each].handle in handles)
        return self._without(*named)

    def revoke_others(self) -> Sessions:
        handles = self._operation.handles
        others = (each for each in self._of_subject() if self._sessions[each].handle not in handles)
        return self._without(*others)

    def _begin(self, session_id: str) -> Sessions | None:
        if self._operation.outcome is Outcome.DUPLICATE:
            return self._unchanged_if(self._may_be_live(session_id))
        if not self._may_be_dead(session_id):
            return None
        return {**self._sessions, session_id: self._changed(Session("", 0, 0))}

    def _change(self, session_id: str, new_id: str = "") -> Sessions | None:
        """Change a live session, which may get a new id."""
        operation = self._operation
        if operation.outcome is Outcome.UNKNOWN_ID:
            return self._unchanged_if(self._may_be_dead(session_id))
        if not self._may_be_live(session_id):
            return None
        session = self._sessions[session_id]
        # Its own state, if this is the repeat of a call whose connection was lost.
        is_expected = operation.expected in {None, session.state} or (
            session.state == operation.state
        )
        if operation.outcome is Outcome.CONFLICT:
            return self._unchanged_if(not is_expected)
        if operation.outcome is Outcome.DUPLICATE:
            return self._unchanged_if(self._may_be_live(new_id))
        if not is_expected or (new_id and not self._may_be_dead(new_id)):
            return None
        is_another = operation.name == "sign_in" and operation.subject != session.subject
        if is_another and session.handle is not None and session.handle in operation.handles:
            return None
        return {**self._without(session_id), new_id or session_id: self._changed(session)}

    def _changed(self, session: Session) -> Session:
        """Return what the operation makes of a session."""
        operation = self._operation
        if operation.ttl is not None:
            earliest, latest = self._deadline()
            session = session._replace(earliest=earliest, latest=latest)
        if operation.state is not None:
            session = session._replace(state=operation.state)
        if operation.name != "sign_in":
            return session
        (handle,) = operation.handles or (None,)
        if session.subject != operation.subject:
            return Session(*session[:3], operation.subject, handle)
        if session.handle is None:
            return session._replace(handle=handle)
        # The same user proves again who they are, and the handle stays.
        if handle in {None, session.handle}:
            return session
        return session._replace(ended_by=self._until)

    def _named(self, session_id: str, handle: str | None = None) -> Sessions | None:
        """Note the handle of a session whose sign-in did not return."""
        session = self._sessions[session_id]
        if session.handle is None and handle is not None and session.subject is not None:
            if not self._may_be_live(session_id):
                return None
            return {**self._sessions, session_id: session._replace(handle=handle)}
        return self._unchanged_if(session.handle == handle)

    def _of_subject(self) -> list[str]:
        subject = self._operation.subject
        return [name for name, each in self._sessions.items() if each.subject == subject]

    def _may_be_live(self, session_id: str) -> bool:
        session = self._sessions.get(session_id)
        return session is not None and self._from < min(session.latest + SLACK, session.ended_by)

    def _may_be_dead(self, session_id: str) -> bool:
        session = self._sessions.get(session_id)
        return session is None or self._until >= session.earliest - SLACK

    def _deadline(self) -> tuple[int, int]:
        ttl = self._operation.ttl
        assert ttl is not None
        return self._from + ttl, self._until + ttl

    def _unchanged_if(self, condition: bool) -> Sessions | None:
        return self._sessions if condition else None

    def _without(self, *ids: str) -> Sessions:
        if not any(each in self._sessions for each in ids):
            return self._sessions
        return {name: each for name, each in self._sessions.items() if name not in ids}
