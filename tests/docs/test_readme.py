"""The README works on a package index as it does in the repository."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.docs.pages import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
URLS = PROJECT["urls"]
FILES = f"{URLS['Repository']}/blob/main/"

_INLINE = re.compile(r"\[[^\]]*\]\(([^)]+)\)")
_DEFINITION = re.compile(r"^\[([^\]]+)\]: (\S+)$", re.MULTILINE)
_REFERENCE = re.compile(r"\[([^\]]+)\](?:\[([^\]]+)\])?(?![(:])")


def prose_of(text: str) -> str:
    """Return a text without its fenced blocks and code."""
    return re.sub(r"`[^`]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def links() -> list[str]:
    """Return the targets of all links."""
    prose = prose_of(README)
    return _INLINE.findall(prose) + [target for _, target in _DEFINITION.findall(prose)]


def test_every_link_is_absolute() -> None:
    """A package index shows the README without the files beside it."""
    assert links()
    assert [each for each in links() if not each.startswith("https://")] == []


def test_every_link_to_the_repository_leads_to_a_file() -> None:
    """The file exists."""
    paths = [each.removeprefix(FILES) for each in links() if each.startswith(FILES)]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_every_reference_is_defined_and_every_definition_is_used() -> None:
    """An undefined reference would be shown in brackets."""
    prose = prose_of(README)
    defined = {name.lower() for name, _ in _DEFINITION.findall(prose)}
    text = _DEFINITION.sub("", prose)
    used = {(name or label).lower() for label, name in _REFERENCE.findall(text)}

    assert used == defined


@pytest.mark.parametrize("name", ["Documentation", "Changelog"])
def test_the_addresses_of_the_project_lead_to_files(name: str) -> None:
    """The package index shows them beside the README."""
    path = re.sub(r"^.*/(?:blob|tree)/main/", "", URLS[name])

    assert (ROOT / path).exists()


def test_the_frameworks_need_what_their_extras_require() -> None:
    """The column shows the lower bounds."""
    rows = re.findall(r"^\| \[\w+\] \| `(\w+)` \| ([^|]+) \|", README, re.MULTILINE)
    required = {
        extra: [
            re.sub(r">=(?=\d)", " ", each)
            for each in PROJECT["optional-dependencies"][extra]
            if not each.startswith(PROJECT["name"])
        ]
        for extra, _ in rows
    }

    assert len(rows) == 8
    assert {extra: needed.lower().split(", ") for extra, needed in rows} == required
