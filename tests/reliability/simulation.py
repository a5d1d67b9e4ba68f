"""A session store that lives in a test's imagination: right, or with one thing wrong.

Its histories are those of concurrent callers: each operation takes effect at a moment between
its call and its return, and some callers never hear whether it did.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TypeAlias

from tests.reliability.history import Operation, Outcome

_MS = 1_000_000
_HOUR = 3_600_000 * _MS
_CALLERS, _CALLS = 4, 60
_IDS = ("a", "b", "c")
_TTLS = (0, 300 * _MS, _HOUR, 2 * _HOUR, 3 * _HOUR)
_OPERATIONS = ("create", "update", "update_ttl", "load", "load", "delete", "change_id", "purge")
_UNKNOWN_RATE = 0.03
_FAULT_RATE = 0.2

_Answer: TypeAlias = tuple[Outcome, str | None, int | None]
_DONE: _Answer = (Outcome.DONE, None, None)
_DUPLICATE: _Answer = (Outcome.DUPLICATE, None, None)
_UNKNOWN_ID: _Answer = (Outcome.UNKNOWN_ID, None, None)


def simulated(seed: int, fault: str | None = None) -> list[Operation]:
    """Return the history of one run; the same for the same arguments."""
    chance = random.Random(seed)
    store = (_Store if fault is None else FAULTS[fault])(chance)
    planned = [each for caller in range(_CALLERS) for each in _plan(f"caller-{caller}", chance)]
    return [
        _executed(store, operation, moment, chance)
        for moment, operation in sorted(planned, key=lambda each: each[0])
    ]


def _executed(store: _Store, operation: Operation, moment: int, chance: random.Random) -> Operation:
    """Return ``operation`` with its answer, or with none, whether or not it took effect."""
    is_unheard = chance.random() < _UNKNOWN_RATE
    if is_unheard and chance.random() < 1 / 2:
        return replace(operation, outcome=Outcome.UNKNOWN)
    outcome, state, ttl = store.execute(operation, moment)
    if is_unheard:
        return replace(operation, outcome=Outcome.UNKNOWN)
    return replace(
        operation,
        outcome=outcome,
        state=operation.state if state is None else state,
        ttl=operation.ttl if ttl is None else ttl,
    )


def _plan(caller: str, chance: random.Random) -> list[tuple[int, Operation]]:
    """Return what a caller calls, one after the other, and when each takes effect."""
    planned = []
    now = 0
    for number in range(_CALLS):
        invoked = now + chance.randint(1, 80 * _MS)
        moment = invoked + chance.randint(1, 80 * _MS)
        now = moment + chance.randint(1, 80 * _MS)
        name = chance.choice(_OPERATIONS)
        ids = chance.sample(_IDS, 2) if name == "change_id" else [chance.choice(_IDS)]
        operation = Operation(
            caller,
            name,
            () if name == "purge" else tuple(ids),
            invoked,
            now,
            state=f"{caller}-{number}" if name in {"create", "update"} else None,
            ttl=chance.choice(_TTLS) if name in {"create", "update", "update_ttl"} else None,
        )
        planned.append((moment, operation))
    return planned


@dataclass
class _Row:
    state: str
    deadline: int
    before: str


class _Store:
    """Keeps the contract."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._rows: dict[str, _Row] = {}
        self._now = 0

    def execute(self, operation: Operation, now: int) -> _Answer:
        self._now = now
        answer: _Answer = getattr(self, operation.name)(*operation.ids, operation)
        return answer

    def create(self, session_id: str, operation: Operation) -> _Answer:
        if self._is_live(session_id):
            return _DUPLICATE
        self._store(session_id, operation)
        return _DONE

    def update(self, session_id: str, operation: Operation) -> _Answer:
        if not self._is_live(session_id):
            return _UNKNOWN_ID
        self._store(session_id, operation)
        return _DONE

    def update_ttl(self, session_id: str, operation: Operation) -> _Answer:
        if not self._is_live(session_id):
            return _UNKNOWN_ID
        self._rows[session_id].deadline = self._now + (operation.ttl or 0)
        return _DONE

    def load(self, session_id: str, _operation: Operation) -> _Answer:
        if not self._is_live(session_id):
            return _DONE
        row = self._rows[session_id]
        return (Outcome.DONE, row.state, row.deadline - self._now)

    def delete(self, session_id: str, _operation: Operation) -> _Answer:
        if not self._is_live(session_id):
            return _UNKNOWN_ID
        del self._rows[session_id]
        return _DONE

    def change_id(self, old_id: str, new_id: str, _operation: Operation) -> _Answer:
        if not self._is_live(old_id):
            return _UNKNOWN_ID
        if self._is_live(new_id):
            return _DUPLICATE
        self._rows[new_id] = self._rows.pop(old_id)
        return _DONE

    def purge(self, _operation: Operation) -> _Answer:
        self._rows = {name: row for name, row in self._rows.items() if row.deadline > self._now}
        return _DONE

    def _is_live(self, session_id: str) -> bool:
        row = self._rows.get(session_id)
        return row is not None and row.deadline > self._now

    def _store(self, session_id: str, operation: Operation) -> None:
        assert operation.state is not None
        assert operation.ttl is not None
        row = self._rows.get(session_id)
        before = operation.state if row is None else row.state
        self._rows[session_id] = _Row(operation.state, self._now + operation.ttl, before)

    def _is_wrong_now(self) -> bool:
        return self._chance.random() < _FAULT_RATE


class _LosesWrites(_Store):
    def _store(self, session_id: str, operation: Operation) -> None:
        if not self._is_wrong_now():
            super()._store(session_id, operation)


class _LosesExtensions(_Store):
    def update_ttl(self, session_id: str, operation: Operation) -> _Answer:
        if self._is_live(session_id) and self._is_wrong_now():
            return _DONE
        return super().update_ttl(session_id, operation)


class _RevivesByLateWrites(_Store):
    def update(self, session_id: str, operation: Operation) -> _Answer:
        if self._is_wrong_now():
            self._store(session_id, operation)
            return _DONE
        return super().update(session_id, operation)


class _ForgetsDeletes(_Store):
    def delete(self, session_id: str, operation: Operation) -> _Answer:
        if self._is_live(session_id) and self._is_wrong_now():
            return _DONE
        return super().delete(session_id, operation)


class _LetsTwoCreatesWin(_Store):
    def create(self, session_id: str, operation: Operation) -> _Answer:
        if self._is_wrong_now():
            self._store(session_id, operation)
            return _DONE
        return super().create(session_id, operation)


class _CopiesOnRotation(_Store):
    def change_id(self, old_id: str, new_id: str, operation: Operation) -> _Answer:
        kept = self._rows.get(old_id)
        answer = super().change_id(old_id, new_id, operation)
        if answer is _DONE and kept is not None and self._is_wrong_now():
            self._rows[old_id] = kept
        return answer


class _OverwritesOnRotation(_Store):
    def change_id(self, old_id: str, new_id: str, operation: Operation) -> _Answer:
        if self._is_live(old_id) and self._is_wrong_now():
            self._rows.pop(new_id, None)
        return super().change_id(old_id, new_id, operation)


class _PurgesLiveSessions(_Store):
    def purge(self, operation: Operation) -> _Answer:
        if self._rows and self._is_wrong_now():
            del self._rows[self._chance.choice(list(self._rows))]
        return super().purge(operation)


class _ReadsThePast(_Store):
    def load(self, session_id: str, operation: Operation) -> _Answer:
        outcome, state, ttl = super().load(session_id, operation)
        if state is not None and self._is_wrong_now():
            state = self._rows[session_id].before
        return (outcome, state, ttl)


class _SaysFailedButWrites(_Store):
    def update(self, session_id: str, operation: Operation) -> _Answer:
        answer = super().update(session_id, operation)
        return (Outcome.FAILED, None, None) if self._is_wrong_now() else answer


class _SeesExpiredSessions(_Store):
    def _is_live(self, session_id: str) -> bool:
        row = self._rows.get(session_id)
        return row is not None and (row.deadline > self._now or self._is_wrong_now())


FAULTS: dict[str, type[_Store]] = {
    each.__name__.removeprefix("_"): each for each in _Store.__subclasses__()
}
