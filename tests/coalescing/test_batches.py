"""Coalesced calls on real databases: batches happen, and nobody notices."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL, Connection, event, text
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
from sessionstore_sql.dialects import mysql_texts
from sessionstore_sql.dialects.base import Batches, Row
from sessionstore_sql.schema import key_of
from tests.databases import TARGETS, Target
from tests.stores import executed_on

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MANY = 100


def new_ids(count: int = MANY) -> list[SessionId]:
    """Return ids that nobody has."""
    return [SessionId.generate() for _ in range(count)]


def record(**state: Any) -> SessionRecord:
    """Return a record of ``state``."""
    return SessionRecord(dict(state), HOUR)


async def create_all(store: SQLSessionStore, ids: list[SessionId]) -> None:
    """Create a session for each id, numbered, all at once."""
    calls = (store.create(each, record(number=number)) for number, each in enumerate(ids))
    await asyncio.gather(*calls)


@pytest.fixture
def statements(store: SQLSessionStore) -> list[str]:
    """What the store executes from here on."""
    return executed_on(store.engine)


@pytest.mark.parametrize("operation", ["load", "update_ttl", "update", "create", "delete"])
async def test_waiting_calls_are_answered_by_few_statements(
    store: SQLSessionStore, statements: list[str], operation: str
) -> None:
    """A hundred calls at once take the first statement, one for the others, and no more."""
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
    assert len(statements) <= 3
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    assert [each is None for each in loaded] == [operation == "delete"] * MANY


@pytest.mark.parametrize(
    "target", [each for each in TARGETS if each.database == "postgresql"], indirect=True, ids=str
)
@pytest.mark.parametrize("form", ["hex", "escape"])
async def test_states_are_told_apart_however_bytes_are_shown(
    store: SQLSessionStore, host_engine: AsyncEngine, form: str
) -> None:
    """A server, or the host's engine, may show bytes as text in either form."""

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
    assert len(executed) <= 2 * 3


class Nothing:
    """A codec that needs no bytes."""

    def encode(self, _state: dict[str, Any]) -> bytes:
        """Return none."""
        return b""

    def decode(self, _data: bytes) -> dict[str, Any]:
        """Return an empty state."""
        return {}


async def test_states_without_a_byte_are_batched(
    store: SQLSessionStore, statements: list[str]
) -> None:
    """What a codec returns is its own business."""
    ids = new_ids(40)
    bare = SQLSessionStore(store.engine, codec=Nothing())
    await asyncio.gather(*(bare.create(each, record()) for each in ids))
    await asyncio.gather(*(bare.update(each, record()) for each in ids))
    loaded = await asyncio.gather(*map(bare.load, ids))
    assert [each and each.state for each in loaded] == [{}] * len(ids)
    assert len(statements) <= 3 * 3


async def test_a_batch_goes_where_single_calls_go(
    store: SQLSessionStore, statements: list[str]
) -> None:
    """The host's engine says that one schema stands for another, as it does for each tenant."""
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
        assert len(statements) <= 3
    loaded = await asyncio.gather(*map(store.load, ids))
    assert [each and each.state for each in loaded] == [{"again": each.value} for each in ids]
    await asyncio.gather(*(tenant.update_ttl(each, timedelta(0)) for each in ids))
    assert await tenant.delete_expired() == len(ids)


async def test_each_call_has_its_own_answer(store: SQLSessionStore) -> None:
    """Live, unknown and expired ids in one batch, for each operation."""
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
    """New ones are stored, expired ones replaced, live ones reported and untouched."""
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
    """Each row gets its own, of whatever size and bytes."""
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
    """Every one of a thousand is served, for every operation."""
    ids = new_ids(1000)
    await create_all(store, ids)
    await asyncio.gather(*(store.update(each, record(second=True)) for each in ids))
    await asyncio.gather(*(store.update_ttl(each, HOUR) for each in ids))
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    assert all(each is not None and each.state == {"second": True} for each in loaded)
    await asyncio.gather(*(store.delete(each) for each in ids))


async def test_large_states_among_small_ones(store: SQLSessionStore) -> None:
    """Batches are bounded by bytes; nothing is lost between them."""
    ids = new_ids(60)
    sizes = [1_000_000 if number % 20 == 0 else 30_000 for number in range(60)]
    await asyncio.gather(
        *(store.create(each, record(pad="x" * size)) for each, size in zip(ids, sizes, strict=True))
    )
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    assert [len(str(each.state["pad"])) for each in loaded if each] == sizes


async def test_one_undecodable_row_fails_its_own_caller(store: SQLSessionStore) -> None:
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
async def picky_store(url: URL, target: Target) -> AsyncIterator[SQLSessionStore]:
    """A store on a table whose database refuses states of exactly 100 bytes."""
    name = f"picky_{secrets.token_hex(4)}"
    columns = {
        "postgresql": "id BYTEA PRIMARY KEY, deadline BIGINT NOT NULL, state BYTEA NOT NULL",
        "sqlite": "id BLOB PRIMARY KEY, deadline INTEGER NOT NULL, state BLOB NOT NULL",
    }.get(
        target.database,
        "id BINARY(32) PRIMARY KEY, deadline BIGINT NOT NULL, state LONGBLOB NOT NULL",
    )
    async with SQLSessionStore(url, table=name) as store:
        async with store.engine.begin() as connection:
            await connection.execute(
                text(f"CREATE TABLE {name} ({columns}, CHECK (length(state) <> 100))")
            )
        yield store
        async with store.engine.begin() as connection:
            await connection.execute(text(f"DROP TABLE {name}"))


async def test_one_bad_record_among_a_hundred_fails_alone(picky_store: SQLSessionStore) -> None:
    """What the database refuses is refused to its own caller, by create and by update."""
    refused = record(pad="x" * (100 - len('{"pad":""}')))
    ids = new_ids()
    records = [refused if number == 50 else record(n=number) for number in range(MANY)]
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


async def test_a_locked_session_delays_nobody_else(
    store: SQLSessionStore, host_engine: AsyncEngine, target: Target
) -> None:
    """While someone holds a row, batches go round it; its own call gets through afterwards."""
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


async def test_two_calls_for_one_id_at_once(store: SQLSessionStore) -> None:
    """Each takes effect by itself: one create wins, one delete finds something."""
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


async def test_cancelled_callers_leave_the_others_alone(store: SQLSessionStore) -> None:
    """Every third of them is cancelled, before, in and after its batch."""
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


async def test_aclose_answers_those_who_wait(url: URL, store: SQLSessionStore) -> None:
    """Nobody is left waiting, and no task is left."""
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
    """One loop after another, each with calls at once, as test clients do."""
    store = SQLSessionStore(url, engine_options={"poolclass": NullPool})

    async def use(ids: list[SessionId]) -> int:
        await create_all(store, ids)
        return len(await asyncio.gather(*(store.load(each) for each in ids)))

    for _ in range(3):
        assert asyncio.run(use(new_ids(10))) == 10


def test_another_loop_is_refused_where_connections_are_pooled(url: URL) -> None:
    """A clear error, in place of whatever the driver would have stumbled over."""
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


async def test_a_write_that_a_lost_batch_did_is_not_called_unknown(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is committed, the answer lost, and the second try finds nothing: nobody knows."""
    ids = new_ids(10)
    await create_all(store, ids)
    batches = type(store._coalesced._batches)  # type: ignore[union-attr]
    original, losses = batches.delete, list[bool]()

    def delete(self: Batches, connection: Connection, rows: Sequence[Row]) -> Collection[bytes]:
        done = original(self, connection, rows)
        if not losses:
            losses.append(True)
            raise ConnectionResetError("the answer is lost")
        return done

    monkeypatch.setattr(batches, "delete", delete)
    store._coalesced._lanes.clear()  # type: ignore[union-attr]
    answers = await asyncio.gather(*(store.delete(each) for each in ids), return_exceptions=True)
    assert answers[0] is None
    for answer in answers[1:]:
        assert isinstance(answer, DatabaseError)
        assert answer.outcome_unknown


async def test_a_look_up_that_fails_takes_no_write_back(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch is committed: the new ids are stored once, the live ones told by calls alone."""
    new, live = new_ids(5), new_ids(5)
    await create_all(store, live)
    batches = type(store._coalesced._batches)  # type: ignore[union-attr]

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


async def test_a_look_up_that_fails_is_everybodys_failure_where_nothing_was_written(
    store: SQLSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was changed, and the error says so."""
    live = new_ids(10)
    await create_all(store, live)
    batches = type(store._coalesced._batches)  # type: ignore[union-attr]

    def look_up(*_: object, **__: object) -> None:
        raise ConnectionResetError("it fails whenever it is tried")

    monkeypatch.setattr(batches, "live", look_up)
    answers = await asyncio.gather(
        *(store.create(each, record()) for each in live), return_exceptions=True
    )
    assert isinstance(answers[0], DuplicateIdError)
    for answer in answers[1:]:
        assert isinstance(answer, DatabaseError)
        assert answer.transient
        assert not answer.outcome_unknown


@pytest.mark.parametrize(
    "target",
    [each for each in TARGETS if each.database in {"mysql", "mariadb"}],
    indirect=True,
    ids=str,
)
async def test_what_a_server_cuts_off_is_loaded_as_rows(
    store: SQLSessionStore, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All states of a batch come in one value, unless that is longer than a packet."""
    ids = new_ids(20)
    await create_all(store, ids)
    monkeypatch.setattr(mysql_texts, "_LONGEST", 1_024)

    loaded = await asyncio.gather(*(store.load(each) for each in ids))

    assert [each and each.state for each in loaded] == [{"number": n} for n in range(20)]
    assert any("GROUP_CONCAT" not in each and " IN (" in each for each in statements)


async def test_unknown_ids_are_told_by_the_batch(
    store: SQLSessionStore, statements: list[str]
) -> None:
    """A flood of them takes a few statements, and keeps nobody else waiting."""
    await store.load(SessionId.generate())
    statements.clear()
    answers = await asyncio.gather(
        *(store.update_ttl(each, HOUR) for each in new_ids()), return_exceptions=True
    )
    assert all(isinstance(answer, UnknownIdError) for answer in answers)
    # One alone, and two batches of at most three: the change, and who is live, asked twice.
    assert len(statements) <= 7


async def test_a_batch_runs_in_no_callers_context(store: SQLSessionStore) -> None:
    """What a host keeps per request, its listeners don't find in the wrong hands."""
    user: ContextVar[str | None] = ContextVar("user", default=None)
    seen = []

    @event.listens_for(store.engine.sync_engine, "before_cursor_execute")
    def note(*_: object) -> None:
        seen.append(user.get())

    async def load(name: str) -> None:
        user.set(name)
        await store.load(SessionId(name))

    await asyncio.gather(*(load(name) for name in ("ada", "grace", "alan")))
    assert seen == ["ada", None]


async def test_one_large_state_does_not_end_batches(store: SQLSessionStore) -> None:
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
    assert count <= 3
