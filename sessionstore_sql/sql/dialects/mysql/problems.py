"""What keeps the store from working on a table of MySQL or MariaDB, although its columns fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from sessionstore_sql.sql.dialects.problems import (
    partitioned_by,
    referred_to,
    wrong_primary_key,
)
from sessionstore_sql.sql.direct import is_autocommit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection, Table

_ENGINE = text("""
    SELECT engine FROM information_schema.tables
    WHERE table_schema = coalesce(:schema, database()) AND table_name = :table
""")

_PRIMARY_KEY = text("""
    SELECT column_name FROM information_schema.key_column_usage
    WHERE table_schema = coalesce(:schema, database()) AND table_name = :table
      AND constraint_name = 'PRIMARY'
    ORDER BY ordinal_position
""")

_PARTITIONS = text("""
    SELECT partition_method, partition_expression FROM information_schema.partitions
    WHERE table_schema = coalesce(:schema, database()) AND table_name = :table
      AND partition_method IS NOT NULL
    LIMIT 1
""")

_REFERENCES = text("""
    SELECT DISTINCT reference.table_name
    FROM information_schema.referential_constraints AS reference
    WHERE reference.unique_constraint_schema = coalesce(:schema, database())
      AND reference.referenced_table_name = :table
      AND (reference.update_rule IN ('NO ACTION', 'RESTRICT')
           OR reference.delete_rule IN ('NO ACTION', 'RESTRICT'))
""")

_POLICIES = text("""
    SHOW SESSION VARIABLES
    WHERE variable_name IN
          ('autocommit', 'binlog_format', 'log_bin', 'read_only', 'transaction_read_only',
           'tx_read_only')
""")


_READ_ONLY = ("read_only", "transaction_read_only", "tx_read_only")
"""Of the server and of its transactions. The last is the name that MariaDB had before 11.1."""


def problems(connection: Connection, table: Table) -> Iterator[str]:
    """Yield the problems, each as a sentence for the operator of the database."""
    names = {"schema": table.schema, "table": table.name}
    engine = connection.execute(_ENGINE, names).scalar_one()
    if engine != "InnoDB":
        yield f"its storage engine is {engine} and has to be InnoDB, which has transactions"
    primary_key = [str(name) for name in connection.execute(_PRIMARY_KEY, names).scalars()]
    if primary_key != ["id"]:
        yield wrong_primary_key(primary_key)
        if (found := connection.execute(_PARTITIONS, names).first()) is not None:
            yield partitioned_by(f"{found[0]} ({found[1]})", "KEY (id)")
    yield from map(referred_to, connection.execute(_REFERENCES, names).scalars())
    policies = {str(name): str(value) for name, value in connection.execute(_POLICIES)}
    yield from problems_of_policies(policies)
    if policies.get("autocommit") == "OFF" and is_autocommit(connection):
        yield (
            "autocommit is off on the server, which tells drivers that it is on, so nothing would "
            "be committed: create the engine with "
            "connect_args={'init_command': 'SET autocommit = 1'}"
        )


def problems_of_policies(policies: Mapping[Any, str]) -> Iterator[str]:
    """Yield the problems with settings of the server, which are given by name."""
    if policies.get("log_bin") == "ON" and policies.get("binlog_format") == "STATEMENT":
        yield (
            "binlog_format is STATEMENT, with which InnoDB rejects every write at READ COMMITTED "
            "(error 1665): set it to ROW or MIXED"
        )
    if "ON" in {policies.get(name) for name in _READ_ONLY}:
        yield "the server is read-only: connect to the one that takes writes"
