"""Stores, engines, names and purge options with bad arguments."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from sqlalchemy import Table, create_mock_engine

from sessionstore_sql import (
    SessionId,
    SessionRecord,
    SQLSessionStore,
    continuously_delete_expired,
    delete_expired_in_batches,
    migrate,
)
from sessionstore_sql.schema import require_name, session_table
from sessionstore_sql.sql.engines import create_engine
from sessionstore_sql.sql.urls import normalise_url
from tests.fuzz import values
from tests.fuzz.documented import (
    attempt,
    may_be_batch_size,
    may_be_ttl,
    require_argument_error,
    require_secrets_kept,
)
from tests.fuzz.exploring import explore
from tests.fuzz.hostile import SECRET, let_loose
from tests.fuzz.worlds import World

_QUOTES = {"postgresql+asyncpg": '"', "mysql+aiomysql": "`", "sqlite+aiosqlite": '"'}


def test_urls(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A URL gives an engine, or an error that shows nothing of the URL."""
    monkeypatch.chdir(tmp_path)

    def check(url: Any) -> None:
        normalised = attempt(lambda: normalise_url(url))
        made = attempt(lambda: SQLSessionStore(url))
        assert (normalised.error is None) == (made.error is None) or "plugin" in str(made.error)

    explore(check, values.urls, examples=300)


def test_engine_options() -> None:
    """Engine options give an engine, or an error about the options."""

    def check(url: str, options: Any) -> None:
        attempt(lambda: create_engine(url, options))

    urls = st.sampled_from(["sqlite:///x.db", "postgresql://u@h/d", f"mysql://u:{SECRET}@h/d"])
    explore(check, urls, values.engine_options, examples=150)


def test_arguments_of_a_store() -> None:
    """Arguments give a store, or an error about an argument."""

    def check(engine: Any, table: Any, schema: Any, options: Any) -> None:
        attempt(lambda: SQLSessionStore(engine, table=table, schema=schema, engine_options=options))

    explore(
        check,
        values.mostly(st.just("sqlite:///x.db"), values.anything, 5),
        values.names,
        st.none() | values.names,
        values.mostly(st.none(), values.engine_options, 5),
        examples=150,
    )


def test_names_are_quoted() -> None:
    """An accepted name is always quoted, and cannot end its quotes."""

    def check(table: Any, schema: Any, drivername: str) -> None:
        named = attempt(lambda: session_table(table, schema=schema))
        attempt(lambda: migrate.exclude_session_tables(table, schema=schema))
        if named.error is not None:
            return
        statements = _ddl(named.value, drivername)
        for name in (table, *([] if schema is None else [schema])):
            bare = _without_quoted("".join(statements), _QUOTES[drivername])
            assert name.isidentifier() or name not in bare or not set(name) & set("'\"`;-%:\\$?")

    explore(
        check,
        values.names,
        st.none() | values.names,
        st.sampled_from(sorted(_QUOTES)),
        examples=200,
    )


def _ddl(table: Table, drivername: str) -> list[str]:
    statements: list[str] = []

    def note(statement: Any, *_: Any, **__: Any) -> None:
        statements.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine(f"{drivername}://", note)
    table.create(engine, checkfirst=False)
    return statements


def _without_quoted(statement: str, quote: str) -> str:
    """Return the parts of a statement outside of quotes, whose number is even."""
    outside = statement.replace(quote * 2, "").split(quote)
    assert len(outside) % 2 == 1, "a name has ended its quotes"
    return "".join(outside[::2])


def test_options_of_a_purge(world: World) -> None:
    """A purge runs, or an error about an argument is raised before anything is deleted."""

    async def check(batch_size: Any, pause: Any, max_time: Any, stop: Any, on_batch: Any) -> None:
        await world.reset()
        before = await world.snapshot()
        options = {"batch_size": batch_size, "pause": pause, "max_time": max_time}
        try:
            with let_loose():
                async with asyncio.timeout(20):
                    await delete_expired_in_batches(
                        world.store, **options, stop=stop, on_batch=on_batch, exclusively=True
                    )
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001  # which ones may come is what is looked at
            require_secrets_kept(error)
            require_argument_error(error)
            assert await world.snapshot() == before
        else:
            assert may_be_batch_size(batch_size, or_none=False)
            assert may_be_ttl(pause)
            assert max_time is None or may_be_ttl(max_time)

    explore(
        lambda *drawn: world.run(check(*drawn)),
        values.batch_sizes,
        values.mostly(st.just(timedelta(0)), values.anything | st.just(-timedelta.resolution), 2),
        values.mostly(st.none(), values.durations),
        values.mostly(st.none(), values.anything, 5),
        values.mostly(st.sampled_from([None, abs]), values.anything),
        examples=world.share(60),
    )


def test_options_of_a_continuous_purge() -> None:
    """Arguments are checked when the function is called, not when it is awaited."""
    store = SQLSessionStore("sqlite://")

    def check(engine: Any, period: Any, batch_size: Any, pause: Any, on_batch: Any) -> None:
        made = attempt(
            lambda: continuously_delete_expired(
                engine, period=period, batch_size=batch_size, pause=pause, on_batch=on_batch
            )
        )
        if made.error is None:
            made.value.close()

    explore(
        check,
        values.mostly(st.just(store), values.anything, 5),
        values.durations,
        values.batch_sizes,
        values.durations,
        values.mostly(st.none(), values.anything),
        examples=150,
    )


def test_names_of_a_table_in_a_database(world: World) -> None:
    """An accepted name can be migrated, used, checked and dropped; others change nothing."""

    async def check(name: Any) -> None:
        named = attempt(lambda: require_name(name, "table"))
        if named.error is not None or not isinstance(name, str):
            return
        await _lives(world, f"{name[:20]}.{world.table[-8:]}")

    short = values.pieces.filter(lambda each: len(each.encode(errors="replace")) < 30)
    explore(lambda name: world.run(check(name)), short, examples=world.share(40))


async def _lives(world: World, table: str) -> None:
    others = await world.tables()
    await migrate.upgrade(world.url, table=table)
    await migrate.check(world.url, table=table)
    async with SQLSessionStore(world.url, table=table) as store:
        some = [SessionId.generate() for _ in range(4)]
        record = SessionRecord({"secret": SECRET}, timedelta(hours=1))
        # So many concurrent calls that the later ones share a statement.
        await asyncio.gather(*(store.create(each, record) for each in some))
        await asyncio.gather(*(store.update(each, record) for each in some))
        assert None not in await asyncio.gather(*(store.load(each) for each in some))
        await store.change_id(some[0], SessionId.generate())
        await store.create(SessionId.generate(), SessionRecord({}, timedelta(0)))
        assert await store.delete_expired_exclusively(5) == 1
        await asyncio.gather(*(store.delete(each) for each in some[1:]))
    assert await world.tables() == others | {table, f"{table}_version"}
    await migrate.downgrade(world.url, "base", table=table)
    assert await world.tables() == others | {f"{table}_version"}
    await world.drop(f"{table}_version")
