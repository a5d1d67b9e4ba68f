"""Damaged rows among rows that the store has written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from sqlalchemy import literal

from sessionstore_sql import (
    DeserializationError,
    SessionId,
    SessionRecord,
    SessionStoreError,
    SQLSessionStore,
    UnknownIdError,
    migrate,
)
from sessionstore_sql.statistics import collect_statistics
from tests.fuzz import values
from tests.fuzz.documented import Outcome, attempt_operation
from tests.fuzz.exploring import explore
from tests.fuzz.hostile import SECRET
from tests.fuzz.worlds import LIVE, NEIGHBOURS, STATE, UNKNOWN, World

_RECORD = SessionRecord({"new": 1}, timedelta(hours=1))

operations: dict[str, Callable[[SQLSessionStore], Any]] = {
    "load": lambda store: store.load(LIVE),
    "update": lambda store: store.update(LIVE, _RECORD),
    "update_ttl": lambda store: store.update_ttl(LIVE, timedelta(hours=1)),
    "change_id": lambda store: store.change_id(LIVE, UNKNOWN),
    "delete": lambda store: store.delete(LIVE),
    "create": lambda store: store.create(LIVE, _RECORD),
    "delete_expired": lambda store: store.delete_expired(2),
    "delete_expired_exclusively": lambda store: store.delete_expired_exclusively(2),
}

deadlines = st.one_of(
    st.none(),
    st.sampled_from([0, -1, 1, 2**62, 2**63 - 1, -(2**63), 10**15, 32_503_680_000_000_000]),
    st.integers(-(2**63), 2**63 - 1),
)
"""``None``: unchanged."""

misfits = st.one_of(
    st.sampled_from(
        [
            *("", "abc", SECRET, '{"a":1}', "9" * 30, "1e5", "-", "\0", "é😀", " 1"),
            *(0, 1, -1, 10**12, 2**63 - 1, -(2**63), 1.5, 1e300, -1e300, float("inf")),
            *(b"", b"x", SECRET.encode()),
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
"""Values that only SQLite accepts in the columns ``state`` and ``deadline``."""


@pytest.mark.parametrize("coalesced", [True, False], ids=["coalesced", "alone"])
def test_a_damaged_row_is_its_own_affair(world: World, coalesced: bool) -> None:
    """A damaged row causes a documented error for its own session only."""
    store = world.store if coalesced else world.alone

    async def check(state: bytes, deadline: int | None, operation: str) -> None:
        await world.reset()
        damage: dict[str, Any] = {"state": world.bytes(state)}
        if deadline is not None:
            damage["deadline"] = deadline
        await world.write(LIVE, **damage)

        await _require_harmless(world, store, operation)

    explore(
        lambda *drawn: world.run(check(*drawn)),
        values.stored_states,
        deadlines,
        st.sampled_from(sorted(operations)),
        examples=world.share(60),
    )


@pytest.mark.parametrize("coalesced", [True, False], ids=["coalesced", "alone"])
def test_values_of_another_type_are_their_own_affair(world: World, coalesced: bool) -> None:
    """On SQLite, which types values instead of columns, the same holds for any value."""
    if not world.is_file:
        pytest.skip("only SQLite accepts such values")
    store = world.store if coalesced else world.alone

    async def check(state: Any, deadline: Any, operation: str) -> None:
        await world.reset()
        damage = {"state": state, "deadline": deadline}
        given = {name: value for name, value in damage.items() if value is not None}
        if given:
            await world.write(LIVE, **{name: literal(value) for name, value in given.items()})

        await _require_harmless(world, store, operation)

    explore(
        lambda *drawn: world.run(check(*drawn)),
        st.none() | misfits,
        st.none() | misfits,
        st.sampled_from(sorted(operations)),
        examples=world.share(60),
    )


def test_keys_that_nothing_hashes_to_are_in_nobodys_way(world: World) -> None:
    """Rows with a key that no id has are counted, and purged when they expire."""

    async def check(key: bytes, deadline: int, operation: str) -> None:
        await world.reset()
        await world.insert(
            id=world.bytes(key), deadline=deadline, state=world.bytes(SECRET.encode())
        )

        await _require_harmless(world, world.store, operation)

    # MySQL and MariaDB pad keys to 32 bytes, and reject longer ones.
    explore(
        lambda *drawn: world.run(check(*drawn)),
        st.binary(max_size=32),
        deadlines.filter(lambda each: each is not None),
        st.sampled_from(["delete_expired", "load"]),
        examples=world.share(40),
    )


async def _require_harmless(world: World, store: SQLSessionStore, operation: str) -> None:
    """Call the operation for the damaged session while others are loaded and extended."""
    damaged = asyncio.ensure_future(
        attempt_operation(operation, partial(operations[operation], store))
    )
    loaded = await asyncio.gather(*(store.load(each) for each in NEIGHBOURS))
    again = asyncio.ensure_future(_load_all(store, [*NEIGHBOURS, LIVE]))
    await store.update_ttl(NEIGHBOURS[0], timedelta(hours=5))

    _require_answer(operation, await damaged)
    await again
    assert [each is not None and each.state for each in loaded] == [STATE] * len(NEIGHBOURS)
    if operation != "load":  # the other operations take longer
        return
    await migrate.check(world.url, table=world.table)
    statistics = await collect_statistics(store.engine, table=world.table)
    assert statistics.live.sessions >= len(NEIGHBOURS)


async def _load_all(store: SQLSessionStore, session_ids: list[SessionId]) -> None:
    calls = [attempt_operation("load", partial(store.load, each)) for each in session_ids]
    *neighbours, damaged = await asyncio.gather(*calls)
    assert not any(each.error for each in neighbours)
    _require_answer("load", damaged)


def _require_answer(operation: str, outcome: Outcome) -> None:
    """Return the errors: only ``load`` reads the state, and the session may be expired."""
    # The arguments are valid.
    assert outcome.error is None or isinstance(outcome.error, SessionStoreError)
    if operation == "load" and outcome.value is not None:
        assert timedelta(0) < outcome.value.ttl
    elif operation != "load":
        assert not isinstance(outcome.error, DeserializationError)
    if operation in {"update", "update_ttl", "delete"}:
        assert outcome.error is None or isinstance(outcome.error, UnknownIdError)
