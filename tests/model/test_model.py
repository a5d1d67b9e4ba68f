"""Compares the seven operations with a dict, and loaded states with stored ones."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import URL

from sessionstore_sql import (
    ChangeIdError,
    CreateError,
    DeleteError,
    DuplicateIdError,
    SerializationError,
    SessionId,
    SessionRecord,
    SessionStoreError,
    SQLSessionStore,
    UnknownIdError,
    UpdateError,
    UpdateTtlError,
)
from tests.databases import Target
from tests.stores import empty

HOUR = timedelta(hours=1)

# Texts that a database might treat as equal.
IDS = [SessionId(value) for value in ("a", "A", "a ", "é", "e\u0301", "\0", "'\\%s", "x" * 1_024)]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
lives = st.sampled_from([True, True, True, False])  # otherwise few live sessions would remain
states = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, max_size=4)

many = st.dictionaries(st.sampled_from(IDS), st.tuples(states, lives), min_size=3)

nasty = st.one_of(
    scalars,
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.sampled_from(
        [
            math.nan,
            math.inf,
            Decimal(1),
            UUID(int=1),
            datetime(2026, 1, 1, tzinfo=UTC),
            (),
            {1},
            object(),
            1j,
            "\ud800",
            2**64,
            -(2**63) - 1,
        ]
    ),
)
nasty_values = st.recursive(
    nasty,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3),
    ),
    max_leaves=6,
)
nasty_states = st.dictionaries(st.text(max_size=5), nasty_values, max_size=3)

Environment = tuple[asyncio.Runner, SQLSessionStore]


@pytest.fixture
def environment(url: URL, coalesce: bool) -> Iterator[Environment]:
    """A store on an empty table, and its event loop."""
    with asyncio.Runner() as runner:
        store = SQLSessionStore(url, coalesce=coalesce)
        runner.run(empty(store))
        yield runner, store
        runner.run(store.aclose())


def exactly(value: Any) -> Any:
    """Return ``value`` in a form whose equality distinguishes types and signs of zero."""
    if isinstance(value, dict):
        return {exactly(key): exactly(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [exactly(inner) for inner in value]
    return type(value), repr(value)


class Model(RuleBasedStateMachine):
    """A store, and a dict from id to state and whether it is live."""

    runner: asyncio.Runner
    store: SQLSessionStore

    def __init__(self) -> None:
        super().__init__()
        self.runner.run(empty(self.store))
        self.rows: dict[SessionId, tuple[Any, bool]] = {}
        # A deletion removes a session that has expired only just before, so these may be gone.
        self.asked_to_end: set[SessionId] = set()

    def call(
        self,
        call: Coroutine[Any, Any, Any],
        operation: type[SessionStoreError],
        cause: type[SessionStoreError] | None,
    ) -> None:
        """Make a call that must fail with ``cause``, or succeed if it is ``None``."""
        if cause is None:
            self.runner.run(call)
            return
        with pytest.raises(operation) as caught:
            self.runner.run(call)
        assert isinstance(caught.value, cause)

    def is_live(self, session_id: SessionId) -> bool:
        """Whether the session is live in the dict."""
        return self.rows.get(session_id, (None, False))[1]

    @initialize(first=st.integers(0, len(IDS) - 1))
    def populate(self, first: int) -> None:
        """Start with live and expired sessions, because the rules alone create few."""
        for number, life in enumerate((True, False, True, True, False), start=first):
            self.create(IDS[number % len(IDS)], {"number": number}, life)

    @rule(session_id=st.sampled_from(IDS), state=states, lives=lives)
    def create(self, session_id: SessionId, state: Any, lives: bool) -> None:
        """A live id is a duplicate; an expired session is replaced."""
        duplicate = self.is_live(session_id)
        record = SessionRecord(state, HOUR * lives)
        self.call(
            self.store.create(session_id, record),
            CreateError,
            DuplicateIdError if duplicate else None,
        )
        if not duplicate:
            self.rows[session_id] = (state, lives)
            self.asked_to_end.discard(session_id)

    def together(
        self, calls: dict[SessionId, Coroutine[Any, Any, Any]], operation: type[SessionStoreError]
    ) -> list[SessionId]:
        """Make calls concurrently; those for live ids succeed (create: for other ids)."""
        refused = DuplicateIdError if operation is CreateError else UnknownIdError

        async def make() -> list[Any]:
            return await asyncio.gather(*calls.values(), return_exceptions=True)

        done = []
        for session_id, result in zip(calls, self.runner.run(make()), strict=True):
            if self.is_live(session_id) == (operation is CreateError):
                assert isinstance(result, operation)
                assert isinstance(result, refused)
            else:
                assert result is None
                done.append(session_id)
        return done

    @rule(given=many, write=st.sampled_from(["create", "update"]))
    def write_together(
        self, given: dict[SessionId, tuple[Any, bool]], write: Literal["create", "update"]
    ) -> None:
        """Coalesced creates and updates have the same results as single calls."""
        method, operation = {
            "create": (self.store.create, CreateError),
            "update": (self.store.update, UpdateError),
        }[write]
        calls = {
            each: method(each, SessionRecord(state, HOUR * lives))
            for each, (state, lives) in given.items()
        }
        for session_id in self.together(calls, operation):
            self.rows[session_id] = given[session_id]
            self.asked_to_end.discard(session_id)

    @rule(given=many)
    def update_ttl_together(self, given: dict[SessionId, tuple[Any, bool]]) -> None:
        """Coalesced extensions keep the state of each session."""
        calls = {
            each: self.store.update_ttl(each, HOUR * lives) for each, (_, lives) in given.items()
        }
        for session_id in self.together(calls, UpdateTtlError):
            self.rows[session_id] = (self.rows[session_id][0], given[session_id][1])

    @rule(given=many)
    def delete_together(self, given: dict[SessionId, tuple[Any, bool]]) -> None:
        """Coalesced deletes find the live sessions."""
        self.asked_to_end |= {each for each in given if not self.is_live(each)}
        calls = {each: self.store.delete(each) for each in given}
        for session_id in self.together(calls, DeleteError):
            del self.rows[session_id]

    @rule()
    def load_together(self) -> None:
        """Coalesced loads return the right session."""

        async def load_all() -> list[SessionRecord | None]:
            return await asyncio.gather(*(self.store.load(each) for each in IDS))

        for session_id, loaded in zip(IDS, self.runner.run(load_all()), strict=True):
            state, lives = self.rows.get(session_id, (None, False))
            assert (loaded is not None) == lives
            assert loaded is None or exactly(loaded.state) == exactly(state)

    @rule(session_id=st.sampled_from(IDS), state=states, lives=lives)
    def update(self, session_id: SessionId, state: Any, lives: bool) -> None:
        """A live session is replaced; otherwise nothing is stored."""
        known = self.is_live(session_id)
        record = SessionRecord(state, HOUR * lives)
        self.call(
            self.store.update(session_id, record), UpdateError, None if known else UnknownIdError
        )
        if known:
            self.rows[session_id] = (state, lives)

    @rule(session_id=st.sampled_from(IDS), lives=lives)
    def update_ttl(self, session_id: SessionId, lives: bool) -> None:
        """Extending a live session keeps its state."""
        known = self.is_live(session_id)
        self.call(
            self.store.update_ttl(session_id, HOUR * lives),
            UpdateTtlError,
            None if known else UnknownIdError,
        )
        if known:
            self.rows[session_id] = (self.rows[session_id][0], lives)

    @rule(session_id=st.sampled_from(IDS))
    def load(self, session_id: SessionId) -> None:
        """The last stored state is loaded, or ``None``."""
        loaded = self.runner.run(self.store.load(session_id))
        if not self.is_live(session_id):
            assert loaded is None
            return
        assert loaded is not None
        assert exactly(loaded.state) == exactly(self.rows[session_id][0])
        assert timedelta(0) < loaded.ttl <= HOUR

    @rule(session_id=st.sampled_from(IDS))
    def delete(self, session_id: SessionId) -> None:
        """Only a live session can be deleted."""
        known = self.is_live(session_id)
        self.call(self.store.delete(session_id), DeleteError, None if known else UnknownIdError)
        if known:
            del self.rows[session_id]
        else:
            self.asked_to_end.add(session_id)

    @rule(old_id=st.sampled_from(IDS), new_id=st.sampled_from(IDS))
    def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """A live session can get an id that no live session has."""
        cause: type[SessionStoreError] | None = None
        if not self.is_live(old_id):
            cause = UnknownIdError
        elif self.is_live(new_id):
            cause = DuplicateIdError
        self.call(self.store.change_id(old_id, new_id), ChangeIdError, cause)
        if cause is None:
            self.rows[new_id] = self.rows.pop(old_id)
            self.asked_to_end -= {old_id, new_id}

    @precondition(lambda self: self.rows)
    @rule(batch_size=st.none() | st.integers(1, 3))
    def delete_expired(self, batch_size: int | None) -> None:
        """Expired rows are deleted and counted, at most as many as the batch size."""
        expired = [each for each in self.rows if not self.is_live(each)]
        count = self.runner.run(self.store.delete_expired(batch_size))
        limit = batch_size or len(expired)
        there = set(expired) - self.asked_to_end
        assert min(len(there), limit) <= count <= min(len(expired), limit)
        if count == len(expired):
            for session_id in expired:
                del self.rows[session_id]
        else:  # the deadlines decide which ones
            self.runner.run(self.store.delete_expired())
            for session_id in expired:
                del self.rows[session_id]

    def teardown(self) -> None:
        """Every session is equal to that in the dict."""
        for session_id in IDS:
            self.load(session_id)


def test_the_store_does_what_a_dict_does(environment: Environment) -> None:
    """After any sequence of calls, the store and the dict agree."""
    runner, store = environment
    machine = type("Machine", (Model,), {"runner": runner, "store": store})

    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=20, stateful_step_count=30, deadline=None, database=None),
    )


def test_a_state_is_loaded_unchanged_or_rejected(environment: Environment, target: Target) -> None:
    """Any state is loaded as it was stored, with its types, or it is rejected."""
    runner, store = environment
    session_id = SessionId.generate()
    examples = 400 if target.database == "sqlite" else 40

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(nasty_states)
    def stores(state: Any) -> None:
        try:
            runner.run(store.create(session_id, SessionRecord(state, HOUR)))
        except SerializationError:
            assert runner.run(store.load(session_id)) is None
            return
        loaded = runner.run(store.load(session_id))
        runner.run(store.delete(session_id))
        assert loaded is not None
        assert exactly(loaded.state) == exactly(state)

    stores()
