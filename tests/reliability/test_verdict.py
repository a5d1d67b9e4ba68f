"""What is a complaint, and what is only a figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.history import Operation, Outcome
from tests.reliability.stage import Fault, Stage
from tests.reliability.verdict import judge

S = 1_000_000_000
HOUR = 3_600 * S


def write(since: float, until: float, worker: str = "one", **fields: object) -> Operation:
    """Return a create that returned, with times in seconds, of an id of its own."""
    values = {"outcome": Outcome.DONE, "state": "1", "ttl": HOUR, **fields}
    ids = (f"{worker}-{since}",)
    return Operation(worker, "create", ids, int(since * S), int(until * S), **values)  # type: ignore[arg-type]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage on which nothing has been played."""
    return Stage(tmp_path, bound_s=10)


def test_outcomes_are_counted(stage: Stage) -> None:
    """Acknowledged is what the store vouched for, refusals included."""
    outcomes = [Outcome.DONE, Outcome.UNKNOWN_ID, Outcome.UNKNOWN, Outcome.FAILED, Outcome.FAILED]
    stage.operations = [
        Operation("one", "delete", (f"{place}",), 0, S, outcome, transient=True)
        for place, outcome in enumerate(outcomes[1:])
    ]
    stage.operations.append(write(0, 1))
    stage.faults = [Fault("killed", 0, 0, 0)]

    verdict = judge(stage)

    assert verdict.is_good
    assert (verdict.acknowledged, verdict.unknown, verdict.failed, verdict.lost) == (2, 1, 2, 0)
    assert verdict.faults == ("killed",)


def test_a_lost_write_is_a_complaint(stage: Stage) -> None:
    """It is counted, and shown."""
    stage.operations = [
        write(0, 1),
        Operation("two", "load", ("one-0",), 2 * S, 3 * S, Outcome.DONE),
    ]

    verdict = judge(stage)

    assert not verdict.is_good
    assert verdict.lost == 1
    assert "a live session was lost: one-0" in verdict.complaints[0]


def test_where_a_loss_is_expected_it_has_to_be_found(stage: Stage) -> None:
    """A control: the checker is what is tested."""
    stage.operations = [write(0, 1)]
    without = judge(stage, expects_loss=True)
    stage.operations.append(Operation("two", "load", ("one-0",), 2 * S, 3 * S, Outcome.DONE))

    with_loss = judge(stage, expects_loss=True)

    assert without.complaints == ("nothing was lost, or the checker did not see it",)
    assert (with_loss.lost, with_loss.complaints) == (1, ())


def test_a_long_call_is_a_complaint(stage: Stage) -> None:
    """Of more than the scenario allows."""
    stage.operations = [write(0, 10.5)]

    assert judge(stage).complaints == ("a call took 10.5 s, more than 10 s",)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNKNOWN])
def test_an_error_that_is_not_called_transient_is_a_complaint(
    stage: Stage, outcome: Outcome
) -> None:
    """Every fault that is tried passes; each kind of error is named once."""
    stage.operations = [
        write(number, number + 1, outcome=outcome, error="gone", transient=False)
        for number in range(3)
    ]

    assert judge(stage).complaints == ("create: gone is not called transient",)


def test_an_error_that_the_contract_does_not_know_is_a_complaint(stage: Stage) -> None:
    """Whatever it says."""
    stage.operations = [write(0, 1, outcome=Outcome.BROKEN, error="KeyError: 7")]

    assert judge(stage).complaints == ("create: KeyError: 7",)


def test_complaints_of_the_stage_are_kept(stage: Stage) -> None:
    """Such as those of a process that died."""
    stage.complaints = ["worker-1 ended with code 1"]

    assert judge(stage).complaints == ("worker-1 ended with code 1",)


def test_the_longest_recovery_counts(stage: Stage) -> None:
    """From a database that is there again to a write of every process."""
    stage.faults = [Fault("killed", 0, 1 * S, 4 * S), Fault("killed", 5 * S, 6 * S, 7 * S)]

    assert judge(stage).recovery_s == 3
