"""The charts of web requests show the published figures, and the pages have the same ones."""

from __future__ import annotations

import json
import re
from typing import Any

from benchmarks.web.charts import FOLDER, PUBLISHED, charts_of, figures_of
from tests.docs.pages import ROOT

PUBLISHED_FIGURES: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))


def test_the_charts_are_drawn_from_the_published_figures() -> None:
    """``python -m benchmarks.web.charts`` would change nothing."""
    charts = charts_of(PUBLISHED_FIGURES)

    assert {name: (FOLDER / name).read_text(encoding="utf-8") for name in charts} == charts


def test_the_table_of_performance_has_the_published_figures() -> None:
    """The table shows how often the throughput of a peer goes into that of this package."""
    text = (ROOT / "docs" / "explanation" / "performance.md").read_text(encoding="utf-8")
    table = text.partition("| 64 connections | reads: ratio |")[2].partition("\n\n")[0]
    rows = re.findall(
        r"^\| (\w+ \w*)[^|]*\| ([\d.]+) \|(?:[^|]*\|){2} ([\d.]+) \|", table, re.MULTILINE
    )
    shown = {name.strip(): (read, write) for name, read, write in rows if name != "this package"}

    throughput = PUBLISHED_FIGURES["throughput"]
    assert len(shown) == len(throughput["read"]) - 1
    for peer in throughput["read"].keys() - {"sessionstore_sql"}:
        ratios = [1 / throughput[visit][peer] for visit in ("read", "write")]
        name = " ".join(peer.split()[:2])
        assert list(shown[name]) == [f"{r:.0f}" if r >= 10 else f"{r:.1f}" for r in ratios], peer


def test_a_run_renews_the_figures() -> None:
    """A ratio is the median of the rounds, each compared within its round."""

    def slices(*operations: int) -> list[dict[str, float]]:
        return [{"operations": each, "seconds": 0.5} for each in operations]

    peers = {"sessionstore_sql": slices(100, 200, 900), "crudauth": slices(10, 10, 10)}
    results = {
        "comparisons": [
            {
                "database": "postgresql",
                "about": {"version": "PostgreSQL 15.20 (Debian)"},
                "figures": [
                    {"visit": visit, "connections": connections, "peer": peer, "slices": measured}
                    for visit in ("read", "write")
                    for connections in (1, 64)
                    for peer, measured in peers.items()
                ],
            }
        ],
    }

    figures = figures_of(results)

    assert figures["throughput"]["read"] == {"sessionstore_sql": 1, "crudauth": 0.05}
    assert figures["server"] == "PostgreSQL 15.20"
