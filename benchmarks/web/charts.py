"""Draws the charts of web requests in ``docs/``.

python -m benchmarks.web.charts               # from published.json
python -m benchmarks.web.charts RESULTS.json  # renews published.json from `benchmarks.web --json`
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.plots import Bar, bar_chart
from benchmarks.web.applications import BASELINE

CONNECTIONS = 64
PUBLISHED = Path(__file__).with_name("published.json")
FOLDER = Path(__file__).parents[2] / "docs" / "assets" / "performance"

_PEERS = (BASELINE.name, "signed cookies", "starsessions on Redis", "Litestar on Redis", "crudauth")
_TITLES = {
    "read": "Requests that read the session",
    "write": "Requests that change the session",
}


def figures_of(results: dict[str, Any]) -> dict[str, Any]:
    """Return the figures to publish: throughputs as multiples of that of this package."""
    comparison = next(each for each in results["comparisons"] if each["database"] == "postgresql")
    return {
        "server": comparison["about"]["version"].partition("(")[0].strip(),
        "throughput": {visit: _throughput(comparison["figures"], visit) for visit in _TITLES},
    }


def _throughput(figures: list[dict[str, Any]], visit: str) -> dict[str, float]:
    rounds = {
        each["peer"]: [one["operations"] / one["seconds"] for one in each["slices"]]
        for each in figures
        if each["visit"] == visit and each["connections"] == CONNECTIONS
    }
    ours = rounds[BASELINE.name]
    # A ratio is computed within a round, as in the report.
    return {
        peer: round(
            1 / statistics.median(a / b for a, b in zip(ours, rounds[peer], strict=True)), 3
        )
        for peer in _PEERS
        if peer in rounds
    }


def charts_of(published: dict[str, Any]) -> dict[str, str]:
    """Return the charts by the names of their files."""
    return {
        f"web-{visit}.svg": bar_chart(
            title,
            f"requests per second, {BASELINE.name} = 100; {published['server']}",
            [
                Bar(peer, 100 * value, ours=peer == BASELINE.name)
                for peer, value in sorted(
                    published["throughput"][visit].items(), key=lambda item: -item[1]
                )
            ],
        )
        for visit, title in _TITLES.items()
    }


def main() -> None:
    """Draw the charts; renew the figures first if a file of results is given."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.web.charts",
        description="Draw the charts of web requests in docs/assets/performance.",
    )
    parser.add_argument("results", nargs="?", type=Path, help="from `benchmarks.web --json`")
    given = parser.parse_args()
    if given.results is not None:
        figures = figures_of(json.loads(given.results.read_text(encoding="utf-8")))
        PUBLISHED.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    for name, chart in charts_of(published).items():
        (FOLDER / name).write_text(chart, encoding="utf-8")


if __name__ == "__main__":
    main()
