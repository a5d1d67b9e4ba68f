"""The table: names, columns and the DDL of every database."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from sqlalchemy import MetaData, create_mock_engine, make_url
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import quoted_name

from sessionstore_sql import SessionId
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import DEFAULT_TABLE, require_name, session_table, version_table_name

COLUMNS = {
    "postgresql": {
        "id": "BYTEA NOT NULL",
        "deadline": "BIGINT NOT NULL",
        "state": "BYTEA NOT NULL",
        "expiry_bucket": "BIGINT GENERATED ALWAYS AS (deadline >> 28) STORED",
        "subject": "BYTEA",
        "handle": "BYTEA",
        "created": "BIGINT",
        "authenticated": "BIGINT",
        "seen": "BIGINT",
        "final_deadline": "BIGINT",
        "idle_ttl": "BIGINT",
        "version": "BIGINT",
        "about": "BYTEA",
    },
    "mysql": {
        "id": "BINARY(32) NOT NULL",
        "deadline": "BIGINT NOT NULL",
        "state": "LONGBLOB NOT NULL",
        "expiry_bucket": "BIGINT GENERATED ALWAYS AS (deadline >> 28) STORED",
        "subject": "BINARY(32)",
        "handle": "BINARY(16)",
        "created": "BIGINT",
        "authenticated": "BIGINT",
        "seen": "BIGINT",
        "final_deadline": "BIGINT",
        "idle_ttl": "BIGINT",
        "version": "BIGINT",
        "about": "LONGBLOB",
    },
    "sqlite": {
        "id": "BLOB NOT NULL",
        "deadline": "INTEGER NOT NULL",
        "state": "BLOB NOT NULL",
        "expiry_bucket": "INTEGER GENERATED ALWAYS AS (deadline >> 28) STORED",
        "subject": "BLOB",
        "handle": "BLOB",
        "created": "INTEGER",
        "authenticated": "INTEGER",
        "seen": "INTEGER",
        "final_deadline": "INTEGER",
        "idle_ttl": "INTEGER",
        "version": "INTEGER",
        "about": "BLOB",
    },
}
COLUMNS["mariadb"] = COLUMNS["mysql"]

ODD_NAMES = ["a b", 'quo"te', "back`tick", "per%cent", "Upper", "semi;colon", "ключ", "select", "'"]

DRIVERS = {
    "postgresql": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
    "sqlite": "aiosqlite",
}
QUOTES = {"postgresql": '"', "mysql": "`", "mariadb": "`", "sqlite": '"'}


def dialect(name: str) -> Any:
    """Return SQLAlchemy's dialect of this name, with the driver that comes first."""
    return make_url(f"{name}+{DRIVERS[name]}://").get_dialect()()


def ddl(name: str, **options: Any) -> list[str]:
    """Return every statement that creating the table executes, on one line each."""
    statements: list[str] = []

    def note(statement: Any, *_: Any, **__: Any) -> None:
        compiled = str(statement.compile(dialect=engine.dialect))
        statements.append(" ".join(compiled.split()))

    engine = create_mock_engine(f"{name}+{DRIVERS[name]}://", note)
    session_table(**options).create(engine, checkfirst=False)
    return statements


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_what_the_schema_promises(name: str) -> None:
    """Every database gets types that hold the values without a limit of 64 KiB or of 2038."""
    table = session_table()

    create = " ".join(str(CreateTable(table).compile(dialect=dialect(name))).split())

    body = create[create.index("(") + 1 :]
    definitions = dict(part.strip().split(" ", 1) for part in body.split(", "))
    for column, definition in COLUMNS[name].items():
        assert definitions[column] == definition
    assert "PRIMARY KEY (id)" in create


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_the_engine_is_innodb(name: str) -> None:
    """Under both names of the family: another engine would have no transactions."""
    create = str(CreateTable(session_table()).compile(dialect=dialect(name)))

    assert create.rstrip().endswith("ENGINE=InnoDB")


@pytest.mark.parametrize("name", COLUMNS)
def test_the_bucket_and_the_subject_are_indexed_and_nothing_else(name: str) -> None:
    """Two indexes, named after the table; that of the subject holds signed-in sessions only."""
    table = session_table("own")

    compiled = {str(CreateIndex(each).compile(dialect=dialect(name))) for each in table.indexes}

    partial = "" if name in {"mysql", "mariadb"} else " WHERE subject IS NOT NULL"
    assert compiled == {
        "CREATE INDEX own_expiry_bucket ON own (expiry_bucket)",
        f"CREATE INDEX own_subject ON own (subject){partial}",
    }


def test_postgresql_leaves_room_for_updates() -> None:
    """The fillfactor is an option of the table, which Alembic's autogenerate writes, too."""
    create, *_ = ddl("postgresql")

    assert re.search(r"WITH \(fillfactor = 80\)$", create.strip())


@pytest.mark.parametrize("name", ["mysql", "mariadb", "sqlite"])
def test_other_databases_have_no_fillfactor(name: str) -> None:
    """MySQL and MariaDB would reject the option."""
    assert not [statement for statement in ddl(name) if "fillfactor" in statement]


@pytest.mark.parametrize("database", COLUMNS)
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_quoted(database: str, name: str) -> None:
    """A name is data: it cannot end the identifier it stands in."""
    create, *_ = ddl(database, table=name)

    quote = QUOTES[database]
    identifier = quote + name.replace(quote, quote * 2) + quote
    # A percent sign is doubled where it would begin one of the driver's parameters.
    assert create.replace("%%", "%").startswith(f"CREATE TABLE {identifier} (")


@pytest.mark.parametrize("value", ["a", "x" * 48, "é" * 24, "\uffff" * 16, *ODD_NAMES])
def test_nearly_any_text_of_48_bytes_is_a_name(value: str) -> None:
    """It is returned as it is."""
    assert require_name(value, "table") == value
    assert session_table(value).name == value


@pytest.mark.parametrize(
    "value",
    [
        *("", "x" * 49, "é" * 25, "\ud800", "a\udfffb"),
        *("a\0b", "a\nb", "a\tb", "a\x1bb", "a\x85b", "a\u2028b", "a\u2029b"),
        *("😀" * 12, "a\U00010000", "a "),
        *("%(key)s", "%%(key)s", "a%(", "__[POSTCOMPILE_key]"),
        *("excluded", "Excluded"),
    ],
)
def test_other_texts_are_no_names(value: str) -> None:
    """For the table and the schema alike: what some database, or SQLAlchemy, would alter."""
    with pytest.raises(ValueError, match="table name"):
        session_table(value)
    with pytest.raises(ValueError, match="schema name"):
        session_table(schema=value)


@pytest.mark.parametrize("value", [1, b"sessions", ["sessions"]])
def test_a_name_is_a_str(value: Any) -> None:
    """Anything else is a type error naming the type."""
    with pytest.raises(TypeError, match=f"table name is a str, not {type(value).__name__}"):
        session_table(value)
    with pytest.raises(TypeError, match=f"schema name is a str, not {type(value).__name__}"):
        session_table(schema=value)


def test_the_default_claims_nobodys_table() -> None:
    """Its name is ours, and it has no schema."""
    table = session_table()

    assert table.fullname == DEFAULT_TABLE == "sessionstore_sessions"
    assert version_table_name(DEFAULT_TABLE) == "sessionstore_sessions_version"


def test_the_longest_names_fit_postgresql() -> None:
    """Index and version table stay within 63 bytes, where PostgreSQL would cut them off."""
    name = "é" * 24

    names = {str(index.name) for index in session_table(name).indexes}

    assert names == {f"{name}_expiry_bucket", f"{name}_subject"}
    assert max(len(each.encode()) for each in names) <= 63
    assert len(version_table_name(name).encode()) <= 63


def test_the_table_joins_a_hosts_metadata() -> None:
    """A host whose own Alembic owns the table finds it in its metadata."""
    metadata = MetaData()

    table = session_table("own", schema="other", metadata=metadata)

    assert metadata.tables["other.own"] is table


def test_the_key_is_sha256_of_the_id() -> None:
    """32 bytes of the UTF-8 text, whatever the text."""
    for text in ("a", "é😀\0", "x" * 1_024):
        assert key_of(SessionId(text)) == hashlib.sha256(text.encode()).digest()
    assert len(key_of(SessionId.generate())) == 32


def test_a_percent_sign_is_doubled_once() -> None:
    """Psycopg halves it, so that of a name escaped twice another name would be left."""
    statements: list[str] = []

    def note(statement: Any, *_: Any, **__: Any) -> None:
        statements.append(str(statement.compile(dialect=engine.dialect)))

    engine = create_mock_engine("postgresql+psycopg://", note)
    session_table("per%cent").create(engine, checkfirst=False)

    assert len(statements) == 3
    assert ['"per%%cent"' in statement for statement in statements] == [True] * 3


@pytest.mark.parametrize("database", COLUMNS)
def test_no_name_goes_without_its_quotes(database: str) -> None:
    """Not even one of SQLAlchemy's own kind, which says that it is to be pasted."""
    pasted = quoted_name("a; DROP TABLE b", quote=False)

    create, *_ = ddl(database, table=pasted, schema=pasted)

    quote = QUOTES[database]
    identifier = f"{quote}a; DROP TABLE b{quote}"
    assert create.startswith(f"CREATE TABLE {identifier}.{identifier} (")
    assert type(require_name(pasted, "table")) is str
