"""The imagined store with users: right, or with one thing wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.reliability.history import Answer, Operation, Outcome
from tests.reliability.simulation import DONE, DUPLICATE, UNKNOWN_ID, Row, Store, play

CONFLICT = Answer(Outcome.CONFLICT)

_OPERATIONS = (
    *("create", "update", "update_ttl", "load", "delete", "change_id", "purge"),
    *("sign_in", "sign_in", "load_session", "load_session", "update_if", "update_if", "replace"),
    *("sessions_of", "revoke", "revoke_only", "revoke_others", "sign_out"),
)


def simulated_with_users(seed: int, fault: str | None = None) -> list[Operation]:
    """Return the history of one run; the same for the same arguments."""
    chance = random.Random(seed)
    return play(
        (AccountStore if fault is None else ACCOUNT_FAULTS[fault])(chance), _OPERATIONS, chance
    )


class AccountStore(Store):
    """Keeps the contract. Callers know what they loaded last, and what was listed last."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(chance)
        self._handles = 0
        self._loaded: dict[str, Operation] = {}
        self._listed: dict[str, str] = {}

    def prepared(self, operation: Operation) -> Operation:
        """Return the operation with a version or a handle that its caller knows."""
        loaded = self._loaded.get(operation.worker)
        match operation.name:
            case "update_if" | "replace" | "sign_in" if loaded is not None:
                if len(operation.ids) == 1 and operation.name == "sign_in":
                    return operation
                is_same = operation.name == "update_if"
                ids = (loaded.ids[0], *operation.ids[1:]) if is_same else operation.ids
                return replace(operation, ids=ids, expected=loaded.state)
            case "update_if":
                return replace(operation, name="update")
            case "sign_out" if loaded is not None and loaded.subject is not None:
                return replace(
                    operation, ids=loaded.ids, subject=loaded.subject, handles=loaded.handles
                )
            case "sign_out":
                return replace(operation, name="load")
            case "revoke_only" | "revoke_others":
                handle = self._listed.get(f"{operation.worker} {operation.subject}")
                if handle is None:
                    return replace(operation, name="revoke")
                return replace(operation, handles=(handle,))
            case _:
                return operation

    def sign_in(self, old_id: str, *rest: object) -> Answer:
        """Make a session that of a user."""
        operation = rest[-1]
        assert isinstance(operation, Operation)
        if len(rest) == 1:
            if self._is_live(old_id):
                return DUPLICATE
            self._store(old_id, operation)
            new_id = old_id
        else:
            new_id = operation.ids[1]
            answer = self.replace(old_id, new_id, operation)
            if answer is not DONE:
                return answer
        row = self._rows[new_id]
        if row.subject != operation.subject:
            self._handles += 1
            row.handle = f"h{self._handles}"
        row.subject = operation.subject
        return Answer(Outcome.DONE, handles=(row.handle,))

    def replace(self, old_id: str, new_id: str, operation: Operation) -> Answer:
        """Replace id, state and deadline."""
        if not self._is_live(old_id):
            return UNKNOWN_ID
        if not self._is_expected(old_id, operation):
            return CONFLICT
        if self._is_live(new_id):
            return DUPLICATE
        self._rows[new_id] = self._rows.pop(old_id)
        if self._is_live(new_id):
            self._store(new_id, operation)
        return DONE

    def update_if(self, session_id: str, operation: Operation) -> Answer:
        """Replace state and deadline unless the state is another one than expected."""
        if self._is_live(session_id) and not self._is_expected(session_id, operation):
            return CONFLICT
        return self.update(session_id, operation)

    def load_session(self, session_id: str, operation: Operation) -> Answer:
        """Return a session and its user."""
        answer = self.load(session_id, operation)
        if answer.state is None:
            self._loaded.pop(operation.worker, None)
            return answer
        row = self._rows[session_id]
        handles = (row.handle,) if row.handle else ()
        self._loaded[operation.worker] = replace(
            operation, state=answer.state, subject=row.subject, handles=handles
        )
        return replace(answer, subject=row.subject, handles=handles)

    def sessions_of(self, operation: Operation) -> Answer:
        """Return the handles of a user's live sessions."""
        rows = [self._rows[each] for each in self._of(operation) if self._is_live(each)]
        handles = tuple(row.handle for row in rows)
        if handles:
            self._listed[f"{operation.worker} {operation.subject}"] = self._chance.choice(handles)
        return Answer(Outcome.DONE, handles=handles)

    def revoke(self, operation: Operation) -> Answer:
        """End all sessions of a user."""
        return self._end(operation, lambda _: True)

    def revoke_only(self, operation: Operation) -> Answer:
        """End one session of a user."""
        return self._end(operation, lambda row: row.handle in operation.handles)

    def revoke_others(self, operation: Operation) -> Answer:
        """End all sessions of a user but one."""
        return self._end(operation, lambda row: row.handle not in operation.handles)

    def sign_out(self, session_id: str, operation: Operation) -> Answer:
        """End a session that was loaded, whatever its id is now."""
        if self._rows.pop(session_id, None) is not None:
            return DONE
        return self.revoke_only(operation)

    def _of(self, operation: Operation) -> list[str]:
        return [name for name, row in self._rows.items() if row.subject == operation.subject]

    def _is_expected(self, session_id: str, operation: Operation) -> bool:
        return operation.expected in {None, self._rows[session_id].state}

    def _end(self, operation: Operation, is_meant: Callable[[Row], bool]) -> Answer:
        for session_id in self._of(operation):
            if is_meant(self._rows[session_id]):
                del self._rows[session_id]
        return DONE


class _MissesSessions(AccountStore):
    def _end(self, operation: Operation, is_meant: Callable[[Row], bool]) -> Answer:
        return DONE if self._is_wrong_now() else super()._end(operation, is_meant)


class _EndsTooMany(AccountStore):
    def _end(self, operation: Operation, is_meant: Callable[[Row], bool]) -> Answer:
        return super()._end(operation, (lambda _: True) if self._is_wrong_now() else is_meant)


class _EndsSessionsOfAll(AccountStore):
    def _of(self, operation: Operation) -> list[str]:
        return list(self._rows) if self._is_wrong_now() else super()._of(operation)


class _IgnoresVersions(AccountStore):
    def _is_expected(self, session_id: str, operation: Operation) -> bool:
        return self._is_wrong_now() or super()._is_expected(session_id, operation)


class _InventsConflicts(AccountStore):
    def _is_expected(self, session_id: str, operation: Operation) -> bool:
        return not self._is_wrong_now() and super()._is_expected(session_id, operation)


class _ForgetsUsers(AccountStore):
    def replace(self, old_id: str, new_id: str, operation: Operation) -> Answer:
        answer = super().replace(old_id, new_id, operation)
        if answer is DONE and self._is_wrong_now():
            self._rows[new_id].subject, self._rows[new_id].handle = None, ""
        return answer


class _KeepsHandlesOfOthers(AccountStore):
    def sign_in(self, old_id: str, *rest: object) -> Answer:
        kept = self._rows[old_id].handle if old_id in self._rows else ""
        answer = super().sign_in(old_id, *rest)
        operation = rest[-1]
        assert isinstance(operation, Operation)
        if answer.outcome is Outcome.DONE and kept and self._is_wrong_now():
            self._rows[operation.ids[-1]].handle = kept
            return Answer(Outcome.DONE, handles=(kept,))
        return answer


class _ListsTooFew(AccountStore):
    def sessions_of(self, operation: Operation) -> Answer:
        answer = super().sessions_of(operation)
        return replace(answer, handles=answer.handles[1:]) if self._is_wrong_now() else answer


ACCOUNT_FAULTS: dict[str, type[AccountStore]] = {
    each.__name__.removeprefix("_"): each for each in AccountStore.__subclasses__()
}
