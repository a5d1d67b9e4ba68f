"""What a history says against the store, in words."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reliability.history import Operation, Outcome
from tests.reliability.model import Session, Sessions


@dataclass(frozen=True, slots=True)
class Finding:
    """A group of ids whose history no order explains."""

    ids: tuple[str, ...]
    what: str
    operations: tuple[Operation, ...]
    """The one that cannot be explained, at the end, and those before it."""

    def __str__(self) -> str:
        return "\n".join([f"{self.what}: {', '.join(self.ids)}", *map(_line, self.operations)])


def describe(sessions: Sessions, operation: Operation) -> str:
    """Say what went wrong, as far as the sessions tell that were there before ``operation``."""
    session = sessions.get(operation.ids[0]) if operation.ids else None
    match operation.name, operation.outcome:
        case ("create" | "sign_in", outcome) if len(operation.ids) == 1:
            is_second = outcome is Outcome.DONE
            return "two winners" if is_second else "a live duplicate that was never stored"
        case ("sessions_of", _):
            return _describe_list(sessions, operation)
        case ("load" | "load_session", _) if operation.state is not None:
            return _describe_read(session, operation)
        case ("load" | "load_session", _) | (_, Outcome.UNKNOWN_ID):
            return "a live session was lost"
        case (_, Outcome.CONFLICT):
            return "a conflict with no other write"
        case _ if session is None:
            return "a write to a dead session"
        case _ if operation.expected not in {None, session.state}:
            return "a write over a newer state"
        case _:
            is_taken_over = session.handle in operation.handles
            return "a session of another user" if is_taken_over else "two winners"


def _describe_read(session: Session | None, operation: Operation) -> str:
    if session is None:
        return "a dead session came back"
    if operation.name == "load" or session.state != operation.state:
        return "a lost write"
    if session.subject != operation.subject:
        return "a session of another user"
    return "a lost write" if session.handle in operation.handles else "another handle"


def _describe_list(sessions: Sessions, operation: Operation) -> str:
    subjects = {each.handle: each.subject for each in sessions.values()}
    for handle in operation.handles:
        if handle not in subjects:
            return "a dead session came back"
        if subjects[handle] != operation.subject:
            return "a session of another user"
    return "a live session was lost"


def _line(operation: Operation) -> str:
    until = "never" if operation.returned is None else f"{operation.returned / 1e9:.6f}"
    words = [operation.name]
    if operation.subject is not None:
        words.append(f"[{operation.subject}]")
    if operation.ids:
        words.append(" -> ".join(operation.ids))
    words += operation.handles
    if operation.expected is not None:
        words.append(f"{operation.expected} ->")
    if operation.state is not None:
        words.append(operation.state)
    if operation.ttl is not None:
        words.append(f"ttl {operation.ttl / 1e9:.3f}")
    return (
        f"  {operation.invoked / 1e9:.6f}..{until} {operation.worker}: {' '.join(words)}:"
        f" {operation.outcome.value}"
    )
