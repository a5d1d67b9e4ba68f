"""The check for wording that readers have to read twice, and the project's own text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.english import RULES, checked_files, findings_in

SAMPLES = (
    "Nobody waits for a batch.",
    "A row for who does not need one.",
    "It is stored. Who has the id is the visitor.",
    "Whoever calls it waits.",
    "A statement is under way.",
    "The database was away.",
    "The old id is worth nothing.",
    "No connection was to be had.",
    "A lock was not had in time.",
    "It is mended with a test.",
    "Other values are refused.",
    "The session lives on under another id.",
    "Of the rivals, one wins.",
    "What a driver stumbles over.",
    "It spoils the connection.",
    "The database's own books say so.",
    "A call goes out alone.",
    "Calls wait in a lane.",
    "A person has to look.",
    "Half of them up to 342 B.",
    "There is no limit of ours.",
    "For codecs of one's own.",
    "It waits for ever.",
    "It is lost without a word.",
    "Listeners hear of it.",
    "A rotation leaves a note.",
    "What has expired is deleted.",
    "Make what there is.",
    "The user believes to be logged out.",
)


def in_file(folder: Path, name: str, text: str) -> list[str]:
    """Return the findings in a file of this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return [str(finding) for finding in findings_in(path)]


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_is_found_with_a_suggestion(tmp_path: Path, sample: str) -> None:
    """The output names the file, the line, the words and what to write instead."""
    findings = in_file(tmp_path, "page.md", f"# A page\n\n{sample}\n")

    assert findings
    assert findings[0].startswith("page.md:3: ")


def test_every_rule_has_a_sample() -> None:
    """A pattern that matches no sample may match nothing at all."""
    unused = [rule for rule in RULES if not any(rule.pattern.search(each) for each in SAMPLES)]
    assert unused == []


@pytest.mark.parametrize(
    "source",
    [
        '"""Nobody waits."""\n',
        "x = 1  # nobody waits\n",
        "# a statement is under\n# way\n",
        'log("a statement is under " "way")\n',
        'log(\n    "a statement is under "\n    f"way: {x}"\n)\n',
        "def test_nobody_waits():\n    pass\n",
        "class UnderWay:\n    def under_way(self):\n        pass\n",
        'x = f"{y} is worth nothing"\n',
    ],
)
def test_prose_in_python_is_found(tmp_path: Path, source: str) -> None:
    """Comments and literals that continue on the next line are read as one text."""
    assert in_file(tmp_path, "module.py", source)


@pytest.mark.parametrize(
    "source",
    [
        "nobody = under_way = 1\n",
        'log("a statement is under", "way")\n',
        'x = "under" + "way"\n',
        '"""Who waits? Every caller. Anyone who waits is served."""\n',
        '"""Connection refused."""\n',
    ],
)
def test_other_python_is_not(tmp_path: Path, source: str) -> None:
    """Names of variables are not prose, and a match never reaches across code."""
    assert in_file(tmp_path, "module.py", source) == []


def test_a_finding_in_python_has_the_right_line(tmp_path: Path) -> None:
    """Strings of several lines do not shift the lines after them."""
    source = 'x = """\n\n"""\n\n\ny = 2  # nobody\n'
    assert in_file(tmp_path, "module.py", source)[0].startswith("module.py:6: ")


def test_a_long_line_of_markdown_is_found(tmp_path: Path) -> None:
    """Lines have at most 120 characters, those of tables and code included."""
    assert in_file(tmp_path, "page.md", f"{'x' * 120}\n") == []
    assert in_file(tmp_path, "page.md", f"{'x' * 121}\n") == [
        "page.md:1: '121 characters': at most 120 on a line"
    ]


def test_the_project_is_written_in_plain_english() -> None:
    """``python -m tests.docs.english`` prints the same list."""
    findings = [str(finding) for path in checked_files() for finding in findings_in(path)]
    assert findings == [], "\n".join(findings)
