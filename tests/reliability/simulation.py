"""A session store that lives in a test's imagination: right, or with one thing wrong.

Its histories are those of concurrent callers: each operation takes effect at a moment between
its call and its return, and some callers never hear whether it did.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.reliability.history import REVOCATIONS, Answer, Operation, Outcome

_MS = 1_000_000
_HOUR = 3_600_000 * _MS
_CALLERS, _CALLS = 4, 60
_IDS = ("a", "b", "c")
_TTLS = (0, 300 * _MS, _HOUR, 2 * _HOUR, 3 * _HOUR)
_OPERATIONS = ("create", "update", "update_ttl", "load", "load", "delete", "change_id", "purge")
_WITHOUT_ID = {*REVOCATIONS, "sessions_of", "purge"}
_WITH_STATE = {"create", "update", "update_if", "sign_in", "replace"}
_USERS = ("ada", "grace")
_OF_USER = {*REVOCATIONS, "sessions_of", "sign_in"}
_UNKNOWN_RATE = 0.03
_FAULT_RATE = 0.2

DONE, DUPLICATE = Answer(Outcome.DONE), Answer(Outcome.DUPLICATE)
UNKNOWN_ID = Answer(Outcome.UNKNOWN_ID)


def simulated(seed: int, fault: str | None = None) -> list[Operation]:
    """Return the history of one run; the same for the same arguments."""
    chance = random.Random(seed)
    store = (Store if fault is None else FAULTS[fault])(chance)
    return play(store, _OPERATIONS, chance)


def play(store: Store, operations: Sequence[str], chance: random.Random) -> list[Operation]:
    """Return the history of callers that choose among ``operations``."""
    planned = [
        each for caller in range(_CALLERS) for each in _plan(f"caller-{caller}", operations, chance)
    ]
    return [
        _executed(store, operation, moment, chance)
        for moment, operation in sorted(planned, key=lambda each: each[0])
    ]


def _executed(store: Store, operation: Operation, moment: int, chance: random.Random) -> Operation:
    """Return ``operation`` with its answer, or with none, whether or not it took effect."""
    operation = store.prepared(operation)
    is_unheard = chance.random() < _UNKNOWN_RATE
    if is_unheard and chance.random() < 1 / 2:
        return replace(operation, outcome=Outcome.UNKNOWN)
    answer = store.execute(operation, moment)
    if is_unheard:
        return replace(operation, outcome=Outcome.UNKNOWN)
    return replace(
        operation,
        outcome=answer.outcome,
        state=operation.state if answer.state is None else answer.state,
        ttl=operation.ttl if answer.ttl is None else answer.ttl,
        subject=operation.subject if answer.subject is None else answer.subject,
        handles=answer.handles or operation.handles,
    )


def _plan(
    caller: str, operations: Sequence[str], chance: random.Random
) -> list[tuple[int, Operation]]:
    """Return what a caller calls, one after the other, and when each takes effect."""
    planned = []
    now = 0
    for number in range(_CALLS):
        invoked = now + chance.randint(1, 80 * _MS)
        moment = invoked + chance.randint(1, 80 * _MS)
        now = moment + chance.randint(1, 80 * _MS)
        name = chance.choice(operations)
        count = 0 if name in _WITHOUT_ID else 2 if name in {"change_id", "replace"} else 1
        if name == "sign_in":
            count = chance.choice([1, 2])
        operation = Operation(
            caller,
            name,
            tuple(chance.sample(_IDS, count)),
            invoked,
            now,
            state=f"{caller}-{number}" if name in _WITH_STATE else None,
            ttl=chance.choice(_TTLS) if name in {*_WITH_STATE, "update_ttl"} else None,
            subject=chance.choice(_USERS) if name in _OF_USER else None,
        )
        planned.append((moment, operation))
    return planned


@dataclass
class Row:
    """A session."""

    state: str
    deadline: int
    before: str
    subject: str | None = None
    handle: str = ""


class Store:
    """Keeps the contract of the seven operations."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._rows: dict[str, Row] = {}
        self._now = 0

    def prepared(self, operation: Operation) -> Operation:
        """Return what a caller calls, which may depend on what it has loaded."""
        return operation

    def execute(self, operation: Operation, now: int) -> Answer:
        """Return the answer of an operation that takes effect now."""
        self._now = now
        answer: Answer = getattr(self, operation.name)(*operation.ids, operation)
        return answer

    def create(self, session_id: str, operation: Operation) -> Answer:
        """Store a session."""
        if self._is_live(session_id):
            return DUPLICATE
        self._store(session_id, operation)
        return DONE

    def update(self, session_id: str, operation: Operation) -> Answer:
        """Replace state and deadline."""
        if not self._is_live(session_id):
            return UNKNOWN_ID
        self._store(session_id, operation)
        return DONE

    def update_ttl(self, session_id: str, operation: Operation) -> Answer:
        """Replace the deadline."""
        if not self._is_live(session_id):
            return UNKNOWN_ID
        self._rows[session_id].deadline = self._now + (operation.ttl or 0)
        return DONE

    def load(self, session_id: str, _operation: Operation) -> Answer:
        """Return state and remaining time."""
        if not self._is_live(session_id):
            return DONE
        row = self._rows[session_id]
        return Answer(Outcome.DONE, row.state, row.deadline - self._now)

    def delete(self, session_id: str, _operation: Operation) -> Answer:
        """Remove a session."""
        if not self._is_live(session_id):
            return UNKNOWN_ID
        del self._rows[session_id]
        return DONE

    def change_id(self, old_id: str, new_id: str, _operation: Operation) -> Answer:
        """Give a session another id."""
        if not self._is_live(old_id):
            return UNKNOWN_ID
        if self._is_live(new_id):
            return DUPLICATE
        self._rows[new_id] = self._rows.pop(old_id)
        return DONE

    def purge(self, _operation: Operation) -> Answer:
        """Remove expired sessions."""
        self._rows = {name: row for name, row in self._rows.items() if row.deadline > self._now}
        return DONE

    def _is_live(self, session_id: str) -> bool:
        row = self._rows.get(session_id)
        return row is not None and row.deadline > self._now

    def _store(self, session_id: str, operation: Operation) -> None:
        assert operation.state is not None
        assert operation.ttl is not None
        row = self._rows.get(session_id)
        before = operation.state if row is None else row.state
        deadline = self._now + operation.ttl
        if self._is_live(session_id) and row is not None:
            self._rows[session_id] = replace(
                row, state=operation.state, deadline=deadline, before=before
            )
        else:
            self._rows[session_id] = Row(operation.state, deadline, before)

    def _is_wrong_now(self) -> bool:
        return self._chance.random() < _FAULT_RATE


class _LosesWrites(Store):
    def _store(self, session_id: str, operation: Operation) -> None:
        if not self._is_wrong_now():
            super()._store(session_id, operation)


class _LosesExtensions(Store):
    def update_ttl(self, session_id: str, operation: Operation) -> Answer:
        if self._is_live(session_id) and self._is_wrong_now():
            return DONE
        return super().update_ttl(session_id, operation)


class _RevivesByLateWrites(Store):
    def update(self, session_id: str, operation: Operation) -> Answer:
        if self._is_wrong_now():
            self._store(session_id, operation)
            return DONE
        return super().update(session_id, operation)


class _ForgetsDeletes(Store):
    def delete(self, session_id: str, operation: Operation) -> Answer:
        if self._is_live(session_id) and self._is_wrong_now():
            return DONE
        return super().delete(session_id, operation)


class _LetsTwoCreatesWin(Store):
    def create(self, session_id: str, operation: Operation) -> Answer:
        if self._is_wrong_now():
            self._store(session_id, operation)
            return DONE
        return super().create(session_id, operation)


class _CopiesOnRotation(Store):
    def change_id(self, old_id: str, new_id: str, operation: Operation) -> Answer:
        kept = self._rows.get(old_id)
        answer = super().change_id(old_id, new_id, operation)
        if answer is DONE and kept is not None and self._is_wrong_now():
            self._rows[old_id] = kept
        return answer


class _OverwritesOnRotation(Store):
    def change_id(self, old_id: str, new_id: str, operation: Operation) -> Answer:
        if self._is_live(old_id) and self._is_wrong_now():
            self._rows.pop(new_id, None)
        return super().change_id(old_id, new_id, operation)


class _PurgesLiveSessions(Store):
    def purge(self, operation: Operation) -> Answer:
        if self._rows and self._is_wrong_now():
            del self._rows[self._chance.choice(list(self._rows))]
        return super().purge(operation)


class _ReadsThePast(Store):
    def load(self, session_id: str, operation: Operation) -> Answer:
        answer = super().load(session_id, operation)
        if answer.state is not None and self._is_wrong_now():
            return replace(answer, state=self._rows[session_id].before)
        return answer


class _SaysFailedButWrites(Store):
    def update(self, session_id: str, operation: Operation) -> Answer:
        answer = super().update(session_id, operation)
        return Answer(Outcome.FAILED) if self._is_wrong_now() else answer


class _SeesExpiredSessions(Store):
    def _is_live(self, session_id: str) -> bool:
        row = self._rows.get(session_id)
        return row is not None and (row.deadline > self._now or self._is_wrong_now())


FAULTS: dict[str, type[Store]] = {
    each.__name__.removeprefix("_"): each for each in Store.__subclasses__()
}
