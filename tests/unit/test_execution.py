"""Attempts: what is retried, how often, and what is known afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
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
)
from sessionstore_sql.sql import event_loop
from sessionstore_sql.sql.bound import BoundExecutor
from sessionstore_sql.sql.dialects import Dialect, Failure, dialect_named
from sessionstore_sql.sql.effects import Effect
from sessionstore_sql.sql.engines import create_engine
from sessionstore_sql.sql.execution import PooledExecutor
from tests.dialects import changed
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
    Failure.DATABASE_MISSING: 1,
    Failure.OTHER: 1,
    Failure.DUPLICATE_KEY: 1,
}
"""Maximum number of attempts, whatever the work does. Lost connections depend on the work."""


class TroubleError(Exception):
    """A driver's error that has its meaning as an attribute."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.name)
        self.failure = failure


def trouble(failure: Failure) -> DBAPIError:
    """Return SQLAlchemy's error for a failure. By itself it does not invalidate the connection."""
    return DBAPIError("UPDATE t", {}, TroubleError(failure))


class Work:
    """Work with given outcomes. It records the connections it was run on."""

    def __init__(self, *outcomes: BaseException | str) -> None:
        self.outcomes = list(outcomes)
        self.connections: list[Any] = []

    @property
    def attempts(self) -> int:
        """The number of attempts."""
        return len(self.connections)

    def __call__(self, connection: Connection) -> str:
        """Record the driver's connection, and return or raise the next outcome."""
        self.connections.append(connection.connection.driver_connection)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
def dialect() -> Dialect:
    """SQLite's dialect, for errors that have their meaning as an attribute."""
    return changed(
        dialect_named("sqlite"), classify=lambda error: getattr(error, "failure", Failure.OTHER)
    )


@pytest.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    """A database in memory. No connection may be checked out in the end."""
    engine = create_engine("sqlite://", {"pool_size": 1, "pool_timeout": 0.01})
    yield engine
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await engine.dispose()


@pytest.fixture
def executor(engine: AsyncEngine, dialect: Dialect) -> PooledExecutor:
    """An executor on the application's engine."""
    return PooledExecutor(engine, dialect, "sessions")


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not made."""
    made: list[float] = []

    async def pause(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr("sessionstore_sql.sql.execution.asyncio.sleep", pause)
    return made


async def failing(executor: PooledExecutor, work: Work, effect: Effect) -> DatabaseError:
    """Return the error that ``work`` ends with."""
    with pytest.raises(DatabaseError) as caught:
        await executor.run(work, effect)
    return caught.value


@pytest.mark.parametrize("effect", Effect)
async def test_work_that_succeeds_runs_once(executor: PooledExecutor, effect: Effect) -> None:
    """Its result is returned."""
    work = Work("result", "never")

    assert await executor.run(work, effect) == "result"
    assert work.attempts == 1


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize(("failure", "attempts"), ATTEMPTS.items())
async def test_failures_are_retried_up_to_their_bound(
    executor: PooledExecutor,
    pauses: list[float],
    failure: Failure,
    attempts: int,
    effect: Effect,
) -> None:
    """The last error is raised, and says that nothing was changed."""
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
    """The caller is not told of the attempts before."""
    work = Work(*(trouble(failure) for _ in range(attempts - 1)), "result")

    assert await executor.run(work, effect) == "result"


async def test_pauses_grow_and_are_bounded(
    executor: PooledExecutor, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They double up to a quarter of a second, and are shortened by a random factor."""
    monkeypatch.setattr("sessionstore_sql.sql.retrying.random.uniform", lambda _, longest: longest)

    await failing(executor, Work(*[trouble(Failure.ABORTED)] * 10), Effect.ONCE)

    assert pauses == sorted(pauses)
    assert pauses[:3] == [0.02, 0.04, 0.08]
    assert pauses[-1] == 0.25


async def test_pauses_are_random(executor: PooledExecutor, pauses: list[float]) -> None:
    """Two calls with equal pauses would meet again."""
    for _ in range(3):
        await failing(executor, Work(*[trouble(Failure.ABORTED)] * 10), Effect.ONCE)

    assert len(set(pauses)) == len(pauses)
    assert all(0 <= pause <= 0.25 for pause in pauses)


async def test_a_lost_read_is_repeated(executor: PooledExecutor) -> None:
    """Once. A second loss is raised, and leaves no unknown outcome."""
    assert await executor.run(Work(trouble(Failure.LOST), "result"), Effect.READ) == "result"

    work = Work(*[trouble(Failure.LOST)] * 3)
    error = await failing(executor, work, Effect.READ)

    assert work.attempts == 2
    assert (error.transient, error.outcome_unknown) == (True, False)


async def test_a_lost_write_that_may_be_repeated_is_repeated(executor: PooledExecutor) -> None:
    """Once. If that is lost too, the outcome is unknown."""
    assert await executor.run(Work(trouble(Failure.LOST), "result"), Effect.REPEATABLE) == "result"

    work = Work(*[trouble(Failure.LOST)] * 3)
    error = await failing(executor, work, Effect.REPEATABLE)

    assert work.attempts == 2
    assert (error.transient, error.outcome_unknown) == (True, True)


async def test_a_lost_write_that_must_run_once_is_not_repeated(executor: PooledExecutor) -> None:
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
    """The server may still be running it, so the outcome of a write is unknown."""
    work = Work(*[TimeoutError()] * 2)

    error = await failing(executor, work, effect)

    assert work.attempts == 1
    assert (error.transient, error.outcome_unknown) == (True, unknown)


@pytest.fixture
def impatient(engine: AsyncEngine, dialect: Dialect) -> PooledExecutor:
    """An executor that waits for an answer only for a moment."""
    impatient = changed(dialect, answer_timeout_s=0.01)
    return PooledExecutor(engine, impatient, "sessions", owns_engine=True)


def wait_forever(*_: Any) -> None:
    """Wait like a driver whose server has stopped answering."""
    await_only(asyncio.Event().wait())


@pytest.mark.parametrize(
    ("effect", "unknown"), [(Effect.READ, False), (Effect.REPEATABLE, True), (Effect.ONCE, True)]
)
async def test_the_wait_for_an_answer_is_bounded(
    impatient: PooledExecutor, effect: Effect, unknown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection leaves the pool, and the outcome of a write is unknown."""
    monkeypatch.setattr(event_loop, "CONNECT_TIMEOUT_S", 3_600)
    with pytest.raises(DatabaseError) as caught:
        await impatient.run(wait_forever, effect)

    error = caught.value
    assert (error.transient, error.outcome_unknown) == (True, unknown)
    assert error.connection_failed
    impatient.answer_timeout_s = None
    assert await impatient.run(Work("result"), effect) == "result"


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("poolclass", [None, NullPool])
async def test_the_time_for_connecting_is_bounded(
    dialect: Dialect,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    effect: Effect,
    poolclass: type[NullPool] | None,
) -> None:
    """Nothing was sent, so the outcome is known."""
    monkeypatch.setattr(event_loop, "CONNECT_TIMEOUT_S", 0.01)
    options: dict[str, Any] = {"poolclass": poolclass} if poolclass else {"pool_timeout": 0}
    engine = create_engine(f"sqlite:///{tmp_path / 'file.db'}", options)
    event.listen(engine.sync_engine, "do_connect", wait_forever)
    patient = changed(dialect, answer_timeout_s=5)
    executor = PooledExecutor(engine, patient, "sessions", owns_engine=True)

    error = await failing(executor, Work("never"), effect)

    assert (error.transient, error.outcome_unknown) == (True, False)
    assert error.connection_failed
    await engine.dispose()


async def test_waiting_for_the_pool_is_not_connecting(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The pool has a time limit of its own for that."""
    monkeypatch.setattr(event_loop, "CONNECT_TIMEOUT_S", 0.01)
    monkeypatch.setattr(event_loop, "_LIMIT_INTERVAL_S", 0.01)
    options = {"pool_size": 1, "pool_timeout": 60}
    engine = create_engine(f"sqlite:///{tmp_path / 'file.db'}", options)
    patient = changed(dialect, answer_timeout_s=60)
    executor = PooledExecutor(engine, patient, "sessions", owns_engine=True)

    async with engine.connect():
        waiting = asyncio.create_task(executor.run(Work("result"), Effect.READ))
        await asyncio.wait([waiting], timeout=0.1)

    assert await waiting == "result"
    await engine.dispose()


async def test_no_attempt_begins_when_the_time_is_over(
    executor: PooledExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt may have taken as long as it was allowed to."""
    monkeypatch.setattr("sessionstore_sql.sql.execution.RETRYING_S", 0)
    work = Work(*[trouble(Failure.LOCKED)] * 3)

    await failing(executor, work, Effect.READ)

    assert work.attempts == 1


class Held:
    """Work that has begun, and waits until the test releases it."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    def __call__(self, _connection: Connection) -> str:
        """Wait."""
        self.begun.set()
        await_only(self.go.wait())
        return "held"


@pytest.fixture
async def roomy(dialect: Dialect, tmp_path: Path) -> AsyncIterator[PooledExecutor]:
    """An executor with a connection for every call of a test."""
    engine = create_engine(f"sqlite:///{tmp_path / 'turns.db'}", {"pool_size": 3})
    yield PooledExecutor(engine, dialect, "sessions")
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await engine.dispose()


async def test_writers_take_turns_where_the_database_has_one(roomy: PooledExecutor) -> None:
    """The second begins when the first has ended. Reads wait for neither."""
    held, work = Held(), Work("second")
    first = asyncio.ensure_future(roomy.run(held, Effect.REPEATABLE))
    await held.begun.wait()
    second = asyncio.ensure_future(roomy.run(work, Effect.ONCE))

    # So many that a second writer in the database would have begun by now.
    reads = [await roomy.run(Work("read"), Effect.READ) for _ in range(20)]

    assert (reads, work.attempts) == (["read"] * 20, 0)
    held.go.set()
    assert await asyncio.gather(first, second) == ["held", "second"]


async def test_the_wait_for_a_turn_is_bounded(
    roomy: PooledExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a call's wait would be the sum of those before it."""
    monkeypatch.setattr(event_loop, "_MAX_TURN_S", 0.001)
    held = Held()
    first = asyncio.ensure_future(roomy.run(held, Effect.REPEATABLE))
    await held.begun.wait()

    second = await roomy.run(Work("second"), Effect.REPEATABLE)

    assert (second, first.done()) == ("second", False)
    held.go.set()
    assert await first == "held"


def is_result(result: str) -> bool:
    """Whether a result does not depend on what an earlier attempt did."""
    return result == "result"


async def test_an_inconclusive_result_after_a_lost_attempt_is_an_unknown_outcome(
    executor: PooledExecutor,
) -> None:
    """The lost delete may have succeeded. Then the second one finds nothing, by its own doing."""
    lost = trouble(Failure.LOST)

    with pytest.raises(DatabaseError) as caught:
        await executor.run(Work(lost, "nothing found"), Effect.REPEATABLE, is_conclusive=is_result)

    assert caught.value.__cause__ is lost
    assert (caught.value.transient, caught.value.outcome_unknown) == (True, True)


async def test_a_conclusive_result_after_a_lost_attempt_is_returned(
    executor: PooledExecutor,
) -> None:
    """Whatever the lost attempt did, the second one has done it as well."""
    work = Work(trouble(Failure.LOST), "result")

    assert await executor.run(work, Effect.REPEATABLE, is_conclusive=is_result) == "result"


async def test_any_result_after_a_harmless_attempt_is_returned(executor: PooledExecutor) -> None:
    """A deadlock was rolled back, so the result is not the first attempt's doing."""
    work = Work(trouble(Failure.ABORTED), "nothing found")

    assert await executor.run(work, Effect.REPEATABLE, is_conclusive=is_result) == "nothing found"


async def test_work_is_called_with_the_arguments_given_for_it(executor: PooledExecutor) -> None:
    """Each attempt gets the connection and then the same arguments."""
    given: list[tuple[str, int]] = []

    def work(_connection: Connection, text: str, number: int) -> str:
        given.append((text, number))
        if len(given) == 1:
            raise trouble(Failure.ABORTED)
        return "result"

    assert await executor.run(work, Effect.ONCE, "text", 7) == "result"
    assert given == [("text", 7)] * 2


async def test_an_outcome_stays_unknown_whatever_follows(executor: PooledExecutor) -> None:
    """After a lost attempt and another failure, the first may still have taken effect."""
    work = Work(trouble(Failure.LOST), trouble(Failure.OTHER))

    error = await failing(executor, work, Effect.REPEATABLE)

    assert error.outcome_unknown
    assert not error.transient


@pytest.mark.parametrize("cause", [UnknownIdError(SESSION_ID), DuplicateIdError(SESSION_ID)])
async def test_errors_of_the_store_are_passed_on(
    executor: PooledExecutor, cause: Exception
) -> None:
    """They are results, and the work is not run again."""
    work = Work(cause, "never")

    with pytest.raises(type(cause)) as caught:
        await executor.run(work, Effect.ONCE)

    assert caught.value is cause
    assert work.attempts == 1


@pytest.mark.parametrize("mistake", [ZeroDivisionError(), asyncio.CancelledError()])
async def test_programming_errors_and_cancellation_are_passed_on(
    executor: PooledExecutor, mistake: BaseException
) -> None:
    """Neither is a failure of the database."""
    with pytest.raises(type(mistake)):
        await executor.run(Work(mistake, "never"), Effect.READ)


@pytest.mark.parametrize(
    ("failure", "leaves"),
    [
        (Failure.LOST, True),
        (Failure.READ_ONLY, True),
        (Failure.UNREACHABLE, True),
        (Failure.STALE_PLAN, True),
        (Failure.ABORTED, False),
        (Failure.LOCKED, False),
    ],
)
async def test_an_unusable_connection_leaves_the_pool(
    executor: PooledExecutor, failure: Failure, leaves: bool
) -> None:
    """The next attempt uses another one. A usable connection is used again."""
    work = Work(trouble(failure), "result")

    await executor.run(work, Effect.READ)

    first, second = work.connections
    assert (first is not second) == leaves


async def test_an_unanswered_connection_leaves_the_pool(executor: PooledExecutor) -> None:
    """The answer may arrive later, when another call uses the connection."""
    unanswered, after = Work(TimeoutError()), Work("result")
    await failing(executor, unanswered, Effect.READ)

    await executor.run(after, Effect.READ)

    assert unanswered.connections[0] is not after.connections[0]


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize(
    "rejection", [ConnectionRefusedError, TimeoutError, lambda: TroubleError(Failure.LOST)]
)
async def test_a_failure_to_connect_is_retried(
    executor: PooledExecutor, effect: Effect, rejection: Callable[[], Exception]
) -> None:
    """Whatever the work does, as nothing was sent. The outcome is known."""
    rejections: list[Exception] = []

    @event.listens_for(executor.engine.sync_engine, "do_connect")
    def reject(*_: Any) -> None:
        rejections.append(rejection())
        raise trouble(Failure.LOST) if isinstance(rejections[-1], TroubleError) else rejections[-1]

    work = Work()
    error = await failing(executor, work, effect)

    assert (len(rejections), work.attempts) == (3, 0)
    assert (error.transient, error.outcome_unknown) == (True, False)


async def test_an_error_of_an_event_listener_while_connecting_is_passed_on(
    executor: PooledExecutor,
) -> None:
    """The application's listener may fetch a token, and fail with that."""

    class TokenExpiredError(Exception):
        pass

    @event.listens_for(executor.engine.sync_engine, "do_connect")
    def reject(*_: Any) -> None:
        raise TokenExpiredError

    with pytest.raises(TokenExpiredError):
        await executor.run(Work(), Effect.READ)


@pytest.mark.parametrize("effect", Effect)
async def test_any_error_of_a_driver_while_connecting_is_a_database_error(
    engine: AsyncEngine, dialect: Dialect, effect: Effect
) -> None:
    """It is not retried. Its text is reported without the secrets of the URL."""
    executor = PooledExecutor(engine, dialect, "sessions", owns_engine=True)
    sync_engine = executor.engine.sync_engine
    sync_engine.url = sync_engine.url.set(password="hunter2", query={"charset": "swordfish"})

    @event.listens_for(sync_engine, "do_connect")
    def fail(*_: Any) -> None:
        raise AttributeError("no charset swordfish for hunter2")

    error = await failing(executor, Work(), effect)

    assert str(error) == "ArgumentError: AttributeError: no charset *** for ***"
    assert (error.transient, error.outcome_unknown, error.connection_failed) == (False, False, True)
    assert not shows(error, "hunter2", "swordfish")


async def test_a_refusal_that_only_the_dialect_knows_is_retried(
    engine: AsyncEngine, dialect: Dialect
) -> None:
    """SQLAlchemy passes the driver's error on as it is, and it has no code."""

    class NoneOfThemWritesError(Exception):
        pass

    known = changed(dialect, is_unreachable=lambda error: isinstance(error, NoneOfThemWritesError))
    rejections: list[Exception] = []

    @event.listens_for(engine.sync_engine, "do_connect")
    def reject(*_: Any) -> None:
        rejections.append(NoneOfThemWritesError())
        raise rejections[-1]

    error = await failing(PooledExecutor(engine, known, "sessions"), Work(), Effect.ONCE)

    assert len(rejections) == 3
    assert (error.transient, error.outcome_unknown) == (True, False)


async def test_a_full_pool_is_waited_for_once(executor: PooledExecutor) -> None:
    """The wait was long enough. The error is transient."""
    work = Work("never")
    async with executor.engine.connect():
        error = await failing(executor, work, Effect.REPEATABLE)

    assert isinstance(error.__cause__, PoolTimeoutError)
    assert work.attempts == 0
    assert (error.transient, error.outcome_unknown) == (True, False)


async def test_work_in_a_transaction_is_committed(dialect: Dialect, tmp_path: Path) -> None:
    """On an engine that begins transactions, the executor commits, and rolls back a failure."""
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
async def test_bound_work_runs_once(
    engine: AsyncEngine, dialect: Dialect, failure: Failure, effect: Effect
) -> None:
    """A failure undid the caller's statements too, and only the caller can repeat them."""
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
    """It runs on the caller's connection, and errors of the store are passed on."""
    transactional = engine.execution_options(isolation_level="SERIALIZABLE")
    async with transactional.connect() as connection:
        executor = BoundExecutor(connection, dialect, "sessions")
        work = Work("result", UnknownIdError(SESSION_ID))

        assert await executor.run(work, Effect.ONCE) == "result"
        with pytest.raises(UnknownIdError):
            await executor.run(work, Effect.ONCE)

        raw = await connection.get_raw_connection()
        assert work.connections == [raw.driver_connection] * 2
