"""What a response owes a session: each case there is, and what can go wrong in doing it."""

from __future__ import annotations

import itertools
import logging
from dataclasses import FrozenInstanceError, dataclass
from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    JSON,
    ChangeIdError,
    CreateError,
    DatabaseError,
    DuplicateIdError,
    LoadError,
    SerializationError,
    SessionId,
    SessionRecord,
    UnknownIdError,
    UpdateError,
    UpdateTtlError,
)
from sessionstore_sql.errors import for_operation
from sessionstore_sql.lifecycle import (
    Cookie,
    Decision,
    Operation,
    Outcome,
    SessionUse,
    carry_out,
    decide,
)
from sessionstore_sql.rotation import rotate
from tests.unit.memory_backend import MemoryBackend

TTL = timedelta(hours=10)
NONE = None
FRESH = timedelta(hours=8)
DUE = FRESH - timedelta(microseconds=1)
ANY = object()

CREATE, UPDATE, UPDATE_TTL, DELETE, CHANGE_ID = Operation
KEEP, SET, REMOVE = Cookie


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is decided where the use of a session is as described."""

    remaining: Any = ANY
    presented: Any = ANY
    changed: Any = ANY
    empty: Any = ANY
    rotated: Any = ANY
    invalidated: Any = ANY
    operations: tuple[Operation, ...]
    cookie: Cookie

    def applies_to(self, use: SessionUse) -> bool:
        """Whether ``use`` is as described."""
        names = ("remaining", "presented", "changed", "empty", "rotated", "invalidated")
        wanted = {name: getattr(self, name) for name in names}
        return all(value is ANY or value == getattr(use, name) for name, value in wanted.items())


def live_rules(remaining: timedelta, extension: tuple[Operation, ...]) -> list[Rule]:
    """Return the rules for a session that was loaded; ``extension`` is what its life is owed."""

    def rule(*operations: Operation, cookie: Cookie, **use: bool) -> Rule:
        return Rule(remaining=remaining, operations=operations, cookie=cookie, **use)

    touched = SET if extension else KEEP
    return [
        rule(DELETE, CREATE, cookie=SET, invalidated=True, empty=False),
        rule(DELETE, cookie=REMOVE, invalidated=True, empty=True),
        rule(DELETE, cookie=REMOVE, invalidated=False, changed=True, empty=True),
        rule(
            *(CHANGE_ID, UPDATE),
            cookie=SET,
            invalidated=False,
            changed=True,
            empty=False,
            rotated=True,
        ),
        rule(UPDATE, cookie=SET, invalidated=False, changed=True, empty=False, rotated=False),
        rule(*(CHANGE_ID, *extension), cookie=SET, invalidated=False, changed=False, rotated=True),
        rule(*extension, cookie=touched, invalidated=False, changed=False, rotated=False),
    ]


RULES = [
    Rule(remaining=NONE, empty=False, operations=(CREATE,), cookie=SET),
    Rule(remaining=NONE, empty=True, invalidated=False, operations=(), cookie=KEEP),
    Rule(
        remaining=NONE,
        empty=True,
        invalidated=True,
        presented=False,
        operations=(),
        cookie=KEEP,
    ),
    Rule(
        remaining=NONE,
        empty=True,
        invalidated=True,
        presented=True,
        operations=(),
        cookie=REMOVE,
    ),
    *live_rules(FRESH, ()),
    *live_rules(DUE, (UPDATE_TTL,)),
]


def every_use() -> list[SessionUse]:
    """Return each combination there is."""
    booleans = (False, True)
    return [
        SessionUse(
            presented=presented,
            remaining=remaining,
            ttl=TTL,
            changed=changed,
            empty=empty,
            rotated=rotated,
            invalidated=invalidated,
        )
        for remaining in (NONE, FRESH, DUE)
        for presented, changed, empty, rotated, invalidated in itertools.product(booleans, repeat=5)
    ]


@pytest.mark.parametrize("use", every_use(), ids=str)
def test_each_use_is_decided_by_one_rule(use: SessionUse) -> None:
    """Of all combinations, each falls under exactly one rule, and is decided by it."""
    (rule,) = [rule for rule in RULES if rule.applies_to(use)]

    assert decide(use) == Decision(rule.operations, rule.cookie)


@pytest.mark.parametrize(
    ("threshold", "remaining", "extended"),
    [
        (0.0, timedelta(microseconds=1), False),
        (0.5, TTL / 2, False),
        (0.5, TTL / 2 - timedelta(microseconds=1), True),
        (1.0, TTL, False),
        (1.0, TTL - timedelta(microseconds=1), True),
        (0.8, 2 * TTL, False),
    ],
)
def test_life_below_the_threshold_is_renewed(
    threshold: float, remaining: timedelta, extended: bool
) -> None:
    """A session is extended when less than its share of the time to live remains."""
    use = SessionUse(
        presented=True,
        remaining=remaining,
        ttl=TTL,
        renewal_threshold=threshold,
        changed=False,
        empty=False,
        rotated=False,
        invalidated=False,
    )

    decision = decide(use)

    assert decision.operations == ((UPDATE_TTL,) if extended else ())


def test_a_decision_cannot_be_altered() -> None:
    """What was decided is a value."""
    with pytest.raises(FrozenInstanceError):
        Decision((), KEEP).cookie = SET  # type: ignore[misc]


STATE: dict[str, JSON] = {"user": 7}
RECORD = SessionRecord(STATE, TTL)
OLD_ID = SessionId("the id that was loaded")


class FailingBackend(MemoryBackend):
    """Calls one operation and then raises; what it did stays done."""

    def __init__(self, operation: str, error: Exception) -> None:
        super().__init__()
        self.calls: list[str] = []
        self._failing = operation
        self._error = error

    def __getattribute__(self, name: str) -> Any:
        if name not in {operation.value for operation in Operation}:
            return super().__getattribute__(name)

        async def call(*arguments: Any) -> None:
            self.calls.append(name)
            if name == self._failing:
                raise self._error

        return call


@pytest.fixture
async def backend() -> MemoryBackend:
    """One session, as it was loaded."""
    backend = MemoryBackend()
    await backend.create(OLD_ID, SessionRecord({"user": None}, timedelta(hours=1)))
    return backend


@pytest.mark.anyio
async def test_create_takes_a_new_id() -> None:
    """A session is stored under an id that no client has named, and that is the one to set."""
    backend = MemoryBackend()

    outcome = await carry_out(Decision((CREATE,), SET), backend, session_id=None, record=RECORD)

    assert outcome.cookie is SET
    assert outcome.session_id is not None
    stored = await backend.load(outcome.session_id)
    assert stored is not None
    assert stored.state == STATE


@pytest.mark.anyio
async def test_update_stores_the_state_under_the_id_it_has(backend: MemoryBackend) -> None:
    """The id stays, and is set again, so that the cookie lives as long as the session."""
    outcome = await carry_out(Decision((UPDATE,), SET), backend, session_id=OLD_ID, record=RECORD)

    assert outcome == Outcome(SET, OLD_ID)
    stored = await backend.load(OLD_ID)
    assert stored is not None
    assert stored.state == STATE


@pytest.mark.anyio
async def test_update_ttl_leaves_the_state(backend: MemoryBackend) -> None:
    """An extension moves the deadline only."""
    decision = Decision((UPDATE_TTL,), SET)

    await carry_out(decision, backend, session_id=OLD_ID, record=RECORD)

    stored = await backend.load(OLD_ID)
    assert stored is not None
    assert stored.state == {"user": None}
    assert stored.ttl > timedelta(hours=9)


@pytest.mark.anyio
async def test_what_follows_a_rotation_is_done_to_the_new_id(backend: MemoryBackend) -> None:
    """A rotated session is updated under its new id; the old one is unknown by then."""
    decision = Decision((CHANGE_ID, UPDATE), SET)

    outcome = await carry_out(decision, backend, session_id=OLD_ID, record=RECORD)

    assert outcome.session_id is not None
    assert outcome.session_id != OLD_ID
    assert await backend.load(OLD_ID) is None
    stored = await backend.load(outcome.session_id)
    assert stored is not None
    assert stored.state == STATE


@pytest.mark.anyio
async def test_delete_and_create_share_nothing(backend: MemoryBackend) -> None:
    """The session that follows one that was ended has another id."""
    decision = Decision((DELETE, CREATE), SET)

    outcome = await carry_out(decision, backend, session_id=OLD_ID, record=RECORD)

    assert outcome.session_id is not None
    assert list(backend.rows) == [outcome.session_id]
    assert outcome.session_id != OLD_ID


@pytest.mark.anyio
@pytest.mark.parametrize("cookie", [KEEP, REMOVE])
async def test_no_id_comes_with_a_cookie_that_is_not_set(
    backend: MemoryBackend, cookie: Cookie
) -> None:
    """An id leaves only where a cookie is to carry it."""
    outcome = await carry_out(Decision((), cookie), backend, session_id=OLD_ID, record=RECORD)

    assert outcome == Outcome(cookie, None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "operations", [(UPDATE,), (UPDATE_TTL,), (CHANGE_ID,), (CHANGE_ID, UPDATE)], ids=str
)
async def test_a_session_that_ended_meanwhile_is_not_revived(
    operations: tuple[Operation, ...],
) -> None:
    """Nothing is stored for a session that is gone, and its cookie is removed."""
    backend = MemoryBackend()

    outcome = await carry_out(Decision(operations, SET), backend, session_id=OLD_ID, record=RECORD)

    assert outcome == Outcome(REMOVE, None)
    assert backend.rows == {}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "operations", [(UPDATE,), (UPDATE_TTL,), (CHANGE_ID,), (CHANGE_ID, UPDATE)], ids=str
)
async def test_who_loses_to_a_rotation_leaves_the_cookie_alone(
    backend: MemoryBackend, operations: tuple[Operation, ...]
) -> None:
    """The browser's is another one by now; nothing is stored, under no id."""
    new_id = await rotate(backend, OLD_ID)
    before, state = set(backend.rows), backend.rows[new_id]

    outcome = await carry_out(Decision(operations, SET), backend, session_id=OLD_ID, record=RECORD)

    assert outcome == Outcome(KEEP, None)
    assert set(backend.rows) == before
    assert backend.rows[new_id] == state


@pytest.mark.anyio
async def test_a_cookie_is_kept_where_its_fate_is_not_known(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer goes out all the same; a dead cookie does no harm."""
    await backend.delete(OLD_ID)

    async def fail(_session_id: SessionId) -> None:
        raise for_operation(LoadError, DatabaseError("down"))

    monkeypatch.setattr(backend, "load", fail)

    outcome = await carry_out(Decision((UPDATE,), SET), backend, session_id=OLD_ID, record=RECORD)

    assert outcome == Outcome(KEEP, None)


@pytest.mark.anyio
async def test_a_session_that_ended_between_rotation_and_update_is_not_revived() -> None:
    """The second of two operations does not store what the first one left to expire."""
    error = for_operation(UpdateError, UnknownIdError(OLD_ID))
    backend = FailingBackend("update", error)

    outcome = await carry_out(
        Decision((CHANGE_ID, UPDATE), SET), backend, session_id=OLD_ID, record=RECORD
    )

    assert outcome == Outcome(REMOVE, None)
    assert backend.calls == ["create", "change_id", "update"]


@pytest.mark.anyio
async def test_deleting_what_is_gone_is_no_failure() -> None:
    """Whoever logs out twice is logged out, and can begin another session."""
    backend = MemoryBackend()

    outcome = await carry_out(
        Decision((DELETE, CREATE), SET), backend, session_id=OLD_ID, record=RECORD
    )

    assert outcome.cookie is SET
    assert list(backend.rows) == [outcome.session_id]


@pytest.mark.anyio
async def test_a_failed_rotation_stores_nothing() -> None:
    """Where the id could not be changed, the state of who logged in is not stored under it."""
    backend = FailingBackend("change_id", for_operation(ChangeIdError, DatabaseError("down")))

    with pytest.raises(ChangeIdError):
        await carry_out(
            Decision((CHANGE_ID, UPDATE), SET), backend, session_id=OLD_ID, record=RECORD
        )

    assert backend.calls == ["create", "change_id"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (CREATE, for_operation(CreateError, DuplicateIdError(OLD_ID))),
        (CREATE, for_operation(CreateError, DatabaseError("down", transient=True))),
        (UPDATE, for_operation(UpdateError, SerializationError("state: set"))),
        (UPDATE, for_operation(UpdateError, DatabaseError("down", transient=True))),
        (UPDATE_TTL, for_operation(UpdateTtlError, DatabaseError("no such table"))),
    ],
    ids=str,
)
async def test_what_was_not_stored_is_raised(operation: Operation, error: Exception) -> None:
    """No response goes out as if its session had been saved."""
    backend = FailingBackend(operation.value, error)

    with pytest.raises(type(error)):
        await carry_out(Decision((operation,), SET), backend, session_id=OLD_ID, record=RECORD)

    assert backend.calls == [operation.value]


@pytest.mark.anyio
async def test_an_extension_that_fails_for_a_while_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A request that only reads does not fail because its session could not be extended."""
    error = for_operation(UpdateTtlError, DatabaseError("connection lost", transient=True))
    backend = FailingBackend("update_ttl", error)

    with caplog.at_level(logging.WARNING):
        outcome = await carry_out(
            Decision((UPDATE_TTL,), SET), backend, session_id=OLD_ID, record=RECORD
        )

    assert outcome == Outcome(SET, OLD_ID)
    assert "connection lost" in caplog.text
    assert OLD_ID.value not in caplog.text
