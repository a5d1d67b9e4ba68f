"""Formats numbers, sizes and durations for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_THREE_DIGITS = 1_000
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def number(value: float) -> str:
    """Return ``1,234,567``."""
    return f"{value:,.0f}"


def sessions(count: int, kind: str = "") -> str:
    """Return ``1 expired session``, ``2,000 sessions``."""
    noun = "session" if count == 1 else "sessions"
    return " ".join(filter(None, (number(count), kind, noun)))


def share(part: float, whole: float) -> str:
    """Return ``12.5 %``. The share of an empty whole is zero."""
    percent = 100 * part / whole if whole else 0.0
    # A part is never shown as nothing, and never as the whole.
    if 0 < percent < 0.1:  # noqa: PLR2004  # the smallest value with one decimal
        return "< 0.1 %"
    if 99.9 < percent < 100:  # noqa: PLR2004
        return "> 99.9 %"
    return f"{percent:.1f} %"


def size(value: float) -> str:
    """Return ``512 B``, ``1.5 KiB``."""
    power = 0
    while value >= _THREE_DIGITS and power < len(_BYTES) - 1:  # 1 MiB rather than 1,023 KiB
        value /= 1_024
        power += 1
    digits = 0 if power == 0 or value == int(value) else 1
    return f"{value:.{digits}f} {_BYTES[power]}"


def span(time: timedelta) -> str:
    """Return a duration in its two largest units: ``3 d 4 h``, ``12 s``, ``0.3 s``."""
    seconds = abs(time.total_seconds())
    if seconds < 10:  # noqa: PLR2004  # tenths matter in short durations only
        return f"{seconds:.1f} s"
    rest = round(seconds)
    parts: list[str] = []
    for name, length in _UNITS:
        count, rest = divmod(rest, length)
        parts.append(f"{count} {name}" if count else "")
    first = next(place for place, part in enumerate(parts) if part)
    return " ".join(filter(None, parts[first : first + 2]))
