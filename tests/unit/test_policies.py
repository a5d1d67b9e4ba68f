"""Settings of a MySQL or MariaDB server that ``check`` reports."""

from __future__ import annotations

import pytest

from sessionstore_sql.sql.dialects.mysql.problems import problems_of_policies

WORKING = {"log_bin": "ON", "binlog_format": "ROW", "read_only": "OFF", "tx_read_only": "OFF"}


@pytest.mark.parametrize(
    "policies",
    [
        WORKING,
        WORKING | {"binlog_format": "MIXED"},
        # Without a binary log, its format does not matter.
        WORKING | {"binlog_format": "STATEMENT", "log_bin": "OFF"},
        {},
    ],
)
def test_a_server_that_accepts_every_write_has_no_problem(policies: dict[str, str]) -> None:
    """MariaDB and MySQL have different names for some of them, and lack others."""
    assert list(problems_of_policies(policies)) == []


def test_a_binary_log_of_statements_rejects_every_write() -> None:
    """InnoDB does so at READ COMMITTED, at which the store writes."""
    (problem,) = problems_of_policies(WORKING | {"binlog_format": "STATEMENT"})

    assert "set it to ROW or MIXED" in problem


@pytest.mark.parametrize("name", ["read_only", "transaction_read_only", "tx_read_only"])
def test_a_server_that_only_reads_is_a_problem(name: str) -> None:
    """Such as a replica, or a member of a group that has left it."""
    (problem,) = problems_of_policies(WORKING | {name: "ON"})

    assert "read-only" in problem
