"""TLS as URLs ask for it, on servers that have certificates and demand it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import URL, event, text

from sessionstore_sql import DatabaseError, SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.statistics import collect_statistics
from tests.connecting.servers import OTHER_HOST, PASSWORD, TRUSTED_HOST, SecureServer
from tests.databases import Target
from tests.migrations.databases import ROOT, alembic, shown

pytestmark = pytest.mark.anyio

_TLS_OF_MYSQL = "SELECT VARIABLE_VALUE <> '' FROM {} WHERE VARIABLE_NAME = 'Ssl_cipher'"
_IS_ENCRYPTED = {
    "postgresql": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mysql": _TLS_OF_MYSQL.format("performance_schema.session_status"),
    "mariadb": _TLS_OF_MYSQL.format("information_schema.session_status"),
}


async def is_encrypted(url: URL | str, database: str, **engine_options: Any) -> bool:
    """Connect as a store does, and ask the server whether the connection has TLS."""
    async with (
        SQLSessionStore(url, engine_options=engine_options or None) as store,
        store.engine.connect() as connection,
    ):
        return bool(await connection.scalar(text(_IS_ENCRYPTED[database])))


async def failure(url: URL) -> DatabaseError:
    """Return what a store raises."""
    async with SQLSessionStore(url) as store:
        with pytest.raises(DatabaseError) as caught:
            await store.load(SessionId.generate())
    return caught.value


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?sslmode=require",
        "?sslmode=prefer",
        "?sslmode=allow",
        "?ssl-mode=REQUIRED",
        "?ssl=true",
        '?ssl={"rejectUnauthorized":false}',
        "?sslmode=require&channel_binding=require",
    ],
)
async def test_a_url_reaches_a_server_that_demands_tls(
    secure: SecureServer, driver: Target, query: str
) -> None:
    """The certificate is not looked at."""
    if "channel_binding" in query and driver.database != "postgresql":
        pytest.skip("only PostgreSQL has it")
    url = secure.to(OTHER_HOST)
    if "channel_binding" in query:
        url = url.set(username="scram", password=PASSWORD)

    assert await is_encrypted(f"{shown(url)}{query}", driver.database)


@pytest.mark.parametrize(
    "options",
    [
        {"sslmode": "verify-full", "sslrootcert": "ROOT"},
        {"ssl-mode": "VERIFY_IDENTITY", "ssl-ca": "ROOT"},
        {"ssl_ca": "ROOT"},
    ],
)
async def test_a_certificate_is_verified_with_its_host(
    secure: SecureServer, driver: Target, options: dict[str, str]
) -> None:
    """The right host is reached; another host and another authority's certificate are not."""
    ours = {name: v.replace("ROOT", str(secure.authority.root)) for name, v in options.items()}
    others = {name: v.replace("ROOT", str(secure.stranger.root)) for name, v in options.items()}

    assert await is_encrypted(secure.to(**ours), driver.database)
    for url in (secure.to(OTHER_HOST, **ours), secure.to(**others)):
        error = await failure(url)
        assert not error.transient
        assert "certificate" in str(error)


@pytest.mark.parametrize(
    "options",
    [
        {"sslmode": "verify-ca", "sslrootcert": "ROOT"},
        {"sslmode": "require", "sslrootcert": "ROOT"},
    ],
)
async def test_a_certificate_is_verified_without_its_host(
    secure: SecureServer, driver: Target, options: dict[str, str]
) -> None:
    """Any host with a certificate of the authority will do; another authority's will not."""
    ours = {name: v.replace("ROOT", str(secure.authority.root)) for name, v in options.items()}
    others = {name: v.replace("ROOT", str(secure.stranger.root)) for name, v in options.items()}

    assert await is_encrypted(secure.to(**ours), driver.database)
    assert await is_encrypted(secure.to(OTHER_HOST, **ours), driver.database)
    assert not (await failure(secure.to(**others))).transient


_VERIFYING_BY_THE_SYSTEM = """
import asyncio, sys
from sqlalchemy import text
from sessionstore_sql import SQLSessionStore

async def main():
    async with SQLSessionStore(sys.argv[1]) as store, store.engine.connect() as connection:
        await connection.scalar(text("SELECT 1"))
        print("connected")

asyncio.run(main())
"""


@pytest.mark.parametrize("query", ["?sslmode=verify-full", "?sslrootcert=system"])
def test_without_a_root_certificate_the_systems_are_taken(
    secure: SecureServer, query: str, tmp_path: Path
) -> None:
    """They verify the host, too; and what is not among them is not trusted."""

    def run(host: str, root: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _VERIFYING_BY_THE_SYSTEM, f"{shown(secure.to(host))}{query}"],
            cwd=ROOT,
            # OpenSSL's own variable; and a home without libpq's files.
            env={**os.environ, "SSL_CERT_FILE": str(root), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    trusting, elsewhere = (
        run(TRUSTED_HOST, secure.authority.root),
        run(OTHER_HOST, secure.authority.root),
    )
    distrusting = run(TRUSTED_HOST, secure.stranger.root)

    assert trusting.stdout == "connected\n", trusting.stderr
    assert "certificate" in elsewhere.stderr
    assert "certificate" in distrusting.stderr


async def test_without_tls_the_server_is_not_reached(secure: SecureServer) -> None:
    """The option is obeyed, and trying again would not help."""
    error = await failure(secure.to(sslmode="disable"))

    assert not error.transient


async def test_a_client_shows_its_certificate(secure: SecureServer, driver: Target) -> None:
    """Where the user has to have one; with an encrypted key, too."""
    locked = secure.authority.signed("certified", password="of the key")
    url = secure.to().set(username="certified", password="secret")

    for pair, password in ((secure.client, {}), (locked, {"sslpassword": "of the key"})):
        files = {"sslcert": str(pair.certificate), "sslkey": str(pair.key)}
        assert await is_encrypted(url.update_query_dict({**files, **password}), driver.database)
    stranger = secure.stranger.signed("certified")
    files = {"ssl_cert": str(stranger.certificate), "ssl_key": str(stranger.key)}
    for options in ({"sslmode": "require"}, files):
        async with SQLSessionStore(url.update_query_dict(options)) as store:
            with pytest.raises(DatabaseError):
                await store.load(SessionId.generate())


@pytest.mark.parametrize("option", ["sslrootcert", "sslcert", "ssl_ca", "ssl-cert"])
@pytest.mark.parametrize("content", [None, "no certificate", ""])
async def test_a_file_that_is_no_certificate_is_told_at_once(
    driver: Target, option: str, content: str | None, tmp_path: Path
) -> None:
    """It does not matter what makes the engine. The path is not shown."""
    file = tmp_path / "secret.crt"
    if content is not None:
        file.write_text(content)
    url = f"{driver.drivername}://host/db?sslmode=verify-full&{option}={file}"

    with pytest.raises(ValueError, match="database URL") as caught:
        SQLSessionStore(url)
    with pytest.raises(ValueError, match="database URL"):
        await migrate.current(url)
    assert "secret" not in str(caught.value)


async def test_a_certificate_that_is_replaced_is_read_again(
    secure: SecureServer, driver: Target, tmp_path: Path
) -> None:
    """A process lives longer than the certificate that it shows."""
    root = tmp_path / "root.crt"
    root.write_bytes(secure.stranger.root.read_bytes())
    async with SQLSessionStore(
        secure.to(sslmode="verify-full", sslrootcert=str(root)),
    ) as store:
        with pytest.raises(DatabaseError, match="certificate"):
            await store.load(SessionId.generate())

        root.write_bytes(secure.authority.root.read_bytes())

        async with store.engine.connect() as connection:
            assert await connection.scalar(text(_IS_ENCRYPTED[driver.database]))


async def test_everything_takes_the_same_url(secure: SecureServer, tmp_path: Path) -> None:
    """The migrations, the store, the statistics and Alembic's command."""
    url = secure.to(sslmode="verify-full", sslrootcert=str(secure.authority.root))
    record = SessionRecord({"n": 1}, timedelta(hours=1))
    session_id = SessionId.generate()

    await migrate.upgrade(url)
    await migrate.check(url)
    async with SQLSessionStore(url) as store:
        await store.create(session_id, record)
        assert await store.load(session_id) is not None
    assert (await collect_statistics(url)).live.sessions >= 1
    done = alembic("upgrade", "head", environment={"SESSIONSTORE_URL": shown(url)})
    assert done.returncode == 0, done.stderr
    await migrate.downgrade(url, "base")


async def test_the_callers_own_context_is_used(secure: SecureServer, driver: Target) -> None:
    """As the driver's argument, which goes before the URL."""
    from sessionstore_sql.sql.tls import TLS

    if driver.drivername.endswith("psycopg"):
        pytest.skip("libpq takes none")
    trusting = {"ssl": TLS("verify-full", root=str(secure.authority.root)).context()}
    distrusting = {"ssl": TLS("verify-full", root=str(secure.stranger.root)).context()}
    url = secure.to(sslmode="require")

    assert await is_encrypted(url, driver.database, connect_args=trusting)
    with pytest.raises(Exception, match="certificate"):
        await is_encrypted(url, driver.database, connect_args=distrusting)


async def test_a_password_that_expires_is_made_for_each_connection(
    secure: SecureServer, driver: Target
) -> None:
    """SQLAlchemy's event is asked before each of them, and gets what the URL says."""
    url = secure.to(sslmode="verify-full", sslrootcert=str(secure.authority.root))
    url = url.set(username="scram")
    tokens = [PASSWORD] * 2
    store = SQLSessionStore(url.set(password="expired"))
    asked: list[str] = []

    @event.listens_for(store.engine.sync_engine, "do_connect")
    def fresh_token(_dialect: Any, _record: Any, _arguments: Any, connect_args: Any) -> None:
        asked.append(connect_args["password"])
        connect_args["password"] = tokens.pop()

    for _ in range(2):
        async with store.engine.connect() as connection:
            assert await connection.scalar(text(_IS_ENCRYPTED[driver.database]))
            await connection.invalidate()
    await store.aclose()

    assert asked == ["expired", "expired"]
    assert tokens == []


async def test_a_password_can_have_any_character(secure: SecureServer, driver: Target) -> None:
    """Percent-encoded, before the host or as an option."""
    url = secure.to()._replace(username="scram", password=None)
    encoded = quote(PASSWORD, safe="")

    before_host = shown(url).replace("scram@", f"scram:{encoded}@")
    assert await is_encrypted(before_host, driver.database)
    assert await is_encrypted(f"{shown(url)}?password={encoded}", driver.database)


async def test_a_certificate_and_its_key_can_be_in_one_file(
    secure: SecureServer, driver: Target, tmp_path: Path
) -> None:
    """As for other clients that have one option for both."""
    file = tmp_path / "client.pem"
    file.touch(0o600)
    file.write_bytes(secure.client.certificate.read_bytes() + secure.client.key.read_bytes())
    url = secure.to(sslcert=str(file)).set(username="certified", password="secret")

    assert await is_encrypted(url, driver.database)


@pytest.mark.parametrize("option", ["host", "unix_socket"])
async def test_a_unix_socket_is_named_by_either_option(
    secure: SecureServer, driver: Target, option: str
) -> None:
    """The same on every database; PostgreSQL's is the folder, or the socket in it."""
    base = secure.url.set(host=None) if driver.database == "postgresql" else secure.url
    sockets = [str(secure.socket)]
    if driver.database == "postgresql":
        sockets.append(f"{secure.socket}/.s.PGSQL.{secure.url.port}")
    else:
        base = base._replace(host=None, port=None)
    for socket in sockets:
        url = f"{shown(base._replace(host=None))}?{option}={socket}"
        async with SQLSessionStore(url) as store, store.engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1


async def test_an_ipv6_address_is_a_host(secure: SecureServer, driver: Target) -> None:
    """With a port and a database behind it."""
    assert "[::1]:" in shown(secure.to("::1"))
    assert await is_encrypted(shown(secure.to("::1")), driver.database)
