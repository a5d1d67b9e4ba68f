"""Whether a scenario did fill the disk, and what still has to work on a full one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.history import Operation, Outcome
from tests.reliability.scenarios.disk import unnoticed
from tests.reliability.stage import Fault, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage whose disk was full from 10 to 20."""
    stage = Stage(tmp_path, bound_s=10)
    stage.faults = [Fault("full", 10, 20, 21)]
    return stage


def rejected(moment: int, error: str = "(1114, 'The table is full')") -> Operation:
    """Return a write that failed."""
    return Operation(
        "one", "update", ("a",), moment, moment + 1, Outcome.FAILED, error=error, transient=True
    )


def load(moment: int, outcome: Outcome = Outcome.DONE) -> Operation:
    """Return a load."""
    return Operation("one", "load", ("a",), moment, moment + 1, outcome)


def test_a_full_disk_rejects_writes_and_answers_loads(stage: Stage) -> None:
    """Then there is nothing to complain about."""
    stage.operations = [rejected(11), load(12)]

    assert unnoticed(stage, "1114") == []


@pytest.mark.parametrize("operation", [rejected(9), rejected(20), rejected(11, "(1205, 'lock')")])
def test_a_disk_that_was_never_full_proves_nothing(stage: Stage, operation: Operation) -> None:
    """What failed before, after or for another reason doesn't count."""
    stage.operations = [operation, load(12)]

    assert unnoticed(stage, "1114") == [
        "no write failed for want of room while the disk was full (full)"
    ]


@pytest.mark.parametrize("operation", [load(10), load(12, Outcome.FAILED), load(21)])
def test_loads_have_to_work_all_the_same(stage: Stage, operation: Operation) -> None:
    """After the first write was rejected, and before there is space again."""
    stage.operations = [rejected(11), operation]

    assert unnoticed(stage, "1114") == ["no load worked while the disk was full (full)"]
