"""Servers and connections with other settings: clocks, SQL modes, limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sessionstore_sql import (
    JSON,
    CreateError,
    DatabaseError,
    SessionId,
    SQLSessionStore,
    UpdateError,
    UpdateTtlError,
)
from sessionstore_sql.schema import session_table
from tests.concurrency.rows import (
    SERVER_TARGETS,
    back_date,
    database_time,
    deadline_of,
    row_count,
)
from tests.concurrency.stores import AT_ONCE, HOUR, StoreMaker, record
from tests.databases import Target
from tests.faults.calls import STATE, WRITES, Call
from tests.faults.servers import Server, fails, on_connect

pytestmark = pytest.mark.anyio

POSTGRESQL, MYSQL, MARIADB = (
    [target for target in SERVER_TARGETS if target.database == database]
    for database in ("postgresql", "mysql", "mariadb")
)
TIME_ZONES = ("+09:00", "-11:30", "+00:00")
SQL_MODES = (
    "",
    "ANSI_QUOTES",
    "NO_BACKSLASH_ESCAPES",
    "ANSI",
    "TRADITIONAL",
    "PIPES_AS_CONCAT",
    "NO_UNSIGNED_SUBTRACTION",
    "ANSI,NO_BACKSLASH_ESCAPES,TRADITIONAL",
)


def initially(target: Target, setting: str) -> dict[str, Any]:
    """Return the ``connect_args`` with which the driver applies ``setting``."""
    if target.database != "postgresql":
        return {"init_command": f"SET SESSION {setting}"}
    name, _, value = setting.partition("=")
    if target.drivername.endswith("asyncpg"):
        return {"server_settings": {name: value}}
    return {"options": f"-c {name}={value}"}


def settings() -> list[Any]:
    """Return each setting with each target that supports it."""
    cases = [(t, f"TimeZone={zone}") for t in POSTGRESQL for zone in ("Asia/Tokyo", "Etc/GMT+11")]
    cases += [(t, f"time_zone='{zone}'") for t in MYSQL + MARIADB for zone in TIME_ZONES]
    cases += [(t, f"sql_mode='{mode}'") for t in MYSQL + MARIADB for mode in SQL_MODES]
    cases += [(t, f"sql_mode='{mode}'") for t in MARIADB for mode in ("ORACLE", "MSSQL")]
    return [pytest.param(t, setting, id=f"{t}-{setting}") for t, setting in cases]


class BytesCodec:
    """Stores text as bytes with the same numbers, so that every byte can be stored."""

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return the bytes."""
        return str(state["bytes"]).encode("latin-1")

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Return the text."""
        return {"bytes": data.decode("latin-1")}


EVERY_BYTE = bytes(range(256)).decode("latin-1") + "'\"\\`%s%%:x\\'\\0''\n\0\x1a;--"


@pytest.mark.parametrize(("target", "setting"), settings(), indirect=["target"])
@pytest.mark.parametrize("owned", [True, False], ids=["own engine", "host's engine"])
async def test_a_setting_changes_nothing(  # noqa: PLR0913, PLR0917  # fixtures
    store: SQLSessionStore,
    make_store: StoreMaker,
    url: URL,
    target: Target,
    setting: str,
    owned: bool,
) -> None:
    """Deadlines are exact, every byte is kept, and expired sessions are purged."""
    connect_args = initially(target, setting)
    engine = create_async_engine(url, connect_args=connect_args)
    other = (
        await make_store(engine_options={"connect_args": connect_args}, codec=BytesCodec())
        if owned
        else await make_store(engine, codec=BytesCodec())
    )
    plain = await make_store(codec=BytesCodec())
    live, new_id, expired = (SessionId.generate() for _ in range(3))
    ttl = timedelta(days=3, microseconds=123_457)

    before = await database_time(store.engine)
    await other.create(live, record(ttl, bytes=EVERY_BYTE))
    deadline = await deadline_of(store.engine, live)
    after = await database_time(store.engine)

    assert deadline is not None
    assert before <= deadline - ttl // timedelta(microseconds=1) <= after
    for each in (other, plain):
        loaded = await each.load(live)
        assert loaded is not None
        assert loaded.state == {"bytes": EVERY_BYTE}
        assert ttl - timedelta(minutes=1) < loaded.ttl <= ttl
    await other.create(expired, record(AT_ONCE, bytes=""))
    assert await other.load(expired) is None
    await other.update(live, record(bytes=EVERY_BYTE[::-1]))
    await other.change_id(live, expired)
    await other.create(new_id, record(bytes="x"))
    await back_date(store.engine, [new_id])
    await other.create(new_id, record(bytes="y"))
    await back_date(store.engine, [new_id])
    assert await other.delete_expired() == 1
    loaded = await plain.load(expired)
    assert loaded is not None
    assert loaded.state == {"bytes": EVERY_BYTE[::-1]}
    assert await row_count(store.engine) == 1
    await engine.dispose()


READ_ONLY = {
    "postgresql": "SET default_transaction_read_only = on",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
}


@pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str)
@pytest.mark.parametrize("call", WRITES, ids=str)
async def test_a_server_that_only_reads(
    store: SQLSessionStore, make_store: StoreMaker, call: Call
) -> None:
    """A write fails with a transient error and changes nothing; a load succeeds."""
    live, free = SessionId.generate(), SessionId.generate()
    await store.create(live, record(kept=True))
    standby = await make_store()
    on_connect(standby.engine, READ_ONLY[_family(standby.engine)])

    with fails(call.error, live, free, secrets=(STATE,)) as caught:
        await call.make(standby, live, free)

    assert caught.value.transient
    assert not caught.value.outcome_unknown
    loaded = await standby.load(live)
    assert loaded is not None
    assert loaded.state == {"kept": True}
    assert await store.load(free) is None


@pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str)
@pytest.mark.parametrize("call", WRITES, ids=str)
async def test_a_server_that_was_demoted(
    store: SQLSessionStore, make_store: StoreMaker, call: Call
) -> None:
    """A read-only connection is replaced by one to the new primary."""
    live, free = SessionId.generate(), SessionId.generate()
    await store.create(live, record())
    failing_over = await make_store()
    statement = READ_ONLY[_family(failing_over.engine)]
    demoted: list[object] = []

    def demote(connection: Any, _record: object) -> None:
        if not demoted:
            demoted.append(connection)
            cursor = connection.cursor()
            cursor.execute(statement)
            cursor.close()
            connection.commit()

    event.listen(failing_over.engine.sync_engine, "connect", demote)

    await call.make(failing_over, live, free)

    assert demoted


@pytest.mark.parametrize("target", MYSQL + MARIADB, indirect=True, ids=str)
async def test_a_state_larger_than_a_packet(store: SQLSessionStore, server: Server) -> None:
    """A state that is too large is rejected before it is sent, and the connection is kept."""
    live, free = SessionId.generate(), SessionId.generate()
    await store.create(live, record(kept=True))
    async with store.engine.connect() as connection:
        packet = (await connection.execute(text("SELECT @@max_allowed_packet"))).scalar_one()
    open_before = await server.open_connections()
    too_large = "x" * (packet // 2)

    for call, error in (
        (store.create(free, record(text=too_large)), CreateError),
        (store.update(live, record(text=too_large)), UpdateError),
    ):
        with pytest.raises(DatabaseError, match="max_allowed_packet") as caught:
            await call
        assert isinstance(caught.value, error)
        assert not caught.value.transient
        assert not caught.value.outcome_unknown

    assert await server.open_connections() == open_before
    loaded = await store.load(live)
    assert loaded is not None
    assert loaded.state == {"kept": True}
    assert await store.load(free) is None


LOCK_TIMEOUTS = {
    "postgresql": "SELECT current_setting('lock_timeout')",
    "mysql": "SELECT CONCAT(@@innodb_lock_wait_timeout, 's ', @@lock_wait_timeout, 's')",
}


@pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str)
async def test_every_wait_for_a_lock_is_bounded(store: SQLSessionStore) -> None:
    """A statement waits at most three seconds for rows and for the table."""
    statement = LOCK_TIMEOUTS[_family(store.engine)]

    async with store.engine.connect() as connection:
        timeouts = (await connection.execute(text(statement))).scalar_one()

    assert set(timeouts.split()) == {"3s"}


REFUSE = {
    "postgresql": "ALTER TABLE {0} ADD CONSTRAINT rejected CHECK (deadline < 0)",
    "mysql": "ALTER TABLE {0} ADD CONSTRAINT rejected CHECK (deadline < 0)",
    "sqlite": "CREATE TRIGGER rejected BEFORE INSERT ON {0}"
    " BEGIN SELECT RAISE(ABORT, 'rejected'); END",
}


async def test_an_error_shows_no_row(make_store: StoreMaker, host_engine: AsyncEngine) -> None:
    """If a database rejects a row and prints its values, the error does not contain them."""
    name = "sessionstore_refusing"
    session_id = SessionId.generate()
    async with host_engine.begin() as connection:
        await connection.run_sync(session_table(name).create)
        await connection.exec_driver_sql(REFUSE[_family(host_engine)].format(name))
    for engine in (None, host_engine):
        store = await make_store(engine, table=name)

        with fails(CreateError, session_id, secrets=(STATE, STATE[:8].encode().hex())) as caught:
            await store.create(session_id, record(text=STATE))

        assert not caught.value.transient
        assert not caught.value.outcome_unknown
    async with host_engine.begin() as connection:
        await connection.run_sync(session_table(name).drop)


async def test_a_missing_table_names_the_command(make_store: StoreMaker) -> None:
    """The error names the command to run, and shows no id."""
    session_id = SessionId.generate()
    store = await make_store(table="sessionstore_nowhere")

    with fails(UpdateTtlError, session_id) as caught:
        await store.update_ttl(session_id, HOUR)

    assert "upgrade" in str(caught.value)
    assert not caught.value.transient


def _family(engine: AsyncEngine) -> str:
    return "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name
