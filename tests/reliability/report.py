"""Figures of a run: for the terminal, for machines and for the documentation."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tests.reliability.verdict import Verdict

_HEADINGS = (
    *("scenario", "faults"),
    *("acknowledged", "unknown", "failed", "lost", "recovery", "slowest call"),
)
_TEXTS = 2
"""Columns that are not numbers."""
_FIGURES = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one scenario."""

    name: str
    title: str
    verdict: Verdict | None
    """None where it was not played."""
    reason: str | None = None
    """Why it was not."""
    is_required: bool = True

    @property
    def is_good(self) -> bool:
        """Whether it was played and nothing was wrong, or did not have to be."""
        return not self.is_required if self.verdict is None else self.verdict.is_good


def table(results: Sequence[Result]) -> str:
    """Return the figures as text, in columns; what was not played, below."""
    rows = [_HEADINGS, *(_cells(each.title, each.verdict) for each in results if each.verdict)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place < _TEXTS else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *map(_not_run, _missing(results))])


def markdown(results: Sequence[Result]) -> str:
    """Return the figures as a table of Markdown, and the faults as another one."""
    rows = [_cells(each.title, each.verdict) for each in results if each.verdict]
    figures = _markdown_table(
        [row[:1] + row[_TEXTS:] for row in (_HEADINGS, *rows)],
        ["---"] + ["--:"] * (len(_HEADINGS) - _TEXTS),
    )
    faults = _markdown_table([row[:_TEXTS] for row in (_HEADINGS, *rows)], ["---"] * _TEXTS)
    missing = ["\n" + _not_run(each) for each in _missing(results)]
    return "\n".join([figures, "\nThe faults:\n", faults, *missing, ""])


def updated(page: str, results: Sequence[Result]) -> str:
    """Return a page of Markdown with its figures replaced by these.

    Raises:
        ValueError: The page does not say where they are.
    """
    if _FIGURES.search(page) is None:
        raise ValueError("the page has no figures between its marks")
    return _FIGURES.sub(lambda _: f"\n{markdown(results)}\n", page)


def as_json(results: Sequence[Result]) -> bytes:
    """Return everything there is."""
    everything: list[dict[str, Any]] = [dataclasses.asdict(each) for each in results]
    return orjson.dumps(everything, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _markdown_table(rows: Sequence[Sequence[str]], alignments: Sequence[str]) -> str:
    heading, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, alignments, *body))


def _cells(title: str, verdict: Verdict) -> tuple[str, ...]:
    faults = ", ".join(
        what if count == 1 else f"{count} x {what}"
        for what, count in Counter(verdict.faults).items()
    )
    counts = (verdict.acknowledged, verdict.unknown, verdict.failed, verdict.lost)
    times = (verdict.recovery_s, verdict.slowest_s)
    return (
        title,
        faults,
        *(f"{count:,}" for count in counts),
        *(f"{time:.1f} s" for time in times),
    )


def _missing(results: Sequence[Result]) -> list[Result]:
    return [each for each in results if each.verdict is None]


def _not_run(result: Result) -> str:
    return f"NOT RUN: {result.title}: {result.reason}"
