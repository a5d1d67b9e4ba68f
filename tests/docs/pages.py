"""The pages and their fenced blocks; CONTRIBUTING.md, "Pages", says how they are run."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_OPENING = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}) *(?P<language>[\w+-]*)(?P<attributes>.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_LEFT_OUT = re.compile(r"<!-- *not run: *(.+?) *-->")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: The file that contains it, relative to the root of the repository.
        line: The line of its fence.
        language: The language after the fence.
        title: The name of the file to which it is written, or ``None``.
        code: The text between the fences.
        left_out: The reason why it is not run, or ``None``.
    """

    page: str
    line: int
    language: str
    title: str | None
    code: str
    left_out: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def page_paths() -> list[Path]:
    """Return the README and every page of the site."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a page, from top to bottom."""
    page = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return list(blocks_in(path.read_text(encoding="utf-8"), page))


def blocks_in(text: str, page: str) -> Iterator[Block]:
    """Yield the blocks of a text, also those that are indented in lists, notes and tabs.

    Raises:
        ValueError: A fence is never closed.
    """
    lines = text.splitlines()
    number = 0
    last_text = ""
    while number < len(lines):
        opening = _OPENING.match(lines[number])
        if opening is None:
            last_text = lines[number].strip() or last_text
            number += 1
            continue
        closing = opening["indent"] + opening["fence"]
        first = number + 1
        try:
            end = lines.index(closing, first)
        except ValueError:
            raise ValueError(f"{page}:{first}: the block is never closed") from None
        code = textwrap.dedent("".join(f"{line}\n" for line in lines[first:end]))
        title = _TITLE.search(opening["attributes"])
        left_out = _LEFT_OUT.fullmatch(last_text)
        yield Block(
            page=page,
            line=first,
            language=opening["language"],
            title=title[1] if title else _implied_title(opening["language"], code),
            code=code,
            left_out=left_out[1] if left_out else None,
        )
        last_text = ""
        number = end + 1


def _implied_title(language: str, code: str) -> str | None:
    """Return ``app.py`` for a block that assigns ``app``."""
    if language == "python" and "app" in top_level_names(code):
        return "app.py"
    return None


def top_level_names(code: str) -> set[str]:
    """Return the names that Python code assigns at its top level."""
    names: set[str] = set()
    for statement in ast.parse(code).body:
        match statement:
            case ast.Assign(targets=targets):
                names.update(target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


_SECTION = re.compile(r"^-- ((?:PostgreSQL|MySQL|MariaDB|SQLite)\b.*)$", re.MULTILINE)


def sql_for(database: str, code: str) -> list[str]:
    """Return the statements of an SQL block that are for ``database``.

    A block has sections. Each begins with a comment that names its databases.
    """
    before, *sections = _SECTION.split(code)
    if before.strip() or not sections:
        raise ValueError("an SQL block begins with a comment that names its databases")
    return [
        statement
        for names, section in zip(sections[::2], sections[1::2], strict=True)
        if re.search(rf"\b{database}\b", names, re.IGNORECASE)
        for statement in _statements(section)
    ]


def _statements(section: str) -> list[str]:
    without_comments = re.sub(r"\s*-- .*$", "", section, flags=re.MULTILINE)
    return [part.strip() for part in without_comments.split(";") if part.strip()]
