"""The hazards that comments cite, and their entries in ``docs/design/hazards.md``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

_CITED_IN = (".ci", "benchmarks", "examples", "migrations", "sessionstore_sql", "tests")
_CITATION = re.compile(
    r"\bhazards?[\s#]+([A-Z]\d+(?:(?:,| and|, and)[\s#]+[A-Z]\d+)*)", re.IGNORECASE
)
_ENTRY = re.compile(r"^### ([A-Z]\d+): .+ \{ #([a-z]\d+) \}$", re.MULTILINE)


def citations_in(text: str) -> list[str]:
    """Return the numbers that a text cites."""
    return [
        number for match in _CITATION.finditer(text) for number in re.findall(r"[A-Z]\d+", match[1])
    ]


def cited() -> Iterator[tuple[Path, str]]:
    """Yield each number that the code cites, and where."""
    for folder in _CITED_IN:
        for path in (ROOT / folder).rglob("*.py"):
            if path != Path(__file__):
                for number in citations_in(path.read_text(encoding="utf-8")):
                    yield path.relative_to(ROOT), number


def entries() -> list[tuple[str, str]]:
    """Return number and anchor of each entry of the page."""
    return _ENTRY.findall((ROOT / "docs/design/hazards.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("deadlocks (hazard M7)", ["M7"]),
        ("hazards A13, M5 and P4.", ["A13", "M5", "P4"]),
        ("# for each (hazard\n    # M7), and", ["M7"]),
        ("a hazard", []),
    ],
)
def test_citations_are_recognised(text: str, numbers: list[str]) -> None:
    """One number or several, also across the lines of a comment."""
    assert citations_in(text) == numbers


def test_every_cited_hazard_has_an_entry() -> None:
    """A reader of the code can look up each number."""
    known = {number for number, _ in entries()}
    assert [f"{path}: {number}" for path, number in cited() if number not in known] == []


def test_every_entry_has_an_anchor_of_its_number() -> None:
    """``hazards.md#m7`` leads to M7, and no number is there twice."""
    found = entries()
    headings = re.findall(
        r"^### ", (ROOT / "docs/design/hazards.md").read_text("utf-8"), re.MULTILINE
    )

    assert len(found) == len(headings)
    assert all(anchor == number.lower() for number, anchor in found)
    assert len({number for number, _ in found}) == len(found)
