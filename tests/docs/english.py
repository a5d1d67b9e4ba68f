"""Finds wording that readers have to read twice, and suggests plain words.

    python -m tests.docs.english [FILE OR FOLDER ..]

Checks Markdown and other text files as a whole, and the comments, string literals and names of
functions and classes in Python files. The list of patterns is short: it catches the worst cases,
and a reviewer does the rest.
"""

from __future__ import annotations

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

MAX_MARKDOWN_LINE = 120

EXEMPT: tuple[str, ...] = ()
"""Files and folders that are not checked yet. The list only gets shorter."""

_OWN_FILES = ("tests/docs/english.py", "tests/docs/test_english.py")
"""They contain the words themselves."""

_FOLDERS = (".ci", ".github", "benchmarks", "docs", "examples", "migrations", "sessionstore_sql")
_SUFFIXES = {".css", ".ini", ".md", ".mjs", ".py", ".sh", ".sql", ".toml", ".yaml", ".yml"}
_NAMES = {"Makefile", "run", "Dockerfile"}
_GENERATED = {"__pycache__", "node_modules", "results"}

_CODE = "\0"
"""Stands for Python code between two passages of prose, so that no match reaches across it."""


class Rule(NamedTuple):
    """A pattern, and what to write instead."""

    pattern: re.Pattern[str]
    suggestion: str


class Finding(NamedTuple):
    """A place where a rule matches."""

    path: str
    line: int
    words: str
    suggestion: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.words!r}: {self.suggestion}"


def _rule(pattern: str, suggestion: str) -> Rule:
    return Rule(re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE), suggestion)


RULES = (
    _rule(
        r"(?<!--)\b(?:no|some|every|any)body\b",  # --everybody is an option
        "name it: another process, the client, the visitor; or write 'anyone who ..'",
    ),
    _rule(
        r"\b(?:as|but|by|for|from|of|on|than|to|with) who\b",
        "write 'anyone who ..', or name the person or process",
    ),
    _rule(
        r"\b(?-i:Who) [^.?!:;|\0]*[.;]",
        "write 'Anyone who ..', or name the person or process",
    ),
    _rule(r"\bwhoever\b", "anyone who"),
    _rule(r"\bunder way\b", "in flight, running"),
    _rule(
        r"\b(?:database|server|standby|primary|node) (?:is|was|goes|went) away\b",
        "unreachable",
    ),
    _rule(r"\bworth nothing\b", "invalid, useless"),
    _rule(r"\b(?:to|can|may|could|must|not) be had\b", "available"),
    _rule(r"\b(?:is|was|were) (?:not )?had\b", "available, obtained"),
    _rule(r"\bmend(?:s|ed|ing)?\b", "fix"),
    _rule(r"(?<!connection\s)\brefus(?:e|es|ed|ing)\b", "reject"),
    _rule(r"\blives? on(?: under| for|[,.;])", "remains valid"),
    _rule(r"\brivals?\b", "concurrent calls, the other call"),
    _rule(r"\bstumbl(?:e|es|ed|ing)\b", "fail with"),
    _rule(r"\bspoil(?:s|ed|ing|t)?\b", "invalidate"),
    _rule(r"\b(?:own books|books of)\b", "system catalog"),
    _rule(r"\b(?:goes|go|went|sent) (?:out )?alone\b", "is sent immediately, on its own"),
    _rule(r"\blanes?\b", "queue"),
    _rule(r"\b(?:person|somebody|someone) has to look\b", "needs manual action"),
    _rule(r"\bhalf of them up to\b", "median"),
    _rule(r"\bof (?:ours|theirs|yours)\b", "our .., its own .., your .."),
    _rule(r"\bone's own\b", "custom"),
    _rule(r"\bfor ever\b", "forever, indefinitely"),
    _rule(r"\bwithout a word\b", "silently"),
    _rule(r"\bhears? of\b", "is notified of"),
    _rule(r"\bleaves? a note\b", "writes a tombstone"),
    _rule(r"\bwhat (?:has|had|is) (?:expired|gone|left)\b", "name it: expired sessions, the rest"),
    _rule(r"\bwhat there is\b", "name it"),
    _rule(r"\bbelieves? to\b", "thinks that"),
)


def findings_in(path: Path) -> Iterator[Finding]:
    """Yield the findings in one file."""
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    text = path.read_text(encoding="utf-8")
    prose = prose_of(text) if path.suffix == ".py" else text
    for pattern, suggestion in RULES:
        for match in pattern.finditer(prose):
            line = prose.count("\n", 0, match.start()) + 1
            yield Finding(name, line, " ".join(match[0].split()), suggestion)
    if path.suffix == ".md":
        for number, line_text in enumerate(text.splitlines(), start=1):
            if len(line_text) > MAX_MARKDOWN_LINE:
                words = f"{len(line_text)} characters"
                yield Finding(name, number, words, f"at most {MAX_MARKDOWN_LINE} on a line")


def prose_of(source: str) -> str:
    """Return Python source with everything but its prose replaced; lines keep their numbers.

    Prose is in comments, string literals, and the names of functions and classes.
    """
    lines = source.splitlines(keepends=True)
    kept = [[_CODE if not each.isspace() else each for each in line] for line in lines]
    previous = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = _prose_of_token(token, previous)
        if text is not None:
            _place(kept, token.start, text)
        if token.type == tokenize.NAME:
            previous = token.string
    return "".join("".join(line) for line in kept)


def _prose_of_token(token: tokenize.TokenInfo, previous: str) -> str | None:
    """Return what of a token is prose, of the same length, or ``None``."""
    kind = tokenize.tok_name[token.type]
    if kind == "COMMENT":
        return token.string.replace("#", " ")
    if kind in {"STRING", "FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END"}:
        return re.sub(r"^\w+(?=[\"'])|[\"'`]", lambda match: " " * len(match[0]), token.string)
    if kind == "NAME" and previous in {"def", "class"}:
        return token.string.replace("_", " ")
    return None


def _place(kept: list[list[str]], start: tuple[int, int], text: str) -> None:
    row, column = start[0] - 1, start[1]
    for each in text:
        if row < len(kept) and column < len(kept[row]):
            kept[row][column] = each
        column += 1
        if each == "\n":
            row, column = row + 1, 0


def checked_files() -> list[Path]:
    """Return the files of the project that are checked."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in (*_FOLDERS, "tests"):
        files += (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(path for path in files if _is_checked(path.relative_to(ROOT)))


def _is_checked(path: Path) -> bool:
    name = path.as_posix()
    return (
        (path.suffix in _SUFFIXES or path.name in _NAMES)
        and not _GENERATED & set(path.parts)
        and name not in _OWN_FILES
        and not any(name == each or name.startswith(f"{each}/") for each in EXEMPT)
    )


def main() -> int:
    """Print the findings of the checked files, or of those that are named; return the exit code."""
    named = [Path(name).resolve() for name in sys.argv[1:]]
    files = [each for path in named for each in (path.rglob("*") if path.is_dir() else [path])]
    paths = [path for path in files if path.suffix in _SUFFIXES] if named else checked_files()
    findings = [finding for path in paths for finding in findings_in(path)]
    for finding in findings:
        print(finding)  # noqa: T201
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
