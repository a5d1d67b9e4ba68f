"""Coalesced calls on real databases: calls are answered in batches, and each keeps its contract."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import URL, CheckConstraint, Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from sessionstore_sql import (
    CreateError,
    DatabaseError,
    DeserializationError,
    DuplicateIdError,
    SessionId,
    SessionRecord,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.batching import MAX_IMMEDIATE, BatchingDispatcher
from sessionstore_sql.sql.compiled import Line
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.dialects.mysql import texts as mysql_texts
from sessionstore_sql.sql.dialects.with_line import WithLine
from tests.databases import TARGETS, Target
from tests.stores import executed_on

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MANY = 100
FEW = 10
"""Maximum number of statements for up to ``MANY`` concurrent calls. How many they are depends on
how fast the database answers."""


def new_ids(count: int = MANY) -> list[SessionId]:
    """Return ids that have no session."""
    return [SessionId.generate() for _ in range(count)]


def record(**state: Any) -> SessionRecord:
    """Return a record of ``state``."""
    return SessionRecord(dict(state), HOUR)


def immediate_calls(store: SQLSessionStore) -> int:
    """Return how many of the calls that are made at once are not batched."""
    return min(store._pool.dialect.statements_at_once, MAX_IMMEDIATE)


async def create_all(store: SQLSessionStore, ids: list[SessionId]) -> None:
    """Create a numbered session for each id, all at the same time."""
    calls = (store.create(each, record(number=number)) for number, each in enumerate(ids))
    await asyncio.gather(*calls)


@pytest.fixture
def statements(store: SQLSessionStore) -> list[str]:
    """The statements that the store executes from now on."""
    return executed_on(store.engine)


@pytest.mark.parametrize("operation", ["load", "update_ttl", "update", "create", "delete"])
async def test_waiting_calls_are_answered_by_few_statements(
    store: SQLSessionStore, statements: list[str], operation: str
) -> None:
    """A hundred concurrent calls take a few statements."""
    ids = new_ids()
    if operation != "create":
        await create_all(store, ids)
    calls = {
        "load": store.load,
        "update_ttl": lambda each: store.update_ttl(each, HOUR),
        "update": lambda each: store.update(each, record(new=True)),
        "create": lambda each: store.create(each, record(new=True)),
        "delete": store.delete,
    }
    await store.load(ids[0])
    statements.clear()
    await asyncio.gather(*(calls[operation](each) for each in ids))
    assert len(statements) <= FEW
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    assert [each is None for each in loaded] == [operation == "delete"] * MANY


@pytest.mark.parametrize(
    "target", [each for each in TARGETS if each.database == "postgresql"], indirect=True, ids=str
)
@pytest.mark.parametrize("form", ["hex", "escape"])
async def test_states_are_separated_in_both_text_formats_of_bytes(
    store: SQLSessionStore, host_engine: AsyncEngine, form: str
) -> None:
    """The server, or the application's engine, may return bytes as text in either format."""

    @event.listens_for(host_engine.sync_engine, "connect")
    def show(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET bytea_output = {form}")
        connection.commit()
        cursor.close()

    ids = new_ids(40)
    states = [{"n" * number: number} if number % 3 else {} for number in range(len(ids))]
    executed = executed_on(host_engine)
    hosted = SQLSessionStore(host_engine)
    await asyncio.gather(
        *(hosted.create(each, record(**state)) for each, state in zip(ids, states, strict=True))
    )
    for someone in (hosted, store):
        loaded = await asyncio.gather(*map(someone.load, ids))
        assert [each and each.state for each in loaded] == states
    assert len(executed) <= 2 * FEW


class EmptyCodec:
    """A codec that needs no bytes."""

    def encode(self, _state: dict[str, Any]) -> bytes:
        """Return none."""
        return b""

    def decode(self, _data: bytes) -> dict[str, Any]:
        """Return an empty state."""
        return {}


async def test_empty_states_are_batched(store: SQLSessionStore, statements: list[str]) -> None:
    """A codec may encode a state as nothing."""
    ids = new_ids(40)
    bare = SQLSessionStore(store.engine, codec=EmptyCodec())
    await asyncio.gather(*(bare.create(each, record()) for each in ids))
    await asyncio.gather(*(bare.update(each, record()) for each in ids))
    loaded = await asyncio.gather(*map(bare.load, ids))
    assert [each and each.state for each in loaded] == [{}] * len(ids)
    assert len(statements) <= 3 * FEW


async def test_a_batch_follows_the_schema_translate_map(
    store: SQLSessionStore, statements: list[str]
) -> None:
    """The engine of an application may replace the schema, for example by that of a tenant."""
    ids = new_ids(40)
    await create_all(store, ids)
    tenants = store.engine.execution_options(schema_translate_map={"tenant": None})
    tenant = SQLSessionStore(tenants, schema="tenant")
    assert await tenant.load(ids[0]) is not None
    for call in (
        tenant.load,
        lambda each: tenant.update_ttl(each, HOUR),
        lambda each: tenant.update(each, record(updated=each.value)),
        tenant.delete,
        lambda each: tenant.create(each, record(again=each.value)),
    ):
        statements.clear()
        await asyncio.gather(*map(call, ids))
        assert len(statements) <= FEW
    loaded = await asyncio.gather(*map(store.load, ids))
    assert [each and each.state for each in loaded] == [{"again": each.value} for each in ids]
    await asyncio.gather(*(tenant.update_ttl(each, timedelta(0)) for each in ids))
    assert await tenant.delete_expired() == len(ids)


async def test_each_call_gets_its_own_result(store: SQLSessionStore) -> None:
    """With live, unknown and expired ids in one batch, for each operation."""
    live, unknown, expired = new_ids(30), new_ids(30), new_ids(30)
    await create_all(store, live)
    await asyncio.gather(*(store.create(each, SessionRecord({}, timedelta(0))) for each in expired))
    mixed = [each for three in zip(live, unknown, expired, strict=True) for each in three]
    expected = [None, UnknownIdError, UnknownIdError] * 30

    loaded = await asyncio.gather(*(store.load(each) for each in mixed))
    assert [each and each.state for each in loaded] == [
        state for number in range(30) for state in ({"number": number}, None, None)
    ]
    for call in (
        lambda each: store.update_ttl(each, HOUR),
        lambda each: store.update(each, record(updated=each.value)),
        store.delete,
    ):
        answers = await asyncio.gather(*(call(each) for each in mixed), return_exceptions=True)
        for answer, cause in zip(answers, expected, strict=True):
            assert answer is None if cause is None else isinstance(answer, cause)
    created = await asyncio.gather(
        *(store.create(each, record(again=each.value)) for each in mixed), return_exceptions=True
    )
    assert created == [None] * 90
    loaded = await asyncio.gather(*(store.load(each) for each in mixed))
    assert [each and each.state for each in loaded] == [{"again": each.value} for each in mixed]


async def test_creates_of_new_live_and_expired_ids_in_one_batch(store: SQLSessionStore) -> None:
    """New sessions are stored, expired ones replaced, live ones reported and left unchanged."""
    new, live, expired = new_ids(20), new_ids(20), new_ids(20)
    await create_all(store, live)
    await asyncio.gather(*(store.create(each, SessionRecord({}, timedelta(0))) for each in expired))
    mixed = [each for three in zip(new, live, expired, strict=True) for each in three]
    answers = await asyncio.gather(
        *(store.create(each, record(mixed=True)) for each in mixed), return_exceptions=True
    )
    for number, answer in enumerate(answers):
        assert isinstance(answer, DuplicateIdError) if number % 3 == 1 else answer is None
    loaded = await asyncio.gather(*(store.load(each) for each in mixed))
    for number, each in enumerate(loaded):
        expected = {"number": number // 3} if number % 3 == 1 else {"mixed": True}
        assert each is not None
        assert each.state == expected


async def test_different_ttls_and_states_in_one_batch(store: SQLSessionStore) -> None:
    """Each session gets its own, whatever its size and bytes."""
    ids = new_ids()
    await create_all(store, ids)
    states: list[dict[str, Any]] = [
        {"n": number, "pad": "é\0'\\%s:x" * (number % 7) * 50} for number in range(MANY)
    ]
    hours = [timedelta(hours=1 + number) for number in range(MANY)]
    await asyncio.gather(
        *(
            store.update(each, SessionRecord(dict(state), ttl))
            for each, state, ttl in zip(ids, states, hours, strict=True)
        )
    )
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    for each, state, ttl in zip(loaded, states, hours, strict=True):
        assert each is not None
        assert each.state == state
        assert ttl - timedelta(minutes=5) < each.ttl <= ttl
    await asyncio.gather(
        *(store.update_ttl(each, ttl * 2) for each, ttl in zip(ids, hours, strict=True))
    )
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    for each, ttl in zip(loaded, hours, strict=True):
        assert each is not None
        assert ttl * 2 - timedelta(minutes=5) < each.ttl <= ttl * 2


async def test_more_callers_than_a_batch_holds(store: SQLSessionStore) -> None:
    """All of a thousand calls are answered, for every operation."""
    ids = new_ids(1000)
    await create_all(store, ids)
    await asyncio.gather(*(store.update(each, record(second=True)) for each in ids))
    await asyncio.gather(*(store.update_ttl(each, HOUR) for each in ids))
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    assert all(each is not None and each.state == {"second": True} for each in loaded)
    await asyncio.gather(*(store.delete(each) for each in ids))


async def test_large_states_among_small_ones(store: SQLSessionStore) -> None:
    """Batches are bounded by bytes, and no call is lost between them."""
    ids = new_ids(60)
    sizes = [1_000_000 if number % 20 == 0 else 30_000 for number in range(60)]
    await asyncio.gather(
        *(store.create(each, record(pad="x" * size)) for each, size in zip(ids, sizes, strict=True))
    )
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    assert [len(str(each.state["pad"])) for each in loaded if each] == sizes


async def test_an_undecodable_row_fails_only_its_own_call(store: SQLSessionStore) -> None:
    """The other loads of the batch are answered."""
    ids = new_ids(40)
    await create_all(store, ids)
    async with store.engine.begin() as connection:
        key = key_of(ids[7]).hex()
        literal = (
            f"decode('{key}', 'hex')" if "postgresql" in str(store.engine.url) else f"X'{key}'"
        )
        broken = "'\\x00'::bytea" if "postgresql" in str(store.engine.url) else "X'00'"
        await connection.execute(
            text(f"UPDATE sessionstore_sessions SET state = {broken} WHERE id = {literal}")
        )
    loaded = await asyncio.gather(*(store.load(each) for each in ids), return_exceptions=True)
    assert isinstance(loaded[7], DeserializationError)
    assert all(isinstance(each, SessionRecord) for n, each in enumerate(loaded) if n != 7)


@pytest.fixture
async def picky_store(url: URL) -> AsyncIterator[SQLSessionStore]:
    """A store on a table whose database rejects states of exactly 100 bytes."""
    name = f"picky_{secrets.token_hex(4)}"
    table = session_table(name)
    table.append_constraint(CheckConstraint("length(state) <> 100"))
    async with SQLSessionStore(url, table=name) as store:
        async with store.engine.begin() as connection:
            await connection.run_sync(table.create)
        yield store
        async with store.engine.begin() as connection:
            await connection.execute(text(f"DROP TABLE {name}"))


async def test_one_bad_record_among_a_hundred_fails_alone(picky_store: SQLSessionStore) -> None:
    """A record that the database rejects fails its own create or update only."""
    rejected = record(pad="x" * (100 - len('{"pad":""}')))
    ids = new_ids()
    records = [rejected if number == 50 else record(n=number) for number in range(MANY)]
    answers = await asyncio.gather(
        *(picky_store.create(each, given) for each, given in zip(ids, records, strict=True)),
        return_exceptions=True,
    )
    failed = [number for number, answer in enumerate(answers) if answer is not None]
    assert failed == [50]
    assert isinstance(answers[50], CreateError)
    assert isinstance(answers[50], DatabaseError)
    assert not answers[50].transient
    await picky_store.create(ids[50], record())
    updates = await asyncio.gather(
        *(picky_store.update(each, given) for each, given in zip(ids, records, strict=True)),
        return_exceptions=True,
    )
    assert [number for number, answer in enumerate(updates) if answer is not None] == [50]


async def test_a_locked_session_delays_no_other_call(
    store: SQLSessionStore, host_engine: AsyncEngine, target: Target
) -> None:
    """While a row is locked, batches skip it. Its own call succeeds afterwards."""
    if target.database == "sqlite":
        pytest.skip("SQLite locks the whole database, not rows")
    ids = new_ids(50)
    await create_all(store, ids)
    async with host_engine.connect() as connection:
        holder = store.bind(connection)
        await holder.update(ids[10], record(holder=True))
        calls = [asyncio.ensure_future(store.update_ttl(each, HOUR * 2)) for each in ids]
        others = [call for number, call in enumerate(calls) if number != 10]
        await asyncio.gather(*others)
        assert not calls[10].done()
        await connection.commit()
    await calls[10]
    loaded = await store.load(ids[10])
    assert loaded is not None
    assert loaded.state == {"holder": True}
    assert loaded.ttl > HOUR


async def test_concurrent_calls_for_one_id_each_take_effect(store: SQLSessionStore) -> None:
    """One create wins, and one delete finds the session."""
    session_id, other = new_ids(2)
    answers = await asyncio.gather(
        store.create(other, record()),
        *(store.create(session_id, record(number=number)) for number in range(10)),
        return_exceptions=True,
    )
    assert [isinstance(each, DuplicateIdError) for each in answers[1:]].count(True) == 9
    answers = await asyncio.gather(
        *(store.delete(session_id) for _ in range(10)), return_exceptions=True
    )
    assert [isinstance(each, UnknownIdError) for each in answers].count(True) == 9


async def test_cancelled_calls_do_not_affect_the_others(store: SQLSessionStore) -> None:
    """Every third call is cancelled, before, in and after its batch."""
    ids = new_ids(60)
    await create_all(store, ids)
    for steps in range(0, 24, 3):
        calls = [asyncio.ensure_future(store.update_ttl(each, HOUR)) for each in ids]
        for _ in range(steps):
            await asyncio.sleep(0)
        for call in calls[1::3]:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        kept = [answer for number, answer in enumerate(answers) if number % 3 != 1]
        assert kept == [None] * len(kept)


async def test_aclose_answers_the_calls_that_wait(url: URL, store: SQLSessionStore) -> None:
    """No call is left without an answer, and no task is left."""
    ids = new_ids(50)
    tasks = asyncio.all_tasks()
    closing = SQLSessionStore(url)
    await closing.load(ids[0])
    calls = [asyncio.ensure_future(closing.create(each, record())) for each in ids]
    await asyncio.sleep(0)
    await closing.aclose()
    await asyncio.gather(*calls)
    assert asyncio.all_tasks() == tasks
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    assert None not in loaded


def test_several_loops_share_a_store_without_a_pool(url: URL) -> None:
    """One after another, each with concurrent calls, as test clients do."""
    store = SQLSessionStore(url, engine_options={"poolclass": NullPool})

    async def use(ids: list[SessionId]) -> int:
        await create_all(store, ids)
        return len(await asyncio.gather(*(store.load(each) for each in ids)))

    for _ in range(3):
        assert asyncio.run(use(new_ids(10))) == 10


def test_another_loop_is_rejected_if_connections_are_pooled(url: URL) -> None:
    """The error is clear, unlike the one that the driver would raise."""
    store = SQLSessionStore(url)
    first = asyncio.new_event_loop()
    first.run_until_complete(store.load(SessionId("a")))
    second = asyncio.new_event_loop()
    with pytest.raises(RuntimeError, match=r"another event loop.*NullPool"):
        second.run_until_complete(store.load(SessionId("a")))
    first.run_until_complete(store.aclose())
    second.run_until_complete(store.load(SessionId("a")))
    second.run_until_complete(store.aclose())
    first.close()
    second.close()


async def test_the_outcome_of_a_lost_batch_is_unknown(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is committed and its result lost. What the second attempt finds proves nothing."""
    ids = new_ids(10)
    await create_all(store, ids)
    original: Any = store._table.batches.delete
    losses: list[bool] = []

    def lose() -> None:
        if not losses:
            losses.append(True)
            raise ConnectionResetError("the answer is lost")

    def delete(connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        done: Collection[bytes] = original(connection, rows)
        lose()
        return done

    async def delete_on(line: Line, rows: Sequence[Row]) -> Collection[bytes]:
        done: Collection[bytes] = await original.on_line(line, rows)
        lose()
        return done

    losing: Any = SimpleNamespace(
        live=store._table.batches.live, delete=WithLine(delete, delete_on)
    )
    table = replace(store._table, batches=losing)
    monkeypatch.setattr(store, "_dispatcher", BatchingDispatcher(store._pool, table))
    answers = await asyncio.gather(*(store.delete(each) for each in ids), return_exceptions=True)
    sent_immediately = immediate_calls(store)
    assert answers[:sent_immediately] == [None] * sent_immediately
    for answer in answers[sent_immediately:]:
        assert isinstance(answer, DatabaseError)
        assert answer.outcome_unknown


async def test_a_failed_query_for_rejected_ids_does_not_undo_the_batch(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new ids are stored once. The live ones are reported by calls of their own."""
    new, live = new_ids(5), new_ids(5)
    await create_all(store, live)
    batches = type(store._table.batches)

    def look_up(*_: object, **__: object) -> None:
        raise ConnectionResetError("it fails whenever it is tried")

    monkeypatch.setattr(batches, "live", look_up)
    answers = await asyncio.gather(
        store.load(live[0]),
        *(store.create(each, record()) for each in new + live),
        return_exceptions=True,
    )
    assert answers[1:6] == [None] * 5
    assert all(isinstance(answer, DuplicateIdError) for answer in answers[6:])


async def test_a_failed_query_for_rejected_ids_fails_a_batch_that_wrote_nothing(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was changed, and the error says so."""
    live = new_ids(10)
    await create_all(store, live)
    batches = type(store._table.batches)

    def look_up(*_: object, **__: object) -> None:
        raise ConnectionResetError("it fails whenever it is tried")

    monkeypatch.setattr(batches, "live", look_up)
    answers = await asyncio.gather(
        *(store.create(each, record()) for each in live), return_exceptions=True
    )
    sent_immediately = immediate_calls(store)
    for answer in answers[:sent_immediately]:
        assert isinstance(answer, DuplicateIdError)
    for answer in answers[sent_immediately:]:
        assert isinstance(answer, DatabaseError)
        assert answer.transient
        assert not answer.outcome_unknown


@pytest.mark.parametrize(
    "target",
    [each for each in TARGETS if each.database in {"mysql", "mariadb"}],
    indirect=True,
    ids=str,
)
async def test_a_truncated_value_is_loaded_again_as_rows(
    store: SQLSessionStore, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All states of a batch come in one value, unless that is larger than a packet."""
    ids = new_ids(20)
    await create_all(store, ids)
    monkeypatch.setattr(mysql_texts, "_LONGEST", 1_024)

    loaded = await asyncio.gather(*(store.load(each) for each in ids))

    assert [each and each.state for each in loaded] == [{"number": n} for n in range(20)]
    assert any("GROUP_CONCAT" not in each and " IN (" in each for each in statements)


async def test_unknown_ids_are_reported_by_the_batch(
    store: SQLSessionStore, statements: list[str]
) -> None:
    """Many of them take a few statements, and delay no other call."""
    await store.load(SessionId.generate())
    statements.clear()
    answers = await asyncio.gather(
        *(store.update_ttl(each, HOUR) for each in new_ids()), return_exceptions=True
    )
    assert all(isinstance(answer, UnknownIdError) for answer in answers)
    # One alone, and two batches of at most three: the change, and who is live, asked twice.
    assert len(statements) <= 7


async def test_a_batch_runs_in_no_callers_context(store: SQLSessionStore) -> None:
    """Event listeners do not find one request's variables in a batch of many requests."""
    user: ContextVar[str | None] = ContextVar("user", default=None)
    seen = []

    @event.listens_for(store.engine.sync_engine, "before_cursor_execute")
    def note(*_: object) -> None:
        seen.append(user.get())

    async def load(name: str) -> None:
        user.set(name)
        await store.load(SessionId(name))

    names = ("ada", "grace", "alan", "barbara")
    await asyncio.gather(*map(load, names))
    assert Counter(seen) == Counter([*names[: immediate_calls(store)], None])


async def test_a_large_state_does_not_prevent_later_batches(store: SQLSessionStore) -> None:
    """After it, loads are answered together again."""
    ids = new_ids()
    await create_all(store, ids)
    await store.update(ids[0], record(pad="x" * 3_000_000))
    await asyncio.gather(*(store.load(each) for each in ids))
    await store.update(ids[0], record())
    for _ in range(20):
        await asyncio.gather(*(store.load(each) for each in ids))
    count = 0

    @event.listens_for(store.engine.sync_engine, "before_cursor_execute")
    def note(*_: object) -> None:
        nonlocal count
        count += 1

    await asyncio.gather(*(store.load(each) for each in ids))
    assert count <= FEW
