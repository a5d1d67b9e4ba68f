"""Reading a database URL: which driver, which hosts, which options, and what is not shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, make_url

from sessionstore_sql import SQLSessionStore
from sessionstore_sql.sql.urls import normalise_url, require_files

POSTGRESQL = ["postgresql+asyncpg", "postgresql+psycopg"]
MYSQL = ["mysql+aiomysql", "mysql+asyncmy", "mariadb+aiomysql", "mariadb+asyncmy"]
SERVERS = [*POSTGRESQL, *MYSQL]


def query_of(url: str) -> dict[str, Any]:
    """Return the options of a URL after it is normalised."""
    return dict(normalise_url(url).query)


@pytest.mark.parametrize(
    ("given", "drivername"),
    [
        ("postgres://host/db", "postgresql+asyncpg"),
        ("postgresql://host/db", "postgresql+asyncpg"),
        ("mysql://host/db", "mysql+aiomysql"),
        ("mariadb://host/db", "mariadb+aiomysql"),
        ("sqlite:///file.db", "sqlite+aiosqlite"),
        ("postgres+psycopg://host/db", "postgresql+psycopg"),
        ("sqlite+aiosqlite:///file.db", "sqlite+aiosqlite"),
        *((f"{drivername}://host/db", drivername) for drivername in SERVERS),
    ],
)
def test_a_url_gets_an_async_driver(given: str, drivername: str) -> None:
    """A URL keeps the driver that it names, or gets the default one, and nothing else changes."""
    for url in (given, make_url(given)):
        normalised = normalise_url(url)

        assert normalised.drivername == drivername
        assert normalised == make_url(given).set(drivername=drivername)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("postgresql+psycopg2://host/db", "psycopg2"),
        ("postgresql+pg8000://host/db", "postgresql\\+asyncpg, postgresql\\+psycopg"),
        ("mysql+pymysql://host/db", "mysql\\+aiomysql, mysql\\+asyncmy"),
        ("mariadb+mysqldb://host/db", "mariadb\\+aiomysql"),
        ("sqlite+pysqlite:///file.db", "sqlite\\+aiosqlite"),
        ("postgresql+nonsense://host/db", "nonsense"),
        ("oracle://host/db", "'oracle' is not supported"),
        ("mssql+aioodbc://host/db", "postgresql, mysql, mariadb, sqlite"),
    ],
)
def test_other_drivers_and_databases_are_rejected(given: str, message: str) -> None:
    """The error names the drivers and databases that are supported."""
    with pytest.raises(ValueError, match=message):
        normalise_url(given.replace("://host", "://user:secret@host"))
    with pytest.raises(ValueError, match=message) as caught:
        SQLSessionStore(given.replace("://host", "://user:secret@host"))

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("given", [None, 1, b"sqlite://", Path("file.db")])
def test_anything_else_is_no_database(given: Any) -> None:
    """The error is a type error that names the type."""
    with pytest.raises(TypeError, match=type(given).__name__):
        SQLSessionStore(given)


def test_several_hosts_of_a_url_object_share_its_port() -> None:
    """A URL object has one port, and its hosts as text."""
    url = URL.create("postgresql", "u", "p", host="one,two", port=7, database="db")

    assert normalise_url(url).query["host"] == ("one:7", "two:7")


@pytest.mark.parametrize("given", ["u:p,q@host/db", "u:p,q/r@host:1/db", "u,v:p@host/db"])
def test_a_comma_before_the_host_is_no_second_host(given: str) -> None:
    """Names and passwords may contain commas."""
    assert normalise_url(f"postgresql+asyncpg://{given}") == make_url(
        f"postgresql+asyncpg://{given}"
    )


@pytest.mark.parametrize("drivername", SERVERS)
@pytest.mark.parametrize(
    ("authority", "host", "port"),
    [
        ("[::1]", "::1", None),
        ("[::1]:5433", "::1", 5433),
        ("[2001:db8::7]:5433", "2001:db8::7", 5433),
        ("[fe80::1%25eth0]:5433", "fe80::1%eth0", 5433),
        ("host:", "host", None),
        (":5433", None, 5433),
        ("", None, None),
    ],
)
def test_one_host_keeps_its_port_and_the_database(
    drivername: str, authority: str, host: str | None, port: int | None
) -> None:
    """An IPv6 address is written in brackets, and the database name comes after it."""
    url = normalise_url(f"{drivername}://u:p@{authority}/db")

    assert (url.host, url.port, url.database) == (host, port, "db")
    assert (url.username, url.password, dict(url.query)) == ("u", "p", {})
    assert normalise_url(url) == url


@pytest.mark.parametrize("drivername", POSTGRESQL)
@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("u:p@[::1],[::2]/db", ("[::1]:5432", "[::2]:5432")),
        ("u:p@[::1]:1,two:2/db", ("[::1]:1", "two:2")),
        ("u:p@one,[::2]:2,three/db", ("one:5432", "[::2]:2", "three:5432")),
        ("u:p@/db?host=[::1]:1&host=two:2", ("[::1]:1", "two:2")),
        ("u:p@/db?host=::1,::2&port=1,2", ("[::1]:1", "[::2]:2")),
        ("u:p@/db?host=a,b&port=1", ("a:1", "b:1")),
        ("u:p@/db?host=a,b", ("a:5432", "b:5432")),
        ("u:p@a,b/db?port=7", ("a:7", "b:7")),
        ("u:p@one/db?host=a,b", ("a:5432", "b:5432")),
        ("u:p@/db?host=/run/a,/run/b", ("[/run/a]:5432", "[/run/b]:5432")),
    ],
)
def test_several_hosts_are_found_however_they_are_written(
    drivername: str, given: str, hosts: tuple[str, ...]
) -> None:
    """The database name is kept, and a server that takes writes is asked for."""
    url = normalise_url(f"{drivername}://{given}")

    assert (url.database, url.username, url.password, url.host) == ("db", "u", "p", None)
    assert dict(url.query) == {"host": hosts, "target_session_attrs": "read-write"}
    assert normalise_url(url) == url
    assert normalise_url(url.render_as_string(hide_password=False)) == url


@pytest.mark.parametrize("name", ["mysql", "mariadb", "mysql+asyncmy"])
@pytest.mark.parametrize("hosts", ["one,two", "one:1,two:2", "[::1],[::2]"])
def test_several_hosts_are_rejected_where_drivers_take_one(name: str, hosts: str) -> None:
    """The error says what to do about it."""
    with pytest.raises(ValueError, match="HAProxy") as caught:
        SQLSessionStore(f"{name}://u:secret@{hosts}/db")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("drivername", POSTGRESQL)
@pytest.mark.parametrize(
    ("given", "socket", "port"),
    [
        ("u@/db?host=/var/run/postgresql", "/var/run/postgresql", None),
        ("u@/db?unix_socket=/var/run/postgresql", "/var/run/postgresql", None),
        ("u@:5433/db?host=/var/run/postgresql", "/var/run/postgresql", 5433),
        ("u@/db?host=/var/run/postgresql&port=5433", "/var/run/postgresql", 5433),
        ("u@/db?host=/run/pg/.s.PGSQL.5433", "/run/pg", 5433),
        ("u@%2Fvar%2Frun%2Fpostgresql/db", "/var/run/postgresql", None),
        ("u@/db?host=/cloudsql/project:region:name", "/cloudsql/project:region:name", None),
    ],
)
def test_a_unix_socket_is_a_host_of_postgresql(
    drivername: str, given: str, socket: str, port: int | None
) -> None:
    """The folder is named, or the socket in it, which has the port in its name."""
    url = normalise_url(f"{drivername}://{given}")

    assert (dict(url.query), url.port, url.database) == ({"host": socket}, port, "db")
    assert normalise_url(url) == url


@pytest.mark.parametrize("drivername", MYSQL)
@pytest.mark.parametrize("option", ["unix_socket", "host", "socket"])
def test_a_unix_socket_is_an_option_of_mysql(drivername: str, option: str) -> None:
    """The same options name it as on PostgreSQL."""
    url = normalise_url(f"{drivername}://u@/db?{option}=/cloudsql/project:region:name")

    assert dict(url.query) == {"unix_socket": "/cloudsql/project:region:name"}
    assert (url.host, url.database) == (None, "db")


@pytest.mark.parametrize("drivername", SERVERS)
def test_user_password_and_database_can_be_options(drivername: str) -> None:
    """A URL of libpq may have them there; they are moved, so that they are hidden as usual."""
    for names in (("user", "password", "dbname"), ("username", "passwd", "database")):
        user, password, database = names
        url = normalise_url(f"{drivername}://host/?{user}=app&{password}=p%40ss&{database}=shop")

        assert (url.username, url.password, url.database) == ("app", "p@ss", "shop")
        assert dict(url.query) == {}


@pytest.mark.parametrize("drivername", SERVERS)
@pytest.mark.parametrize(
    ("query", "mode"),
    [
        *((f"sslmode={mode}", mode) for mode in ("disable", "allow", "prefer", "require")),
        ("sslmode=verify-full", "verify-full"),
        ("SSLMODE=Verify_Full", "verify-full"),
        ("ssl-mode=DISABLED", "disable"),
        ("ssl-mode=PREFERRED", "prefer"),
        ("ssl-mode=REQUIRED", "require"),
        ("ssl_mode=VERIFY_IDENTITY", "verify-full"),
        ("sslmode=no-verify", "require"),
        ("ssl=true", "require"),
        ("ssl=1", "require"),
        ("ssl=false", "disable"),
        ("ssl=require", "require"),
        ("ssl=verify-full", "verify-full"),
        ('ssl={"rejectUnauthorized":true}', "verify-full"),
        ('ssl={"rejectUnauthorized":false}', "require"),
        ("sslaccept=strict", "verify-full"),
        ("sslaccept=accept_invalid_certs", "require"),
        ("sslverify=true", "verify-full"),
        ("tls=true", "verify-full"),
        ("tls=skip-verify", "require"),
        ("tls=preferred", "prefer"),
        ("tls=false", "disable"),
        ("ssl_verify_cert=true", "verify-full"),
        ("ssl_verify_cert=false", "require"),
        ("ssl_verify_identity=true", "verify-full"),
        ("ssl_check_hostname=false", "require"),
        ("sslmode=require&ssl_verify_cert=true", "verify-full"),
        ("sslmode=require&ssl_check_hostname=true", "verify-full"),
        ("sslmode=require&ssl=require", "require"),
        ("sslmode=require&ssl_verify_cert=false", "require"),
    ],
)
def test_tls_has_one_mode_whatever_client_spells_it(drivername: str, query: str, mode: str) -> None:
    """The words of libpq, MySQL, node-postgres, Prisma, Rails and Go mean the same here."""
    assert query_of(f"{drivername}://host/db?{query}") == {"sslmode": mode}


@pytest.mark.parametrize("drivername", SERVERS)
@pytest.mark.parametrize("root", ["sslrootcert", "ssl_ca", "ssl-ca", "sslca"])
@pytest.mark.parametrize(
    ("query", "mode"),
    [
        ("", "verify-full"),
        ("&sslmode=verify-ca", "verify-ca"),
        ("&sslmode=verify-full", "verify-full"),
        ("&sslmode=require", "verify-ca"),
        ("&ssl=true", "verify-ca"),
        ("&ssl_check_hostname=false", "verify-ca"),
        ("&ssl_verify_cert=true&ssl_verify_identity=true", "verify-full"),
        ("&sslmode=require&ssl_check_hostname=true", "verify-full"),
    ],
)
def test_a_root_certificate_is_verified_by(
    drivername: str, root: str, query: str, mode: str
) -> None:
    """Named without a mode, it verifies the host as well."""
    options = query_of(f"{drivername}://host/db?{root}=/ca.pem{query}")

    assert options == {"sslmode": mode, "sslrootcert": "/ca.pem"}


@pytest.mark.parametrize("drivername", SERVERS)
@pytest.mark.parametrize(
    ("query", "mode"),
    [
        ("ssl_verify_cert=false", "require"),
        ("sslmode=require&ssl_verify_cert=no", "require"),
        *((f"sslmode={mode}", mode) for mode in ("disable", "allow", "prefer")),
    ],
)
def test_a_root_certificate_is_dropped_if_nothing_is_verified(
    drivername: str, query: str, mode: str
) -> None:
    """Otherwise libpq would verify by it, and other drivers would not."""
    assert query_of(f"{drivername}://host/db?ssl_ca=/ca.pem&{query}") == {"sslmode": mode}


@pytest.mark.parametrize("drivername", SERVERS)
@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable&ssl=true",
        "sslmode=require&ssl-mode=DISABLED",
        "sslmode=verify-full&ssl_check_hostname=false",
        "sslmode=verify-full&ssl_verify_cert=false",
        "sslmode=prefer&ssl_verify_cert=true",
        "sslmode=disable&ssl_check_hostname=true",
        "ssl_verify_cert=false&ssl_check_hostname=true",
        "sslmode=require&sslmode=disable",
        "sslrootcert=/a&ssl_ca=/b",
        "sslmode=require&sslrootcert=system",
        "sslmode=verify-ca&sslrootcert=system",
        "sslmode=encrypted",
        "ssl=perhaps",
        'ssl={"ca":"secret"}',
        "ssl={}",
        "ssl=[[[[",
        "sslaccept=secret",
        "tls=secret",
        "sslverify=secret",
        "ssl_min_protocol_version=SSLv3",
    ],
)
def test_tls_that_contradicts_itself_is_rejected(drivername: str, query: str) -> None:
    """The meaning that is less safe is never chosen in silence."""
    with pytest.raises(ValueError, match="database URL") as caught:
        SQLSessionStore(f"{drivername}://u:hunter2@host/db?{query}")

    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("drivername", MYSQL)
def test_a_root_certificate_of_the_system_would_vouch_for_any_host(drivername: str) -> None:
    """PostgreSQL's drivers may have one in their own folder."""
    with pytest.raises(ValueError, match="verify-ca"):
        normalise_url(f"{drivername}://host/db?sslmode=verify-ca")


@pytest.mark.parametrize("drivername", SERVERS)
@pytest.mark.parametrize("query", ["sslkey=/key.pem", "sslmode=require&sslpassword=secret"])
def test_a_key_needs_its_certificate(drivername: str, query: str) -> None:
    """Without it, the key would be ignored."""
    with pytest.raises(ValueError, match="without its certificate") as caught:
        normalise_url(f"{drivername}://host/db?{query}")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("drivername", POSTGRESQL)
@pytest.mark.parametrize("query", ["channel_binding=require", "sslnegotiation=direct"])
def test_what_works_with_tls_only_demands_it(drivername: str, query: str) -> None:
    """A server without TLS must not get the password."""
    assert query_of(f"{drivername}://h/d?{query}")["sslmode"] == "require"
    with pytest.raises(ValueError, match="needs sslmode"):
        normalise_url(f"{drivername}://h/d?{query}&sslmode=prefer")


@pytest.mark.parametrize("drivername", MYSQL)
@pytest.mark.parametrize("query", ["ssl_cipher=HIGH", "ssl_min_protocol_version=TLSv1.3"])
def test_options_of_tls_without_a_mode_mean_that_it_is_used(drivername: str, query: str) -> None:
    """On this machine, too, where there is none without an option."""
    assert query_of(f"{drivername}://localhost/d?{query}")["sslmode"] == "prefer"


@pytest.mark.parametrize("drivername", SERVERS)
@pytest.mark.parametrize(
    "query",
    [
        "sslrootcert=/no/secret.pem&sslmode=verify-full",
        "sslcrl=/no/secret.pem",
        "sslmode=require&ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
    ],
)
@pytest.mark.parametrize("make", [SQLSessionStore, lambda url: require_files(normalise_url(url))])
def test_tls_that_cannot_be_used_is_rejected(
    drivername: str, query: str, make: Callable[..., Any]
) -> None:
    """The path is not shown."""
    with pytest.raises(ValueError, match="database URL") as caught:
        make(f"{drivername}://u:hunter2@host/db?{query}")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        "mysql://h/d?ssl_capath=/no/secret",
        "mysql+asyncmy://h/d?sslmode=require&ssl_cipher=secret",
        "postgresql+psycopg://h/d?sslcrldir=/no/secret",
    ],
)
def test_a_folder_or_a_cipher_that_does_not_exist_is_rejected(given: str) -> None:
    """OpenSSL would look into the folder when a certificate is verified, and find none."""
    with pytest.raises(ValueError, match="database URL") as caught:
        SQLSessionStore(given)

    assert "secret" not in str(caught.value)


_PROVIDERS = {
    "Heroku": "postgres://u:p@ec2-1.compute-1.amazonaws.com:5432/d",
    "Heroku, with TLS": "postgres://u:p@ec2-1.compute-1.amazonaws.com:5432/d?sslmode=require",
    "Neon": "postgresql://u:p@ep-a-1-pooler.eu-central-1.aws.neon.tech/d?sslmode=require"
    "&channel_binding=require",
    "Neon, older": "postgres://u:p@ep-a-1.neon.tech/d?sslmode=require&options=endpoint%3Dep-a-1",
    "Supabase": "postgresql://postgres.ref:p@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
    "Supabase, for Prisma": "postgresql://postgres.ref:p@aws-0-eu.pooler.supabase.com:6543/postgres"
    "?pgbouncer=true&connection_limit=1",
    "Vercel": "postgres://u:p@h:6543/postgres?sslmode=require&supa=base-pooler.x&pgbouncer=true",
    "Vercel, for Prisma": "postgres://u:p@h/d?sslmode=require&pgbouncer=true&connect_timeout=15",
    "node-postgres": "postgresql://u:p@h/d?uselibpqcompat=true&sslmode=require",
    "RDS": "postgresql://u:p@d.c.eu-central-1.rds.amazonaws.com:5432/d?sslmode=require",
    "Azure": "postgresql://u%40server:p@server.postgres.database.azure.com:5432/d?sslmode=require",
    "DigitalOcean": "postgresql://doadmin:p@db.ondigitalocean.com:25060/defaultdb?sslmode=require",
    "Aiven": "postgres://avnadmin:p@pg.aivencloud.com:12691/defaultdb?sslmode=require",
    "Fly": "postgres://u:p@app.flycast:5432/d?sslmode=disable",
    "Cloud SQL": "postgresql://u:p@/d?host=/cloudsql/project:region:instance",
    "DigitalOcean, MySQL": "mysql://doadmin:p@db.ondigitalocean.com:25060/d?ssl-mode=REQUIRED",
    "Aiven, MySQL": "mysql://avnadmin:p@m.aivencloud.com:12691/defaultdb?ssl-mode=REQUIRED",
    "PlanetScale, Node": 'mysql://u:pscale_pw_x@aws.connect.psdb.cloud/d?ssl={"rejectUnauthorized":true}',
    "PlanetScale, Prisma": "mysql://u:pscale_pw_x@aws.connect.psdb.cloud/d?sslaccept=strict",
    "ClearDB": "mysql://u:p@us-cdbr-east-1.cleardb.com/heroku_d?reconnect=true",
    "Azure, MySQL": "mysql://u:p@server.mysql.database.azure.com:3306/d",
    "Cloud SQL, MySQL": "mysql://u:p@/d?unix_socket=/cloudsql/project:region:instance",
}


@pytest.mark.parametrize("provider", _PROVIDERS)
def test_a_providers_url_works_as_it_is(provider: str) -> None:
    """Through every driver of the database, in the store and after another reading."""
    scheme, rest = _PROVIDERS[provider].split("://")
    backend = "postgresql" if scheme.startswith("postgres") else scheme
    for drivername in [scheme, *(each for each in SERVERS if each.startswith(f"{backend}+"))]:
        url = normalise_url(f"{drivername}://{rest}")

        assert url.password is not None
        assert normalise_url(url) == url
        assert SQLSessionStore(f"{drivername}://{rest}").engine.url.database == url.database


@pytest.mark.parametrize("drivername", [*SERVERS, "sqlite+aiosqlite"])
@pytest.mark.parametrize("make", [normalise_url, SQLSessionStore])
def test_an_unknown_option_is_named_with_its_likely_meaning(
    drivername: str, make: Callable[..., Any]
) -> None:
    """Its value is not shown, which may be a secret."""
    host = "/file.db" if drivername.startswith("sqlite") else "u:secret@host/db"

    with pytest.raises(ValueError, match="unknown option 'nonsense'") as caught:
        make(f"{drivername}://{host}?nonsense=secret")

    assert "secret" not in str(caught.value)
    assert drivername in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("postgresql://h/d?aplication_name=x", "did you mean application_name"),
        ("mysql://h/d?ssl_modes=x", "did you mean ssl_mode"),
        ("sqlite:///d?timeuot=1", "did you mean timeout"),
        ("postgresql://h/d?keepalives_idle=1", "postgresql\\+psycopg has it"),
        ("postgresql+psycopg://h/d?command_timeout=1", "postgresql\\+asyncpg has it"),
        ("mysql://h/d?read_timeout=1", "mysql\\+asyncmy has it"),
        ("mysql+asyncmy://h/d?auth_plugin=x", "mysql\\+aiomysql has it"),
    ],
)
def test_an_option_that_another_driver_has_is_told(given: str, message: str) -> None:
    """So is one that is misspelled."""
    with pytest.raises(ValueError, match=message):
        normalise_url(given)


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://u:p@ss?secret=x@host/db",
        "mysql://u:p@ss?sslmode=secret@host/db",
        "postgresql://u:p@ss?a-secret=@host/db",
    ],
)
def test_a_part_of_a_password_is_not_shown_as_an_option(given: str) -> None:
    """An ``@`` that was not encoded makes an option of the rest of the password."""
    with pytest.raises(ValueError, match="database URL") as caught:
        normalise_url(given)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("drivername", SERVERS)
def test_an_option_that_is_given_twice_has_one_value(drivername: str) -> None:
    """The same value twice is one; two values are an error."""
    base = f"{drivername}://host/db?application_name=shop&application_name="

    assert query_of(f"{base}shop") == {"application_name": "shop"}
    for second in (f"{base}other", f"{drivername}://host/db?user=a&user=b"):
        with pytest.raises(ValueError, match="twice"):
            normalise_url(second)


@pytest.mark.parametrize("drivername", SERVERS)
@pytest.mark.parametrize(
    "option",
    [
        *("sslmode", "ssl", "sslrootcert", "ssl_ca", "sslcert", "ssl_key", "sslpassword"),
        *("application_name", "connect_timeout"),
        *("user", "password", "dbname", "host", "port", "unix_socket"),
    ],
)
def test_an_option_without_a_value_is_rejected(drivername: str, option: str) -> None:
    """Such as ``?sslmode=$MODE`` without that variable: the connection would not be encrypted."""
    url = f"{drivername}://u@host:1/d"
    given: list[Any] = [f"{url}?{option}=", f"{url}?{option}", f"{url}?application_name=x&{option}"]
    given += [make_url(url).update_query_dict({option: ""}), f"{url}?{option}=&{option}="]
    for each in given:
        with pytest.raises(ValueError, match="database URL"):
            normalise_url(each)
    assert query_of(f"{url}?") == query_of(f"{url}?&") == {}


@pytest.mark.parametrize("part", ["u%00", "u:p%00", "d%00", "application_name=%00", "user=%00"])
@pytest.mark.parametrize("drivername", SERVERS)
def test_a_null_character_is_rejected(drivername: str, part: str) -> None:
    """For libpq, it is the end of everything: it would connect to another server."""
    before, option = ("u", f"?{part}") if "=" in part else (part, "")
    database = part if part.startswith("d") else "d"
    with pytest.raises(ValueError, match="no driver can send"):
        normalise_url(f"{drivername}://{before}@h/{database}{option}")


@pytest.mark.parametrize(
    "given",
    ["postgresql://u:secret@h/d\n", " mysql://u:secret@h/d", "postgresql://u:sec\tret@h/d"],
)
def test_what_a_file_or_a_shell_leaves_in_a_url_is_rejected(given: str) -> None:
    """It would become a part of the database's name."""
    with pytest.raises(ValueError, match="begins or ends with a blank") as caught:
        normalise_url(given)

    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "is_valid"),
    [
        ("-c%20search_path%3Dapp", True),
        ("-csearch_path=app%20--lock-timeout=7", True),
        ("-c%20search_path=a\\%20b", True),
        ("endpoint=ep-x", True),
        ("-c%20a.b=c%20project=x", True),
        ("-E", True),
        ("secret", False),
        ("-c", False),
        ("-c%20lock_timeout", False),
        ("-c%20search_path=a,%20secret", False),
    ],
)
def test_settings_of_the_server_have_a_value(options: str, is_valid: bool) -> None:
    """The server's own error for others would come with the first connection."""
    for drivername in POSTGRESQL:
        url = f"{drivername}://h/d?options={options}"
        if is_valid:
            assert normalise_url(normalise_url(url)) == normalise_url(url)
            continue
        with pytest.raises(ValueError, match="options must be settings") as caught:
            normalise_url(url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("drivername", MYSQL)
@pytest.mark.parametrize("name", ["utf8", "UTF-8", "utf8mb3", "utf8mb4"])
def test_the_character_set_is_unicode(drivername: str, name: str) -> None:
    """All of it, whatever the name says."""
    assert query_of(f"{drivername}://h/d?charset={name}") == {"charset": "utf8mb4"}
    for drivername_ in POSTGRESQL:
        assert query_of(f"{drivername_}://h/d?client_encoding={name}") == {}


@pytest.mark.parametrize("drivername", MYSQL)
@pytest.mark.parametrize("given", ["TRADITIONAL,ANSI", "'TRADITIONAL, ANSI'"])
def test_modes_of_sql_are_quoted(drivername: str, given: str) -> None:
    """The drivers put them into a statement."""
    url = normalise_url(f"{drivername}://h/d?sql_mode={given}")

    assert dict(url.query) == {"sql_mode": "'TRADITIONAL,ANSI'"}
    assert normalise_url(url) == url


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("postgresql+psycopg://h/d?require_auth=secret", "require_auth must be one or more of"),
        ("postgresql+psycopg://h/d?require_auth=md5,!gss", "require_auth must be one or more of"),
        ("postgresql+psycopg://h/d?hostaddr=secret", "hostaddr must be an IP address"),
        ("postgresql+psycopg://h/d?hostaddr=::1,::2", "hostaddr .* is not one address for each"),
        ("postgresql+psycopg://h,i/d?hostaddr=::1", "hostaddr .* is not one address for each"),
        ("postgresql+psycopg://h/d?sslcertmode=secret", "sslcertmode must be one of"),
        ("postgresql+psycopg://h/d?keepalives=2", "keepalives must be one of"),
        ("postgresql+psycopg://h/d?keepalives_idle=2147483648", "must be a whole number, at most"),
        ("mysql://h/d?client_flag=2050", "client_flag must be a whole number without 2048"),
        ("mysql://h/d?charset=latin1", "charset must be utf8"),
        ("mysql://h/d?sql_mode=a'secret", "sql_mode must be names of modes"),
        ("mysql://h/d?sql_mode=a;secret", "sql_mode must be names of modes"),
        ("mysql://h/d?auth_plugin=secret", "auth_plugin must be one of"),
        ("postgresql://h/d?schema=secret", "the schema of the table is an option of its own"),
        ("postgresql://h/d?host=/a&unix_socket=/b", "names a host and a socket"),
        ("mysql://h/d?unix_socket=secret", "a path that begins with a slash"),
        ("postgresql://h/d?target_session_attrs=secret", "target_session_attrs must be one of"),
        ("postgresql://h/d?server_timeouts=secret", "server_timeouts must be one of"),
        ("postgresql://h/d?connect_timeout=0", "connect_timeout must be a number of seconds"),
        ("postgresql://h/d?connect_timeout=-1", "connect_timeout must be"),
        ("postgresql://h/d?connect_timeout=1e3", "connect_timeout must be"),
        ("mysql://h/d?connect_timeout=99999999", "connect_timeout must be"),
        ("postgresql://h/d?statement_cache_size=x", "statement_cache_size must be a whole number"),
        ("mysql://h/d?local_infile=secret", "local_infile must be true or false"),
        (f"mysql://h/d?application_name={'x' * 64}", "application_name must be at most 63 bytes"),
        (f"postgresql://h/d?application_name={'ü' * 32}", "application_name must be at most"),
        ("sqlite:///d?isolation_level=secret", "isolation_level must be one of"),
        ("sqlite:///file:d?uri=true&mode=secret", "mode must be one of"),
    ],
)
def test_a_value_that_cannot_be_is_not_shown(given: str, message: str) -> None:
    """The error says what the value must be."""
    with pytest.raises(ValueError, match=message) as caught:
        normalise_url(given)

    assert "secret" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_sqlites_own_options_need_a_uri() -> None:
    """SQLite would take the file for an ordinary one, and open it for writing."""
    with pytest.raises(ValueError, match="uri=true"):
        normalise_url("sqlite:///sessions.db?mode=ro")

    url = normalise_url("sqlite:///file:sessions.db?mode=ro&uri=1&timeout=0")
    assert dict(url.query) == {"mode": "ro", "uri": "true", "timeout": "0"}


@pytest.mark.parametrize(
    "given",
    [
        "",
        "host/db",
        "postgresql://u:secret@one:1,two:port/db",
        "postgresql://u:secret@[::1/db",
        "postgresql://u:secret@[::1]x/db",
        "postgresql://u:secret@one:1:2:x]/db",
        "postgresql:/secret",
        "postgresql://u:secret@host:port/db",
        "u:secret@host",
        # A password that is not encoded, whose rest would be looked up as a host.
        "postgresql://u:pass@secret@host/db",
        "postgresql://u:p@secret/word@host/db",
        "mysql://u:pass@secret!@host/db",
        "postgresql://u:p@secret host/db",
        "postgresql://u:p@[secret]/db",
        # Bytes that are not UTF-8, percent-encoded or from an environment variable.
        "postgresql://u:secret%E9@host/db",
    ],
)
def test_what_cannot_be_parsed_is_not_shown(given: str) -> None:
    """SQLAlchemy's message has the password in it, so it is neither repeated nor chained."""
    with pytest.raises(ValueError, match="cannot be parsed") as caught:
        SQLSessionStore(given)

    assert "secret" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    "given",
    [
        "sqlite://secret/x.db",
        "sqlite://localhost/x.db?key=secret",
        "sqlite:///x.db?timeout=secret",
        "mysql://u:secret@host/db?connect_timeout=secret",
        "mysql+asyncmy://host/db?connect_timeout=secret",
        "postgresql://host/db?prepared_statement_cache_size=secret",
        "postgresql://u:secret@host/db?host=a:1&host=b,secret",
        "postgresql+psycopg://u:secret@host/db?host=a&host=b&port=1,secret",
        "postgresql://u:secret@host/db?host=a,b,c&port=1,2",
        "postgresql://u:secret@host/db?host=[secret",
        "postgresql://u:secret@one,,two/db",
        "postgresql://u:secret@host:65536/db",
        "mysql://u:secret@host:0/db",
        "postgresql://u:secret@host/db?port=0",
        "postgresql://u:secret\udce9@host/db",
        "postgresql://u:secret@host:99999999999999999999/db",
        "postgresql://u:secret@host/db?port=" + "9" * 5_000,
    ],
)
@pytest.mark.parametrize("make", [normalise_url, SQLSessionStore])
def test_what_the_driver_cannot_take_is_not_shown(given: str, make: Callable[..., Any]) -> None:
    """It is a value error at once, and the driver's own, which shows it, is not chained."""
    with pytest.raises(ValueError, match="the database URL") as caught:
        make(given)

    assert type(caught.value) is ValueError
    assert "secret" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
