"""Formats figures as text and as JSON."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.growth import Growth
    from benchmarks.measuring import Comparison, Figures, Ratio
    from benchmarks.options import Options

_HEADINGS = ("ops/s", "this/it", "low..high", "p50 ms", "p99 ms", "CPU us/op")


def machine() -> dict[str, str]:
    """Return a description of the machine."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "load average at the start": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def text_of(comparison: Comparison, options: Options, baseline: str) -> str:
    """Return the report on one database as text."""
    lines = [f"== {comparison.database} ==", ""]
    lines += [f"  {name}: {value}" for name, value in comparison.about.items()]
    lines += [f"  {name}: {value}" for name, value in sorted(comparison.versions.items())]
    lines += ["", "Ran:"]
    lines += [f"  {name}: {how}" for name, how in comparison.peers.items()]
    if comparison.not_run:
        lines += ["", "Not run:"]
        lines += [f"  {name}: {reason}" for name, reason in comparison.not_run.items()]
    for (operation, callers), figures in comparison.figures.items():
        lines += ["", f"{operation.value}, {_callers(callers)}"]
        lines += table_of(_rows(figures, baseline))
    lines += ["", *_summary(comparison, options, baseline), ""]
    return "\n".join(lines)


def _rows(figures: dict[str, Figures], baseline: str) -> Iterator[Sequence[str]]:
    yield ("", *_HEADINGS)
    ours = figures.get(baseline)
    for name, mine in figures.items():
        ratio = ours.ratio_to(mine) if ours else None
        yield (
            name,
            f"{mine.median('throughput'):,.0f}",
            f"{ratio.median:.2f}" if ratio else "-",
            f"{ratio.lowest:.2f}..{ratio.highest:.2f}" if ratio else "-",
            f"{mine.median('p50') * 1e3:.2f}",
            f"{mine.median('p99') * 1e3:.2f}",
            f"{mine.median('cpu_per_operation') * 1e6:.0f}",
        )


def _summary(comparison: Comparison, options: Options, baseline: str) -> Iterator[str]:
    callers = headline(options.callers)
    yield f"{baseline}: throughput as a multiple of each, {_callers(callers)}"
    operations = options.operations
    rows: list[Sequence[str]] = [("", *(operation.value for operation in operations))]
    for name in comparison.peers:
        if name == baseline:
            continue
        ratios = [
            _ratio(comparison.figures.get((operation, callers), {}), baseline, name)
            for operation in operations
        ]
        rows.append((name, *("-" if ratio is None else f"{ratio.median:.1f}" for ratio in ratios)))
    yield from table_of(rows)


def growth_text(growth: Growth) -> str:
    """Return the figures by table size."""
    lines = [f"{growth.database}: ops/s by number of sessions", ""]
    rows: list[Sequence[str]] = []
    for (operation, callers), by_size in growth.figures.items():
        if not rows:
            rows.append(("", *(f"{size:,}" for size in by_size)))
        rows.append(
            (
                f"{operation.value}, {_callers(callers)}",
                *(f"{figures.median('throughput'):,.0f}" for figures in by_size.values()),
            )
        )
    return "\n".join([*lines, *table_of(rows), ""])


def as_json(
    comparisons: Sequence[Comparison],
    growths: Sequence[Growth],
    options: Options,
    baseline: str,
    about: dict[str, str],
) -> dict[str, Any]:
    """Return all figures, with every slice, as JSON."""
    return {
        "machine": about,
        "options": {
            "seconds": options.seconds,
            "rounds": options.rounds,
            "sessions": options.sessions,
            "pool": options.pool,
            "loop": "uvloop" if options.uvloop else "asyncio",
        },
        "baseline": baseline,
        "comparisons": [_comparison(each, baseline) for each in comparisons],
        "growth": [_growth(each) for each in growths],
    }


def _comparison(comparison: Comparison, baseline: str) -> dict[str, Any]:
    return {
        "database": comparison.database,
        "about": comparison.about,
        "versions": comparison.versions,
        "peers": comparison.peers,
        "not_run": comparison.not_run,
        "figures": [
            {
                "operation": operation.value,
                "callers": callers,
                "peer": name,
                "baseline_to_peer": _as_dict(_ratio(figures, baseline, name)),
                "slices": [asdict(each) for each in mine.slices],
            }
            for (operation, callers), figures in comparison.figures.items()
            for name, mine in figures.items()
        ],
    }


def _growth(growth: Growth) -> dict[str, Any]:
    return {
        "database": growth.database,
        "figures": [
            {
                "operation": operation.value,
                "callers": callers,
                "sessions": size,
                "slices": [asdict(each) for each in figures.slices],
            }
            for (operation, callers), by_size in growth.figures.items()
            for size, figures in by_size.items()
        ],
    }


def headline(callers: Sequence[int]) -> int:
    """Return the number of callers for summaries: 64, or the largest below."""
    return max((number for number in callers if number <= 64), default=min(callers))  # noqa: PLR2004


def _ratio(figures: dict[str, Figures], baseline: str, name: str) -> Ratio | None:
    if baseline not in figures or name not in figures:
        return None
    return figures[baseline].ratio_to(figures[name])


def _as_dict(ratio: Ratio | None) -> dict[str, float] | None:
    return None if ratio is None else asdict(ratio)


def _callers(number: int) -> str:
    return f"{number} caller" if number == 1 else f"{number} callers"


def table_of(rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, with names left-aligned and figures right-aligned."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + row[0].ljust(widths[0])
        + "".join(cell.rjust(width + 2) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or sys.platform
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
