"""Compares the operations on the sessions of users with a dict, for two stores on one table."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import URL

from sessionstore_sql import (
    AccountSession,
    ConflictError,
    DuplicateIdError,
    SessionHandle,
    SessionId,
    SessionRecord,
    SessionStoreError,
    SQLSessionStore,
    UnknownIdError,
)
from tests.databases import Target
from tests.stores import empty

pytestmark = pytest.mark.default_drivers

HOUR = timedelta(hours=1)
IDS = [SessionId(value) for value in ("a", "A", "a ", "é", "e\u0301")]
SUBJECTS = ["1", "é", "e\u0301", "\0"]

ids = st.sampled_from(IDS)
subjects = st.sampled_from(SUBJECTS)
places = st.integers(0, 1)
"""Which store makes the call: a plain one, or a keyed one that also finds plain subjects."""
ttls = st.sampled_from([HOUR, HOUR, HOUR, timedelta(0)])


@dataclass
class Row:
    """What is known of a session. Each state is another number, which is also its version."""

    number: int
    lives: bool
    owner: tuple[str, int] | None = None
    """The subject, and the store whose key its digest has."""
    handle: SessionHandle | None = None
    lifetime: timedelta | None = None
    about: dict[str, Any] = field(default_factory=dict)


class Model(RuleBasedStateMachine):
    """Two stores, and a dict of the sessions in their table."""

    runner: asyncio.Runner
    stores: tuple[SQLSessionStore, SQLSessionStore]

    def __init__(self) -> None:
        super().__init__()
        self.runner.run(empty(self.stores[0]))
        self.rows: dict[SessionId, Row] = {}
        self.versions: dict[int, int] = {}
        self.loaded: list[tuple[SessionId, AccountSession]] = []
        self.number = 0

    def call(
        self, call: Coroutine[Any, Any, Any], cause: type[SessionStoreError] | None = None
    ) -> Any:
        """Return the result of a call that must succeed, or fail with ``cause``."""
        if cause is None:
            return self.runner.run(call)
        with pytest.raises(cause):
            self.runner.run(call)
        return None

    def record(self, ttl: timedelta) -> SessionRecord:
        """Return a record of a state that no session has."""
        self.number += 1
        return SessionRecord({"number": self.number}, ttl)

    def is_live(self, session_id: SessionId | None) -> bool:
        """Whether the session is live in the dict."""
        return session_id is not None and session_id in self.rows and self.rows[session_id].lives

    def of(self, subject: str, place: int) -> dict[SessionHandle, SessionId]:
        """Return the sessions that a store finds, by handle."""
        found = {(subject, 0), (subject, place)}
        return {
            row.handle: key for key, row in self.rows.items() if row.handle and row.owner in found
        }

    def why_not(self, old_id: SessionId, new_id: SessionId) -> type[SessionStoreError] | None:
        """Return why a session cannot get another id."""
        if not self.is_live(old_id):
            return UnknownIdError
        return DuplicateIdError if self.is_live(new_id) else None

    @initialize()
    def populate(self) -> None:
        """Start with sessions of users, because the rules alone create few."""
        options: dict[str, Any] = {"about": None, "limit": None, "lifetime": None, "again": False}
        for place, session_id in enumerate(IDS[:3]):
            self.sign_in(
                old_id=None,
                new_id=session_id,
                ttl=HOUR,
                subject=SUBJECTS[place // 2],
                place=place % 2,
                **options,
            )

    @rule(session_id=ids, ttl=ttls)
    def create(self, session_id: SessionId, ttl: timedelta) -> None:
        """An expired session leaves nothing of its user."""
        cause = DuplicateIdError if self.is_live(session_id) else None
        self.call(self.stores[0].create(session_id, self.record(ttl)), cause)
        if cause is None:
            self.rows[session_id] = Row(self.number, bool(ttl))

    @rule(
        old_id=ids | st.none(),
        new_id=ids,
        again=st.booleans(),
        ttl=ttls,
        subject=subjects,
        place=places,
        about=st.sampled_from([None, {}, {"device": "phone"}]),
        limit=st.sampled_from([None, None, 1, 2]),
        lifetime=st.sampled_from([None, HOUR / 2]),
    )
    def sign_in(self, **given: Any) -> None:
        """The same subject keeps its handle. The oldest sessions above the limit end."""
        old_id, new_id, place, about = (given[x] for x in ("old_id", "new_id", "place", "about"))
        subject, limit, lifetime = given["subject"], given["limit"], given["lifetime"]
        owner = self.rows[old_id].owner if self.is_live(old_id) else None
        if given["again"] and owner is not None:
            subject = owner[0]
        cause: type[SessionStoreError] | None
        if old_id is None:
            cause = DuplicateIdError if self.is_live(new_id) else None
        else:
            cause = self.why_not(old_id, new_id)
        call = self.stores[place].sign_in(
            *(old_id, new_id, self.record(given["ttl"])),
            subject=subject,
            about=about,
            max_sessions=limit,
            lifetime=lifetime,
        )
        handle = self.call(call, cause)
        if cause is not None:
            return
        before = self.rows.pop(old_id) if old_id else None
        is_same = before is not None and before.owner in {(subject, 0), (subject, place)}
        assert (before is not None and handle == before.handle) is is_same
        kept = before.about if before is not None and is_same and about is None else about
        self.rows[new_id] = Row(
            self.number, bool(given["ttl"]), (subject, place), handle, lifetime, kept or {}
        )
        if limit is not None:
            self.trim(subject, place, limit, handle)

    def trim(self, subject: str, place: int, limit: int, newest: SessionHandle) -> None:
        """Learn which sessions have ended: SQLite's clock may be too coarse to tell them apart."""
        live = {each: key for each, key in self.of(subject, place).items() if self.is_live(key)}
        left = {each.handle for each in self.call(self.stores[place].sessions_of(subject))}
        assert left <= live.keys()
        assert len(left) == min(limit, len(live))
        for handle in live.keys() - left:
            del self.rows[live[handle]]

    @rule(session_id=ids, place=places)
    def load_session(self, session_id: SessionId, place: int) -> None:
        """State, handle and lifetime are those that were stored last."""
        session = self.call(self.stores[place].load_session(session_id))
        assert (session is not None) == self.is_live(session_id)
        if session is None:
            return
        row = self.rows[session_id]
        assert session.record.state == {"number": row.number}
        assert (session.handle, session.subject) == (row.handle, row.owner and row.owner[0])
        assert (session.ends_in is None) == (row.lifetime is None)
        assert session.record.ttl <= (row.lifetime or HOUR)
        self.versions[row.number] = session.version
        self.loaded.append((session_id, session))

    @rule(subject=subjects, place=places)
    def sessions_of(self, subject: str, place: int) -> None:
        """Live sessions, each with its own ``about``."""
        expected = {
            handle: self.rows[key].about
            for handle, key in self.of(subject, place).items()
            if self.is_live(key)
        }
        found = self.call(self.stores[place].sessions_of(subject))
        assert {each.handle: each.about for each in found} == expected

    @rule(subject=subjects, place=places, mode=st.sampled_from(["all", "only", "keep"]), one=ids)
    def revoke(self, subject: str, place: int, mode: str, one: SessionId) -> None:
        """Live and expired sessions end, but never those of another subject."""
        handle = self.rows[one].handle if one in self.rows else None
        if handle is None:
            handle = SessionHandle.generate()
        ended = {
            key
            for each, key in self.of(subject, place).items()
            if mode == "all" or (each == handle) == (mode == "only")
        }
        options = {} if mode == "all" else {mode: handle}
        assert self.call(self.stores[place].revoke(subject, **options)) == len(ended)
        for key in ended:
            del self.rows[key]

    @rule(data=st.data())
    def sign_out(self, data: st.DataObject) -> None:
        """A session that was loaded ends, whatever its id is by now, and under either key."""
        if not self.loaded:
            return
        session_id, session = data.draw(st.sampled_from(self.loaded))
        self.call(self.stores[1].sign_out(session_id, session))
        if self.rows.pop(session_id, None) is None and session.handle is not None:
            self.rows = {key: row for key, row in self.rows.items() if row.handle != session.handle}

    @rule(old_id=ids, new_id=ids)
    def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """The account goes along."""
        cause = self.why_not(old_id, new_id)
        self.call(self.stores[0].change_id(old_id, new_id), cause)
        if cause is None:
            self.rows[new_id] = self.rows.pop(old_id)

    @rule(old_id=ids, new_id=ids, ttl=ttls, seen=st.none() | st.integers(1, 30))
    def replace(
        self, old_id: SessionId, new_id: SessionId, ttl: timedelta, seen: int | None
    ) -> None:
        """Another state and id, unless a version that was seen is no longer the stored one."""
        version = None if seen is None else self.versions.get(seen, 0)
        cause = self.why_not(old_id, new_id)
        conflicts = version is not None and self.is_live(old_id)
        conflicts = conflicts and self.rows[old_id].number != seen
        if conflicts and cause is DuplicateIdError:
            return  # either of the two
        cause = ConflictError if conflicts else cause
        if version == 0 and not conflicts:
            return  # the version was never loaded
        self.call(self.stores[0].replace(old_id, new_id, self.record(ttl), version=version), cause)
        if cause is None:
            row = self.rows[new_id] = self.rows.pop(old_id)
            row.number, row.lives = self.number, bool(ttl)

    @rule(session_id=ids, ttl=ttls, stale=st.booleans())
    def update_if(self, session_id: SessionId, ttl: timedelta, *, stale: bool) -> None:
        """The version that was loaded is replaced once."""
        if not self.is_live(session_id):
            self.call(self.stores[0].update_if(session_id, self.record(ttl), 1), UnknownIdError)
            return
        session = self.call(self.stores[0].load_session(session_id))
        if stale:
            self.call(self.stores[1].update(session_id, self.record(HOUR)))
            self.rows[session_id].number = self.number
        call = self.stores[0].update_if(session_id, self.record(ttl), session.version)
        self.call(call, ConflictError if stale else None)
        if not stale:
            self.rows[session_id].number, self.rows[session_id].lives = self.number, bool(ttl)

    def teardown(self) -> None:
        """Every session and every list is as in the dict."""
        for session_id in IDS:
            self.load_session(session_id, 0)
        for subject in SUBJECTS:
            for place in (0, 1):
                self.sessions_of(subject, place)


@pytest.fixture
def environment(url: URL) -> Iterator[tuple[asyncio.Runner, Any]]:
    """Two stores on an empty table, and their event loop."""
    with asyncio.Runner() as runner:
        stores = SQLSessionStore(url), SQLSessionStore(url, subject_keys=(b"k" * 16, None))
        yield runner, stores
        for store in stores:
            runner.run(store.aclose())


def test_account_sessions_are_those_of_a_dict(
    environment: tuple[asyncio.Runner, Any], target: Target
) -> None:
    """After any sequence of calls, the stores and the dict agree."""
    runner, stores = environment
    machine = type("Machine", (Model,), {"runner": runner, "stores": stores})
    examples = 35 if target.database == "sqlite" else 8

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=30, deadline=None, database=None
        ),
    )
