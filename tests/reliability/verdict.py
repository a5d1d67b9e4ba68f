"""What a history says of the store, in figures and complaints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.reliability.checker import check
from tests.reliability.history import Operation, Outcome
from tests.reliability.stage import Stage

_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one scenario."""

    faults: tuple[str, ...]
    acknowledged: int
    unknown: int
    failed: int
    lost: int
    """Groups of ids whose history the contract doesn't explain."""
    recovery_s: float
    """The longest time from a database that is there again to a write of every process."""
    slowest_s: float
    """The longest call."""
    complaints: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether the store did what the contract says."""
        return not self.complaints


def judge(stage: Stage, *, expects_loss: bool = False) -> Verdict:
    """Return what the history of ``stage`` amounts to.

    Args:
        stage: After the scenario.
        expects_loss: Whether the database was told to lose what it acknowledged, so that a
            checker that finds nothing is what is wrong.
    """
    operations = stage.operations
    findings = check(operations)
    slowest = max((_duration(each) for each in operations), default=0)
    complaints = [*stage.complaints, *_misbehaviour(operations)]
    if not expects_loss:
        complaints += map(str, findings)
    elif not findings:
        complaints.append("nothing was lost, or the checker did not see it")
    if slowest > stage.bound_s * _S:
        complaints.append(f"a call took {slowest / _S:.1f} s, more than {stage.bound_s} s")
    return Verdict(
        faults=tuple(fault.what for fault in stage.faults),
        acknowledged=sum(each.outcome.is_answer for each in operations),
        unknown=sum(each.outcome is Outcome.UNKNOWN for each in operations),
        failed=sum(each.outcome is Outcome.FAILED for each in operations),
        lost=len(findings),
        recovery_s=max((each.recovered - each.healed for each in stage.faults), default=0) / _S,
        slowest_s=slowest / _S,
        complaints=tuple(complaints),
    )


def _duration(operation: Operation) -> int:
    return 0 if operation.returned is None else operation.returned - operation.invoked


def _misbehaviour(operations: Sequence[Operation]) -> list[str]:
    """Return the errors that a fault which passes doesn't justify, each kind once."""
    wrong = {
        f"{each.name}: {each.error}"
        for each in operations
        if each.outcome is Outcome.BROKEN or (each.error is not None and each.outcome.is_answer)
    }
    lasting = {
        f"{each.name}: {each.error} is not called transient"
        for each in operations
        if each.outcome in {Outcome.FAILED, Outcome.UNKNOWN} and each.transient is False
    }
    return sorted(wrong | lasting)
