"""The contract as a function: what sessions an operation leaves, if its answer is right.

Time is known only as far as the history knows it: an operation happened somewhere between its
call and its return, so a deadline is an interval too. Where it leaves both possible, live and
expired, either answer is right, and the next one need not be the same: a statement reads the clock
before it commits, so one that extends a session in the last moment of its life may be overtaken by
one that finds it expired.
"""

from __future__ import annotations

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
    match operation.name:
        case "create":
            return moment.create()
        case "update":
            return moment.update()
        case "update_ttl":
            return moment.update_ttl()
        case "load":
            return moment.load()
        case "delete":
            return moment.delete()
        case "change_id":
            return moment.change_id()
        case _:
            raise ValueError(f"the model knows no operation {operation.name!r}")


class _Moment:
    """One operation, somewhere between its call and its return."""

    def __init__(self, sessions: Sessions, operation: Operation, end: int) -> None:
        self._sessions = sessions
        self._operation = operation
        self._from = operation.invoked
        returned = operation.returned if operation.outcome.is_answer else None
        self._until = end if returned is None else returned
        self._id = operation.ids[0]

    def create(self) -> Sessions | None:
        if self._operation.outcome is Outcome.DUPLICATE:
            return self._sessions if self._may_be_live(self._id) else None
        return self._with(self._id, self._new()) if self._may_be_dead(self._id) else None

    def update(self) -> Sessions | None:
        if self._operation.outcome is Outcome.UNKNOWN_ID:
            return self._sessions if self._may_be_dead(self._id) else None
        return self._with(self._id, self._new()) if self._may_be_live(self._id) else None

    def update_ttl(self) -> Sessions | None:
        if self._operation.outcome is Outcome.UNKNOWN_ID:
            return self._sessions if self._may_be_dead(self._id) else None
        if not self._may_be_live(self._id):
            return None
        earliest, latest = self._deadline()
        return self._with(self._id, Session(self._sessions[self._id].state, earliest, latest))

    def load(self) -> Sessions | None:
        if self._operation.state is None:
            return self._sessions if self._may_be_dead(self._id) else None
        if not self._may_be_live(self._id):
            return None
        session = self._sessions[self._id]
        earliest, latest = self._deadline()
        is_same = session.state == self._operation.state
        overlaps = earliest <= session.latest + SLACK and latest >= session.earliest - SLACK
        return self._sessions if is_same and overlaps else None

    def delete(self) -> Sessions | None:
        if self._operation.outcome is Outcome.UNKNOWN_ID:
            return self._sessions if self._may_be_dead(self._id) else None
        return self._without(self._id) if self._may_be_live(self._id) else None

    def change_id(self) -> Sessions | None:
        new_id = self._operation.ids[1]
        if self._operation.outcome is Outcome.UNKNOWN_ID:
            return self._sessions if self._may_be_dead(self._id) else None
        if not self._may_be_live(self._id):
            return None
        if self._operation.outcome is Outcome.DUPLICATE:
            return self._sessions if self._may_be_live(new_id) else None
        if not self._may_be_dead(new_id):
            return None
        return {**self._without(self._id), new_id: self._sessions[self._id]}

    def _may_be_live(self, session_id: str) -> bool:
        session = self._sessions.get(session_id)
        return session is not None and self._from < session.latest + SLACK

    def _may_be_dead(self, session_id: str) -> bool:
        session = self._sessions.get(session_id)
        return session is None or self._until >= session.earliest - SLACK

    def _deadline(self) -> tuple[int, int]:
        ttl = self._operation.ttl
        assert ttl is not None
        return self._from + ttl, self._until + ttl

    def _new(self) -> Session:
        assert self._operation.state is not None
        return Session(self._operation.state, *self._deadline())

    def _with(self, session_id: str, session: Session) -> Sessions:
        return {**self._sessions, session_id: session}

    def _without(self, session_id: str) -> Sessions:
        if session_id not in self._sessions:
            return self._sessions
        return {name: each for name, each in self._sessions.items() if name != session_id}
