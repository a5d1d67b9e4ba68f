"""What is tried again, how often, and what is known after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from sessionstore_sql import (
    DatabaseError,
    DuplicateIdError,
    SessionId,
    UnknownIdError,
    execution,
    time_limits,
)
from sessionstore_sql.dialects import Dialect, Failure, dialect_named
from sessionstore_sql.engines import create_engine
from sessionstore_sql.execution import BoundExecutor, Effect, PooledExecutor
from tests.leaks import shows

pytestmark = pytest.mark.anyio

SESSION_ID = SessionId.generate()

ATTEMPTS = {
    Failure.ABORTED: 10,
    Failure.LOCKED: 3,
    Failure.STALE_PLAN: 3,
    Failure.UNREACHABLE: 3,
    Failure.READ_ONLY: 2,
    Failure.TIMED_OUT: 1,
    Failure.OUT_OF_RESOURCES: 1,
    Failure.SCHEMA_MISSING: 1,
    Failure.OTHER: 1,
    Failure.DUPLICATE_KEY: 1,
}
"""In all, for whatever the work does; what leaves the outcome open depends on the work."""


class TroubleError(Exception):
    """A driver's error that says what it means."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.name)
        self.failure = failure


def trouble(failure: Failure) -> DBAPIError:
    """Return SQLAlchemy's error for a failure; by itself it does not give the connection up."""
    return DBAPIError("UPDATE t", {}, TroubleError(failure))


class Work:
    """Work that goes as it is told, and counts how often it was done, and on what."""

    def __init__(self, *outcomes: BaseException | str) -> None:
        self.outcomes = list(outcomes)
        self.connections: list[Any] = []

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return len(self.connections)

    def __call__(self, connection: Connection) -> str:
        """Note the driver's connection, and return or raise what comes next."""
        self.connections.append(connection.connection.driver_connection)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
def dialect() -> Dialect:
    """SQLite's, where the error itself says what it means."""
    return replace(
        dialect_named("sqlite"), classify=lambda error: getattr(error, "failure", Failure.OTHER)
    )


@pytest.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    """A database in memory, of which nothing may be checked out in the end."""
    engine = create_engine("sqlite://", {"pool_size": 1, "pool_timeout": 0.01})
    yield engine
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await engine.dispose()


@pytest.fixture
def executor(engine: AsyncEngine, dialect: Dialect) -> PooledExecutor:
    """The one under test."""
    return PooledExecutor(engine, dialect, "sessions")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []

    async def pause(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr("sessionstore_sql.execution.asyncio.sleep", pause)
    return made


async def failing(executor: PooledExecutor, work: Work, effect: Effect) -> DatabaseError:
    """Return the error that running ``work`` ends in."""
    with pytest.raises(DatabaseError) as caught:
        await executor.run(work, effect)
    return caught.value


@pytest.mark.parametrize("effect", Effect)
async def test_what_succeeds_is_done_once(executor: PooledExecutor, effect: Effect) -> None:
    """Its result is returned."""
    work = Work("result", "never")

    assert await executor.run(work, effect) == "result"
    assert work.attempts == 1


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize(("failure", "attempts"), ATTEMPTS.items())
async def test_failures_are_tried_again_up_to_their_bound(
    executor: PooledExecutor,
    pauses: list[float],
    failure: Failure,
    attempts: int,
    effect: Effect,
) -> None:
    """Then the last one is raised, and it says that nothing was changed."""
    errors = [trouble(failure) for _ in range(attempts + 5)]
    work = Work(*errors)

    error = await failing(executor, work, effect)

    assert work.attempts == attempts
    assert len(pauses) == attempts - 1
    assert error.__cause__ is errors[attempts - 1]
    assert error.transient == failure.transient
    assert not error.outcome_unknown


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize(
    ("failure", "attempts"), [item for item in ATTEMPTS.items() if item[1] > 1]
)
async def test_the_last_attempt_can_succeed(
    executor: PooledExecutor, failure: Failure, attempts: int, effect: Effect
) -> None:
    """The caller never hears of the ones before."""
    work = Work(*(trouble(failure) for _ in range(attempts - 1)), "result")

    assert await executor.run(work, effect) == "result"


async def test_pauses_grow_and_are_bounded(
    executor: PooledExecutor, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Doubling up to a quarter of a second; a random part of it is waited."""
    monkeypatch.setattr("sessionstore_sql.execution.random.uniform", lambda _, longest: longest)

    await failing(executor, Work(*[trouble(Failure.ABORTED)] * 10), Effect.ONCE)

    assert pauses == sorted(pauses)
    assert pauses[:3] == [0.02, 0.04, 0.08]
    assert pauses[-1] == 0.25


async def test_rivals_do_not_wait_equally_long(
    executor: PooledExecutor, pauses: list[float]
) -> None:
    """Two that met would meet again."""
    for _ in range(3):
        await failing(executor, Work(*[trouble(Failure.ABORTED)] * 10), Effect.ONCE)

    assert len(set(pauses)) == len(pauses)
    assert all(0 <= pause <= 0.25 for pause in pauses)


async def test_a_lost_read_is_repeated(executor: PooledExecutor) -> None:
    """Once; then it is raised, and nothing is unknown about a read."""
    assert await executor.run(Work(trouble(Failure.LOST), "result"), Effect.READ) == "result"

    work = Work(*[trouble(Failure.LOST)] * 3)
    error = await failing(executor, work, Effect.READ)

    assert work.attempts == 2
    assert (error.transient, error.outcome_unknown) == (True, False)


async def test_a_lost_change_that_can_be_repeated_is(executor: PooledExecutor) -> None:
    """Once; if that is lost too, the outcome is unknown."""
    assert await executor.run(Work(trouble(Failure.LOST), "result"), Effect.REPEATABLE) == "result"

    work = Work(*[trouble(Failure.LOST)] * 3)
    error = await failing(executor, work, Effect.REPEATABLE)

    assert work.attempts == 2
    assert (error.transient, error.outcome_unknown) == (True, True)


async def test_a_lost_change_that_cannot_be_repeated_is_not(executor: PooledExecutor) -> None:
    """The second attempt could collide with the first."""
    work = Work(*[trouble(Failure.LOST)] * 2)

    error = await failing(executor, work, Effect.ONCE)

    assert work.attempts == 1
    assert (error.transient, error.outcome_unknown) == (True, True)


@pytest.mark.parametrize(
    ("effect", "unknown"), [(Effect.READ, False), (Effect.REPEATABLE, True), (Effect.ONCE, True)]
)
async def test_an_unanswered_statement_is_not_repeated(
    executor: PooledExecutor, effect: Effect, unknown: bool
) -> None:
    """The server may be at it still; what it does with a change is unknown."""
    work = Work(*[TimeoutError()] * 2)

    error = await failing(executor, work, effect)

    assert work.attempts == 1
    assert (error.transient, error.outcome_unknown) == (True, unknown)


@pytest.fixture
def impatient(engine: AsyncEngine, dialect: Dialect) -> PooledExecutor:
    """One that waits for an answer only for a moment."""
    impatient = replace(dialect, answer_timeout_s=0.01)
    return PooledExecutor(engine, impatient, "sessions", owns_engine=True)


def wait_for_ever(*_: Any) -> None:
    """Wait as a driver does whose server has fallen silent."""
    await_only(asyncio.Event().wait())


@pytest.mark.parametrize(
    ("effect", "unknown"), [(Effect.READ, False), (Effect.REPEATABLE, True), (Effect.ONCE, True)]
)
async def test_a_server_that_falls_silent_is_given_up(
    impatient: PooledExecutor, effect: Effect, unknown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection leaves the pool, and nobody knows what became of a change."""
    monkeypatch.setattr(execution, "CONNECT_TIMEOUT_S", 3_600)
    with pytest.raises(DatabaseError) as caught:
        await impatient.run(wait_for_ever, effect)

    error = caught.value
    assert (error.transient, error.outcome_unknown) == (True, unknown)
    assert error.connection_failed
    assert await impatient.run(Work("result"), effect) == "result"


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("poolclass", [None, NullPool])
async def test_a_server_that_is_silent_from_the_start_is_given_up(
    dialect: Dialect,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    effect: Effect,
    poolclass: type[NullPool] | None,
) -> None:
    """Nothing was sent, so nothing is unknown."""
    monkeypatch.setattr("sessionstore_sql.execution.CONNECT_TIMEOUT_S", 0.01)
    options: dict[str, Any] = {"poolclass": poolclass} if poolclass else {"pool_timeout": 0}
    engine = create_engine(f"sqlite:///{tmp_path / 'file.db'}", options)
    event.listen(engine.sync_engine, "do_connect", wait_for_ever)
    patient = replace(dialect, answer_timeout_s=5)
    executor = PooledExecutor(engine, patient, "sessions", owns_engine=True)

    error = await failing(executor, Work("never"), effect)

    assert (error.transient, error.outcome_unknown) == (True, False)
    assert error.connection_failed
    await engine.dispose()


async def test_waiting_for_the_pool_is_not_connecting(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It has a time limit of its own, which the pool keeps."""
    monkeypatch.setattr(execution, "CONNECT_TIMEOUT_S", 0.01)
    monkeypatch.setattr(time_limits, "INTERVAL", 0.01)
    options = {"pool_size": 1, "pool_timeout": 60}
    engine = create_engine(f"sqlite:///{tmp_path / 'file.db'}", options)
    patient = replace(dialect, answer_timeout_s=60)
    executor = PooledExecutor(engine, patient, "sessions", owns_engine=True)

    async with engine.connect():
        waiting = asyncio.create_task(executor.run(Work("result"), Effect.READ))
        await asyncio.wait([waiting], timeout=0.1)

    assert await waiting == "result"
    await engine.dispose()


async def test_nothing_is_tried_again_when_it_is_too_late(
    executor: PooledExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt may have waited as long as it could."""
    monkeypatch.setattr("sessionstore_sql.execution._RETRYING_S", 0)
    work = Work(*[trouble(Failure.LOCKED)] * 3)

    await failing(executor, work, Effect.READ)

    assert work.attempts == 1


class Held:
    """Work that has begun, and waits to be let go."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    def __call__(self, _connection: Connection) -> str:
        """Wait."""
        self.begun.set()
        await_only(self.go.wait())
        return "held"


@pytest.fixture
async def roomy(dialect: Dialect, tmp_path: Path) -> AsyncIterator[PooledExecutor]:
    """An executor with a connection for everyone in these tests."""
    engine = create_engine(f"sqlite:///{tmp_path / 'turns.db'}", {"pool_size": 3})
    yield PooledExecutor(engine, dialect, "sessions")
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await engine.dispose()


async def test_writers_take_turns_where_the_database_has_one(roomy: PooledExecutor) -> None:
    """The second begins when the first has ended; who reads waits for neither."""
    held, work = Held(), Work("second")
    first = asyncio.ensure_future(roomy.run(held, Effect.REPEATABLE))
    await held.begun.wait()
    second = asyncio.ensure_future(roomy.run(work, Effect.ONCE))

    # So many that a second writer in the database would have begun by now.
    reads = [await roomy.run(Work("read"), Effect.READ) for _ in range(20)]

    assert (reads, work.attempts) == (["read"] * 20, 0)
    held.go.set()
    assert await asyncio.gather(first, second) == ["held", "second"]


async def test_a_writer_whose_turn_does_not_come_tries_all_the_same(
    roomy: PooledExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a call's wait would be the sum of those before it."""
    monkeypatch.setattr(execution, "_LONGEST_TURN", 0.001)
    held = Held()
    first = asyncio.ensure_future(roomy.run(held, Effect.REPEATABLE))
    await held.begun.wait()

    second = await roomy.run(Work("second"), Effect.REPEATABLE)

    assert (second, first.done()) == ("second", False)
    held.go.set()
    assert await first == "held"


async def test_unknown_after_a_lost_attempt_is_an_unknown_outcome(executor: PooledExecutor) -> None:
    """The lost delete may have succeeded: then the second finds nothing, by its own doing."""
    lost = trouble(Failure.LOST)

    error = await failing(executor, Work(lost, UnknownIdError(SESSION_ID)), Effect.REPEATABLE)

    assert error.__cause__ is lost
    assert (error.transient, error.outcome_unknown) == (True, True)


async def test_unknown_after_a_harmless_attempt_is_unknown(executor: PooledExecutor) -> None:
    """A deadlock was rolled back: the id is unknown for another reason."""
    work = Work(trouble(Failure.ABORTED), UnknownIdError(SESSION_ID))

    with pytest.raises(UnknownIdError):
        await executor.run(work, Effect.REPEATABLE)


async def test_the_doubt_stays_whatever_comes_after(executor: PooledExecutor) -> None:
    """A lost attempt, then another failure: the first may still have taken effect."""
    work = Work(trouble(Failure.LOST), trouble(Failure.OTHER))

    error = await failing(executor, work, Effect.REPEATABLE)

    assert error.outcome_unknown
    assert not error.transient


@pytest.mark.parametrize("cause", [UnknownIdError(SESSION_ID), DuplicateIdError(SESSION_ID)])
async def test_the_stores_own_errors_pass(executor: PooledExecutor, cause: Exception) -> None:
    """They are answers, and are not asked for again."""
    work = Work(cause, "never")

    with pytest.raises(type(cause)) as caught:
        await executor.run(work, Effect.ONCE)

    assert caught.value is cause
    assert work.attempts == 1


@pytest.mark.parametrize("mistake", [ZeroDivisionError(), asyncio.CancelledError()])
async def test_mistakes_and_cancellation_pass(
    executor: PooledExecutor, mistake: BaseException
) -> None:
    """Neither is the database's, so neither is turned into its error."""
    with pytest.raises(type(mistake)):
        await executor.run(Work(mistake, "never"), Effect.READ)


@pytest.mark.parametrize(
    ("failure", "spoiled"),
    [
        (Failure.LOST, True),
        (Failure.READ_ONLY, True),
        (Failure.UNREACHABLE, True),
        (Failure.STALE_PLAN, True),
        (Failure.ABORTED, False),
        (Failure.LOCKED, False),
    ],
)
async def test_a_spoiled_connection_leaves_the_pool(
    executor: PooledExecutor, failure: Failure, spoiled: bool
) -> None:
    """The next attempt is on another one; a sound connection is used again."""
    work = Work(trouble(failure), "result")

    await executor.run(work, Effect.READ)

    first, second = work.connections
    assert (first is not second) == spoiled


async def test_an_unanswered_connection_leaves_the_pool(executor: PooledExecutor) -> None:
    """Its answer may come later, to somebody else's question."""
    unanswered, after = Work(TimeoutError()), Work("result")
    await failing(executor, unanswered, Effect.READ)

    await executor.run(after, Effect.READ)

    assert unanswered.connections[0] is not after.connections[0]


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize(
    "refusal", [ConnectionRefusedError, TimeoutError, lambda: TroubleError(Failure.LOST)]
)
async def test_a_connection_that_is_not_had_sent_nothing(
    executor: PooledExecutor, effect: Effect, refusal: Callable[[], Exception]
) -> None:
    """Tried again whatever the work does, and nothing is unknown after."""
    refusals: list[Exception] = []

    @event.listens_for(executor.engine.sync_engine, "do_connect")
    def refuse(*_: Any) -> None:
        refusals.append(refusal())
        raise trouble(Failure.LOST) if isinstance(refusals[-1], TroubleError) else refusals[-1]

    work = Work()
    error = await failing(executor, work, effect)

    assert (len(refusals), work.attempts) == (3, 0)
    assert (error.transient, error.outcome_unknown) == (True, False)


async def test_what_a_host_raises_while_connecting_is_the_hosts(executor: PooledExecutor) -> None:
    """From a hook in an engine of its own, such as one that fetches a token."""

    class TokenExpiredError(Exception):
        pass

    @event.listens_for(executor.engine.sync_engine, "do_connect")
    def refuse(*_: Any) -> None:
        raise TokenExpiredError

    with pytest.raises(TokenExpiredError):
        await executor.run(Work(), Effect.READ)


@pytest.mark.parametrize("effect", Effect)
async def test_what_a_driver_stumbles_over_is_the_databases(
    executor: PooledExecutor, effect: Effect
) -> None:
    """It is said, and tried once; but not with what the URL has to hide."""
    executor.owns_engine = True
    engine = executor.engine.sync_engine
    engine.url = engine.url.set(password="hunter2", query={"charset": "swordfish"})

    @event.listens_for(engine, "do_connect")
    def stumble(*_: Any) -> None:
        raise AttributeError("no charset swordfish for hunter2")

    error = await failing(executor, Work(), effect)

    assert str(error) == "ArgumentError: AttributeError: no charset *** for ***"
    assert (error.transient, error.outcome_unknown, error.connection_failed) == (False, False, True)
    assert not shows(error, "hunter2", "swordfish")


async def test_a_refusal_that_only_the_dialect_knows_sent_nothing(
    engine: AsyncEngine, dialect: Dialect
) -> None:
    """A driver's error that SQLAlchemy lets through as it is, and that has no code."""

    class NoneOfThemWritesError(Exception):
        pass

    known = replace(dialect, is_unreachable=lambda error: isinstance(error, NoneOfThemWritesError))
    refusals: list[Exception] = []

    @event.listens_for(engine.sync_engine, "do_connect")
    def refuse(*_: Any) -> None:
        refusals.append(NoneOfThemWritesError())
        raise refusals[-1]

    error = await failing(PooledExecutor(engine, known, "sessions"), Work(), Effect.ONCE)

    assert len(refusals) == 3
    assert (error.transient, error.outcome_unknown) == (True, False)


async def test_a_full_pool_is_not_queued_for_twice(executor: PooledExecutor) -> None:
    """The wait was long enough: shed load, and say that it may pass."""
    work = Work("never")
    async with executor.engine.connect():
        error = await failing(executor, work, Effect.REPEATABLE)

    assert isinstance(error.__cause__, PoolTimeoutError)
    assert work.attempts == 0
    assert (error.transient, error.outcome_unknown) == (True, False)


async def test_work_in_a_transaction_is_committed(dialect: Dialect, tmp_path: Path) -> None:
    """On an engine that begins transactions, the executor ends them; a failure rolls back."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'host.db'}")
    executor = PooledExecutor(engine, dialect, "sessions")

    def insert(connection: Connection) -> None:
        connection.execute(text("INSERT INTO t VALUES (1)"))

    def insert_and_fail(connection: Connection) -> None:
        insert(connection)
        raise trouble(Failure.OTHER)

    await executor.run(
        lambda connection: connection.execute(text("CREATE TABLE t (a)")), Effect.ONCE
    )
    await executor.run(insert, Effect.ONCE)
    with pytest.raises(DatabaseError):
        await executor.run(insert_and_fail, Effect.ONCE)

    def count(connection: Connection) -> Any:
        return connection.execute(text("SELECT count(*) FROM t")).scalar_one()

    assert await executor.run(count, Effect.READ) == 1
    await engine.dispose()


@pytest.mark.parametrize("failure", [*ATTEMPTS, Failure.LOST, Failure.UNANSWERED])
@pytest.mark.parametrize("effect", Effect)
async def test_bound_work_is_done_once(
    engine: AsyncEngine, dialect: Dialect, failure: Failure, effect: Effect
) -> None:
    """What aborted took the caller's statements along: only the caller can repeat them."""
    cause = trouble(failure)
    work = Work(cause, "never")
    transactional = engine.execution_options(isolation_level="SERIALIZABLE")
    async with transactional.connect() as connection:
        executor = BoundExecutor(connection, dialect, "sessions")

        with pytest.raises(DatabaseError) as caught:
            await executor.run(work, effect)

        assert not connection.invalidated
    assert work.attempts == 1
    assert caught.value.__cause__ is cause
    assert caught.value.transient == failure.transient
    assert caught.value.outcome_unknown == (failure.unknown and effect is not Effect.READ)


async def test_bound_work_returns_its_result(engine: AsyncEngine, dialect: Dialect) -> None:
    """On the caller's connection, and the store's own errors pass."""
    transactional = engine.execution_options(isolation_level="SERIALIZABLE")
    async with transactional.connect() as connection:
        executor = BoundExecutor(connection, dialect, "sessions")
        work = Work("result", UnknownIdError(SESSION_ID))

        assert await executor.run(work, Effect.ONCE) == "result"
        with pytest.raises(UnknownIdError):
            await executor.run(work, Effect.ONCE)

        raw = await connection.get_raw_connection()
        assert work.connections == [raw.driver_connection] * 2
