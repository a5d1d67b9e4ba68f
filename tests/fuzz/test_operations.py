"""The operations of a store with bad arguments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st

from sessionstore_sql import (
    DeserializationError,
    JSONCodec,
    SerializationError,
    SessionId,
    SessionRecord,
    SessionStoreError,
    SQLSessionStore,
)
from tests.fuzz import hostile, values
from tests.fuzz.documented import (
    attempt,
    attempt_operation,
    may_be_batch_size,
    may_be_id,
    may_be_ttl,
)
from tests.fuzz.exploring import explore
from tests.fuzz.worlds import EXPIRED, LIVE, NEIGHBOURS, UNKNOWN, World


class Call(NamedTuple):
    """An operation and its arguments."""

    operation: str
    arguments: tuple[Any, ...]


class Parts(NamedTuple):
    """The parts of a record."""

    state: Any
    ttl: Any


_ids = values.mostly(
    st.sampled_from([LIVE, LIVE, EXPIRED, UNKNOWN, SessionId("%s'\0\\")]),
    st.sampled_from([*hostile.objects(), LIVE.value]),
    7,
)
_records = values.mostly(st.builds(Parts, values.states, values.durations), values.anything, 7)

calls = st.one_of(
    st.builds(Call, st.sampled_from(["create", "update"]), st.tuples(_ids, _records)),
    st.builds(Call, st.sampled_from(["update", "create"]), st.tuples(_ids, _records)),
    st.builds(Call, st.just("update_ttl"), st.tuples(_ids, values.durations)),
    st.builds(Call, st.sampled_from(["load", "delete"]), st.tuples(_ids)),
    st.builds(Call, st.just("change_id"), st.tuples(_ids, _ids)),
    st.builds(Call, st.just("delete_expired"), st.tuples(values.batch_sizes)),
    st.builds(Call, st.just("delete_expired_exclusively"), st.tuples(values.batch_sizes)),
)


def test_ids_and_records() -> None:
    """Parts give an id or a record, or an error that shows none of them."""

    def check(value: Any, state: Any, ttl: Any) -> None:
        made = attempt(lambda: SessionId(value))
        assert (made.error is None) == may_be_id(value)
        assert made.error is not None or hostile.SECRET not in f"{made.value!r} {made.value}"
        record = attempt(lambda: SessionRecord(state, ttl))
        assert (record.error is None) == (isinstance(state, dict) and may_be_ttl(ttl))
        assert record.error is not None or hostile.SECRET not in repr(record.value)

    explore(check, values.id_values, values.states, values.durations, examples=150)


def test_states_as_bytes() -> None:
    """A state is decoded unchanged, or rejected with an error that shows none of it."""
    codec = JSONCodec()

    def check(state: Any, data: bytes) -> None:
        if isinstance(state, dict):
            encoded = attempt(lambda: codec.encode(state), SerializationError)
            if encoded.error is None:
                assert type(codec.decode(encoded.value)) is dict
        decoded = attempt(lambda: codec.decode(data), DeserializationError)
        assert decoded.error is not None or type(decoded.value) is dict

    explore(check, values.states, values.stored_states, examples=300)


@pytest.mark.parametrize("coalesced", [True, False], ids=["coalesced", "alone"])
def test_a_rejected_call_changes_nothing(world: World, coalesced: bool) -> None:
    """A rejected call raises an error of the contract, and no row changes."""
    store = world.store if coalesced else world.alone

    async def check_async(call: Call) -> None:
        await world.reset()
        before = await world.snapshot()

        outcome = await made(store, call)

        if outcome is not None:
            assert await world.snapshot() == before
        for session_id in NEIGHBOURS:
            loaded = await store.load(session_id)
            assert loaded is not None
            assert loaded.state["secret"] == hostile.SECRET

    explore(lambda call: world.run(check_async(call)), calls, examples=world.share(40))


def test_calls_of_one_batch_fail_each_for_itself(world: World) -> None:
    """In a batch, valid calls have the same result as single calls."""

    async def check(some: list[Call]) -> None:
        await world.reset()
        bad = [asyncio.ensure_future(made(world.store, call)) for call in some]
        loaded = await asyncio.gather(*(world.store.load(each) for each in NEIGHBOURS))
        await asyncio.gather(
            world.store.update_ttl(NEIGHBOURS[0], timedelta(hours=1)),
            world.store.update(NEIGHBOURS[1], SessionRecord({"new": 1}, timedelta(hours=1))),
            world.store.delete(NEIGHBOURS[2]),
            *bad,
        )

        assert None not in loaded
        updated = await world.store.load(NEIGHBOURS[1])
        assert updated is not None
        assert updated.state == {"new": 1}
        assert await world.store.load(NEIGHBOURS[2]) is None

    explore(
        lambda some: world.run(check(some)), st.lists(calls, max_size=6), examples=world.share(60)
    )


async def made(store: SQLSessionStore, call: Call) -> Exception | None:
    """Make one call, and return its error or ``None``."""
    arguments = call.arguments
    if type(arguments[-1]) is Parts:
        record = attempt(partial(SessionRecord, *arguments[-1]))
        if record.error is not None:
            return record.error
        arguments = (arguments[0], record.value)
    operation: Callable[..., Coroutine[Any, Any, Any]] = getattr(store, call.operation)
    outcome = await attempt_operation(call.operation, partial(operation, *arguments))
    is_answer = outcome.error is None or isinstance(outcome.error, SessionStoreError)
    assert is_answer == _is_legal(call.operation, arguments)
    return outcome.error


def _is_legal(operation: str, arguments: tuple[Any, ...]) -> bool:
    """Whether the contract defines a result or an error for these arguments."""
    match operation:
        case "delete_expired":
            return may_be_batch_size(*arguments, or_none=True)
        case "delete_expired_exclusively":
            return may_be_batch_size(*arguments, or_none=False)
        case "update_ttl":
            session_id, ttl = arguments
            return isinstance(session_id, SessionId) and may_be_ttl(ttl)
        case "create" | "update":
            session_id, record = arguments
            return isinstance(session_id, SessionId) and isinstance(record, SessionRecord)
        case _:
            return all(isinstance(each, SessionId) for each in arguments)
