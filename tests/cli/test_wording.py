"""The format of numbers, sizes and durations."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessionstore_sql.cli.wording import number, sessions, share, size, span


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (999, "999"), (1_234_567.4, "1,234,567")])
def test_numbers(value: float, text: str) -> None:
    """Thousands are separated by commas."""
    assert number(value) == text


def test_sessions() -> None:
    """The noun is singular for one session."""
    assert sessions(1, "expired") == "1 expired session"
    assert sessions(2_000) == "2,000 sessions"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "0.0 %"),
        (0, 5, "0.0 %"),
        (1, 10_000, "< 0.1 %"),
        (1, 8, "12.5 %"),
        (9_999, 10_000, "> 99.9 %"),
        (5, 5, "100.0 %"),
    ],
)
def test_shares(part: int, whole: int, text: str) -> None:
    """A small share is not shown as zero, and a large one not as 100 %."""
    assert share(part, whole) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 KiB"),
        (1_024, "1 KiB"),
        (1_536, "1.5 KiB"),
        (1_047_552, "1.0 MiB"),
        (16 * 2**20, "16 MiB"),
        (5 * 2**40, "5 TiB"),
        (5_000 * 2**40, "5000 TiB"),
    ],
)
def test_sizes(value: float, text: str) -> None:
    """At most three digits, if there is a unit for it."""
    assert size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.26, "0.3 s"),
        (9.96, "10.0 s"),
        (12.4, "12 s"),
        (60, "1 min"),
        (119.7, "2 min"),
        (3_661, "1 h 1 min"),
        (3_601, "1 h"),
        (90_000, "1 d 1 h"),
        (86_400 * 1_106 + 17 * 3_600, "1106 d 17 h"),
        (-120, "2 min"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    """At most two units, which follow each other."""
    assert span(timedelta(seconds=seconds)) == text
