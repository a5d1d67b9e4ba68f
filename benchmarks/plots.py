"""Bar charts in SVG, without a plotting library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from benchmarks.report import headline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.growth import Growth
    from benchmarks.measuring import Comparison, Figures
    from benchmarks.options import Options

_WIDTH, _LABELS, _VALUES = 520, 230, 64  # so narrow that the text is legible on a phone
_BAR, _GAP, _TOP = 18, 8, 56
DISPLAY_NAMES = {
    "postgresql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "sqlite": "SQLite",
}
_OURS, _OTHERS = "#1f6feb", "#8b949e"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart."""

    label: str
    value: float
    ours: bool


def write_plots(
    folder: Path,
    comparisons: Sequence[Comparison],
    growths: Sequence[Growth],
    options: Options,
    baseline: str,
) -> None:
    """Write two charts for each database and operation, and one of growth for each database."""
    folder.mkdir(parents=True, exist_ok=True)
    callers = headline(options.callers)
    for comparison in comparisons:
        for operation in options.operations:
            figures = comparison.figures.get((operation, callers), {})
            name = DISPLAY_NAMES[comparison.database]
            title = f"{name}: {operation.value}, {callers} callers"
            note = f"median of {options.rounds}; {_short(comparison)}"
            path = folder / f"{comparison.database}-{operation.value}"
            fastest = sorted(_bars(figures, "throughput", 1, baseline), key=lambda bar: -bar.value)
            chart = bar_chart(title, f"operations per second, {note}", fastest)
            path.with_suffix(".svg").write_text(chart, encoding="utf-8")
            promptest = sorted(_bars(figures, "p99", 1e3, baseline), key=lambda bar: bar.value)
            chart = bar_chart(title, f"p99 in milliseconds, {note}", promptest)
            path.with_name(f"{path.name}-p99.svg").write_text(chart, encoding="utf-8")
    for growth in growths:
        bars = [
            Bar(f"{operation.value}, {size:,} sessions", figures.median("throughput"), ours=True)
            for (operation, number), by_size in growth.figures.items()
            if number == callers
            for size, figures in by_size.items()
        ]
        title = f"{DISPLAY_NAMES[growth.database]}: growth, {callers} callers"
        chart = bar_chart(title, "operations per second", bars)
        (folder / f"{growth.database}-growth.svg").write_text(chart, encoding="utf-8")


def bar_chart(title: str, note: str, bars: Sequence[Bar]) -> str:
    """Return horizontal bars, each with its label and value, as an SVG document."""
    height = _TOP + len(bars) * (_BAR + _GAP) + _GAP
    longest = max((bar.value for bar in bars), default=0) or 1
    room = _WIDTH - _LABELS - _VALUES
    size = f'viewBox="0 0 {_WIDTH} {height}"'
    font = 'font-family="system-ui, sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {font}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="16" font-weight="600">{escape(title)}</text>',
        f'<text x="12" y="42" fill="#57606a" font-size="12">{escape(note)}</text>',
    ]
    for index, bar in enumerate(bars):
        y = _TOP + index * (_BAR + _GAP)
        middle = y + _BAR - 5
        width = max(1.0, bar.value / longest * room)
        colour = _OURS if bar.ours else _OTHERS
        weight = "600" if bar.ours else "400"
        style = f'y="{middle}" text-anchor="end" font-weight="{weight}"'
        parts += [
            f'<text x="{_LABELS - 8}" {style}>{escape(bar.label)}</text>',
            f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<text x="{_LABELS + width + 6:.1f}" y="{middle}">{_number(bar.value)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _bars(figures: dict[str, Figures], name: str, factor: float, baseline: str) -> list[Bar]:
    return [
        Bar(
            peer.removeprefix(f"{baseline}, "),
            mine.median(name) * factor,
            peer.startswith(baseline),
        )
        for peer, mine in figures.items()
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004  # three digits


def _short(comparison: Comparison) -> str:
    version = comparison.about["version"].partition("(")[0].partition("-")[0].strip()
    # MySQL and MariaDB return the number first.
    return f"{DISPLAY_NAMES[comparison.database]} {version}" if version[0].isdigit() else version
