"""What the scenarios with a standby need of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.history import Operation, Outcome
from tests.reliability.scenarios.standby import at_both, unnoticed
from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.stage import Stage


def test_a_url_of_both_names_both(tmp_path: Path) -> None:
    """In the order given, each with its port."""
    one, other = PostgreSQL(tmp_path / "one"), PostgreSQL(tmp_path / "other")

    url = at_both(one, other)

    assert url.query["host"] == (f"127.0.0.1:{one.port}", f"127.0.0.1:{other.port}")
    assert (url.username, url.database) == (one.url.username, one.url.database)


@pytest.mark.parametrize(
    ("error", "complaints"),
    [
        ("ReadOnlySqlTransaction: cannot execute UPDATE in a read-only transaction", 0),
        ("ConnectionRefusedError", 1),
        (None, 1),
    ],
)
def test_a_switch_that_no_connection_saw_proves_nothing(
    tmp_path: Path, error: str | None, complaints: int
) -> None:
    """Some call has to have met the demoted server."""
    stage = Stage(tmp_path, bound_s=10)
    stage.operations = [Operation("one", "update", ("a",), 1, 2, Outcome.FAILED, error=error)]

    assert len(unnoticed(stage)) == complaints
