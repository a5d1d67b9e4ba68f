"""Which rejected connections may be accepted later: by the code, in any language, of any pooler."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import traceback
from collections.abc import Iterator

import pytest
from psycopg import OperationalError
from sqlalchemy import URL, text

from sessionstore_sql import DatabaseError, SessionId, SQLSessionStore
from sessionstore_sql.sql.dialects.postgresql import login
from sessionstore_sql.sql.dialects.postgresql.creators import PsycopgCreator
from tests.cli.running import COMMAND, ROOT, clean_environment
from tests.databases import TARGETS
from tests.faults.rejections import Silence, rejecting
from tests.migrations.databases import execute

pytestmark = pytest.mark.anyio

PASSWORD = "5ec2e7" * 4
DRIVERS = ("asyncpg", "psycopg")
on_postgresql = pytest.mark.parametrize(
    "target", [each for each in TARGETS if each.database == "postgresql"], indirect=True, ids=str
)

TEMPORARY = [
    ("FATAL", "57P03", "the database system is in recovery mode"),
    ("FATAL", "53300", 'too many connections for role "app"'),
    ("FATAL", "53300", "tut mir leid, schon zu viele Verbindungen"),
    ("ВАЖНО", "57P03", "система баз данных запускается"),
    ("FATAL", "53400", "configuration limit exceeded"),
    ("FATAL", "57P01", "terminating connection due to administrator command"),
    # PgBouncer
    ("FATAL", "08P01", "server login has been failing, cached error: connect timeout"),
    ("FATAL", "08P01", "no more connections allowed (max_client_conn)"),
    ("FATAL", "08P01", "query_wait_timeout"),
    # Supavisor
    ("FATAL", "XX000", "MaxClientsInSessionMode: max clients reached - in Session mode .."),
    ("FATAL", "08006", "connection to the database closed"),
    # pgcat
    ("FATAL", "58000", "could not get connection from the pool - AllServersDown"),
    ("FATAL", "58000", "client server pool is paused"),
]
PERMANENT = [
    ("FATAL", "28P01", 'password authentication failed for user "app"'),
    ("FATAL", "28000", 'no pg_hba.conf entry for host "10.0.0.1", user "app", database "shop"'),
    ("FATAL", "28000", 'role "app" does not exist'),
    ("FATAL", "3D000", 'database "shop" does not exist'),
    ("FATAL", "42501", 'permission denied for database "shop"'),
    ("FATAL", "42704", 'unrecognized configuration parameter "sarch_path"'),
    ("ВАЖНО", "3D000", 'база данных "shop" не существует'),
    ("FATAL", "28P01", "Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen"),
    ("致命错误", "28000", '角色 "app" 不存在'),
    # PgBouncer, which has one code for everything
    ("FATAL", "08P01", "no such database: shop"),
    ("FATAL", "08P01", '"trust" authentication failed'),
    ("FATAL", "08P01", "SASL authentication failed"),
    ("FATAL", "08P01", "no such user"),
    ("FATAL", "08P01", "login rejected"),
    ("FATAL", "08P01", "SSL required"),
    ("FATAL", "08P01", "bouncer config error"),
    ("FATAL", "08P01", "transaction blocks not allowed in statement pooling mode"),
    # Supavisor, likewise
    ("FATAL", "XX000", "Tenant or user not found"),
    ("FATAL", "XX000", "(ENOTFOUND) tenant/user postgres.shop not found"),
    ("FATAL", "XX000", "SSL connection is required"),
    # pgcat
    ("FATAL", "58000", 'No pool configured for database: "shop", user: "app"'),
]


async def failure(url: URL | str) -> DatabaseError:
    """Return the error of a call of a store at ``url``."""
    async with SQLSessionStore(url) as store:
        with pytest.raises(DatabaseError) as caught:
            await store.load(SessionId.generate())
    return caught.value


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("rejection", TEMPORARY, ids=lambda each: f"{each[1]} {each[2][:20]}")
async def test_a_server_or_pooler_that_is_full_or_away_may_pass(
    driver: str, rejection: tuple[str, str, str]
) -> None:
    """Whatever it says, nothing was sent, and the same call may succeed later."""
    async with rejecting(*rejection) as port:
        error = await failure(f"postgresql+{driver}://app:x@127.0.0.1:{port}/shop")

    assert error.transient
    assert error.connection_failed
    assert not error.outcome_unknown


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("rejection", PERMANENT, ids=lambda each: f"{each[1]} {each[2][:20]}")
async def test_what_an_operator_has_to_change_is_permanent(
    driver: str, rejection: tuple[str, str, str]
) -> None:
    """Password, role, database and options stay wrong until someone corrects them."""
    async with rejecting(*rejection) as port:
        error = await failure(f"postgresql+{driver}://app:x@127.0.0.1:{port}/shop")

    assert not error.transient
    assert not error.outcome_unknown


@pytest.mark.parametrize(
    ("rejection", "exit_code"), [(TEMPORARY[8], 75), (PERMANENT[0], 1)], ids=str
)
@pytest.mark.parametrize("driver", DRIVERS)
async def test_the_exit_code_follows(
    driver: str, rejection: tuple[str, str, str], exit_code: int
) -> None:
    """A scheduler tries again later where that may help, and reports the rest."""
    async with rejecting(*rejection) as port:
        url = f"postgresql+{driver}://app:x@127.0.0.1:{port}/shop"
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("purge", "--url", url),
            cwd=ROOT,
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert await process.wait() == exit_code


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_missing_database_is_named_in_every_language(driver: str) -> None:
    """As what it is: the advice is not to try again."""
    async with rejecting("ВАЖНО", "3D000", 'база данных "shop" не существует') as port:
        error = await failure(f"postgresql+{driver}://app:x@127.0.0.1:{port}/shop")

    assert "create the database" in str(error)


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The look-ups of libpq, which find none."""
    found: list[str] = []

    def look_up() -> list[str]:
        found.append("looked up")
        return []

    monkeypatch.setattr(login, "_libraries", look_up)
    login._verbosity_function.cache_clear()
    yield found
    login._verbosity_function.cache_clear()


@pytest.mark.parametrize(
    ("severity", "message", "is_transient"),
    [
        ("ВАЖНО", 'база данных "shop" не существует', True),
        ("FATAL", 'database "shop" does not exist', False),
    ],
)
async def test_without_libpq_the_texts_decide(
    libraries: list[str], severity: str, message: str, is_transient: bool
) -> None:
    """A listed text needs no library, and another one counts as transient."""
    async with rejecting(severity, "3D000", message) as port:
        error = await failure(f"postgresql+psycopg://app:x@127.0.0.1:{port}/shop")

    assert error.transient is is_transient
    assert bool(libraries) is is_transient


@on_postgresql
async def test_a_login_that_succeeds_needs_no_library(url: URL, libraries: list[str]) -> None:
    """It is made by psycopg alone."""
    url = url.set(drivername="postgresql+psycopg")
    async with SQLSessionStore(url) as store, store.engine.connect() as connection:
        await connection.execute(text("SELECT 1"))

    assert not libraries


@pytest.mark.parametrize(("second", "is_transient"), [("28P01", False), ("57P03", True)])
async def test_the_servers_of_all_hosts_decide(second: str, is_transient: bool) -> None:
    """One that may accept the login later is enough."""
    async with (
        rejecting("ВАЖНО", second, "другой") as other,
        rejecting("ВАЖНО", "28000", "нет") as last,
    ):
        hosts = f"127.0.0.1:{other},127.0.0.1:{last}"
        error = await failure(f"postgresql+psycopg://app:x@{hosts}/shop")

    assert error.transient is is_transient


async def test_a_server_that_does_not_answer_again_is_not_waited_for() -> None:
    """The error stays as it is, and the second connection is closed."""
    silent = Silence()
    async with rejecting("ВАЖНО", "28P01", "нет", silent=silent) as port:
        # psycopg takes less than one second for no limit. The second connection does not.
        options = {"host": "127.0.0.1", "port": port, "password": PASSWORD}
        with pytest.raises(OperationalError) as caught:
            await PsycopgCreator("off", {}, "")(**options, connect_timeout=0.2)
        await silent.closed.wait()

    assert caught.value.sqlstate is None
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


async def test_a_cancelled_call_does_not_wait_for_the_code() -> None:
    """The cancellation goes on to the caller, and the second connection is closed."""
    silent = Silence()
    async with rejecting("ВАЖНО", "28P01", "нет", silent=silent) as port:
        create = PsycopgCreator("off", {}, "")
        options = {"host": "127.0.0.1", "port": port, "password": PASSWORD}
        task = asyncio.create_task(create(**options, connect_timeout=600))
        await silent.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        await silent.closed.wait()

    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@on_postgresql
@pytest.mark.parametrize("limited", ["ROLE", "DATABASE"])
async def test_a_limit_of_connections_may_pass(url: URL, limited: str) -> None:
    """A role, or a database, has as many connections as the server allows it."""
    name, password = f"sessionstore_test_{secrets.token_hex(4)}", secrets.token_hex(8)
    limits = {each: 0 if each == limited else -1 for each in ("ROLE", "DATABASE")}
    await execute(
        url,
        f"CREATE ROLE {name} LOGIN PASSWORD '{password}' CONNECTION LIMIT {limits['ROLE']}",
        f"CREATE DATABASE {name} CONNECTION LIMIT {limits['DATABASE']}",
    )
    try:
        error = await failure(url.set(username=name, password=password, database=name))
    finally:
        await execute(url, f"DROP DATABASE {name}", f"DROP ROLE {name}")

    assert error.transient
    assert error.connection_failed
