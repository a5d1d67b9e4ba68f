"""Logger names are an interface: alerts refer to them, so they do not follow the modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import sessionstore_sql

PACKAGE = Path(sessionstore_sql.__file__).parent
PAGE = PACKAGE.parent / "docs" / "guides" / "observability.md"
NAMES = {
    "sessionstore_sql.accounts",
    "sessionstore_sql.connecting",
    "sessionstore_sql.lifecycle",
    "sessionstore_sql.migrate",
    "sessionstore_sql.purging",
    "sessionstore_sql.telemetry",
    "sessionstore_sql.visits",
}


def logger_names() -> Iterator[str]:
    """Yield the argument of every ``getLogger`` call in the package that names a logger."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="getLogger"), args=[argument]):
                    yield ast.literal_eval(argument)


def test_logger_names_are_the_documented_ones() -> None:
    """The package logs to exactly these names, whatever module the code is in."""
    assert set(logger_names()) == NAMES


def test_logger_names_are_on_the_page() -> None:
    """The page for operators lists every logger."""
    section = PAGE.read_text().partition("\n## Logs\n")[2]

    assert set(re.findall(r"^\| `(sessionstore_sql\.[\w.]+)` \|", section, re.MULTILINE)) == NAMES
