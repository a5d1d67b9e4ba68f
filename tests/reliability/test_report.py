"""Figures as text, as Markdown and as JSON."""

from __future__ import annotations

import orjson
import pytest

from tests.reliability.report import Result, as_json, markdown, table, updated
from tests.reliability.verdict import Verdict


def verdict(*complaints: str, lost: int = 0) -> Verdict:
    """Return a verdict with these complaints."""
    return Verdict(
        faults=("killed", "killed", "cut"),
        acknowledged=12_345,
        unknown=6,
        failed=789,
        lost=lost,
        recovery_s=1.26,
        slowest_s=2.5,
        complaints=complaints,
    )


PLAYED = Result("kill", "Killed", verdict())
MISSING = Result("haproxy", "Behind HAProxy", None, "not installed", is_required=False)


def test_figures_stand_in_columns() -> None:
    """Equal faults are counted; what was not played is named below."""
    assert table([PLAYED, MISSING]).splitlines() == [
        "scenario  faults           acknowledged  unknown  failed  lost  recovery  slowest call",
        "Killed    2 x killed, cut        12,345        6     789     0     1.3 s         2.5 s",
        "NOT RUN: Behind HAProxy: not installed",
    ]


def test_figures_of_a_page_are_replaced() -> None:
    """What stands around them stays."""
    page = "before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n"

    once = updated(page, [PLAYED])

    assert once == (
        f"before\n<!-- figures -->\n\n{markdown([PLAYED])}\n<!-- end of figures -->\nafter\n"
    )
    assert "| Killed | 12,345 | 6 | 789 | 0 | 1.3 s | 2.5 s |" in once
    assert "| Killed | 2 x killed, cut |" in once
    assert updated(once, [PLAYED]) == once


def test_a_page_without_marks_is_rejected() -> None:
    """Nothing is overwritten that was not meant to be."""
    with pytest.raises(ValueError, match="marks"):
        updated("a page", [PLAYED])


def test_everything_is_in_the_json() -> None:
    """Verdicts with all they say, and what was not played."""
    played, missing = orjson.loads(as_json([PLAYED, MISSING]))

    assert played["verdict"]["acknowledged"] == 12_345
    assert played["verdict"]["faults"] == ["killed", "killed", "cut"]
    assert (missing["verdict"], missing["reason"]) == (None, "not installed")


@pytest.mark.parametrize(
    ("result", "is_good"),
    [
        (PLAYED, True),
        (Result("kill", "Killed", verdict("a call took too long")), False),
        (MISSING, True),
        (Result("haproxy", "Behind HAProxy", None, "not installed", is_required=True), False),
    ],
)
def test_what_is_good(result: Result, is_good: bool) -> None:
    """Nothing was wrong, or it did not have to be played."""
    assert result.is_good is is_good
