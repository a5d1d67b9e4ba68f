"""Imports point one way, and a dialect's name is tested in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sessionstore_sql

PACKAGE = Path(sessionstore_sql.__file__).parent
ROOT_NAME = "sessionstore_sql"

LAYERS = (
    {"records"},
    {"backend", "errors"},
    {"caching", "codec", "rotation", "schema", "time_limits"},
    {"lifecycle"},
    {"cookies"},
    {"visits"},
    {"dialects.clock"},
    {"dialects.purging"},
    {"dialects.upserts"},
    {"dialects.storage"},
    {"dialects.sending"},
    {"dialects.base", "dialects.compiled", "dialects.sqlite_sending"},
    {"dialects.batches"},
    {"dialects.mysql_texts"},
    {
        "dialects.mysql_batches",
        "dialects.mysql_purging",
        "dialects.mysql_storage",
        "dialects.postgresql_batches",
        "dialects.postgresql_storage",
        "dialects.sqlite_batches",
    },
    {"dialects.mysql", "dialects.postgresql", "dialects.sqlite"},
    {"dialects"},
    {"statements", "failures", "telemetry"},
    {"operations"},
    {"exclusion"},
    {"execution", "engines"},
    {"calls"},
    {"lanes"},
    {"coalescing"},
    {"store"},
    {"purging"},
    {""},
)
"""A module imports from the layers above its own in this list, and from no other."""

LEAVES = (
    *("__main__", "aiohttp", "command_line", "django", "fastapi", "litestar", "migrate"),
    *("otel", "starlette", "starsessions", "statistics", "survey", "testing"),
)
"""They import what they like, and nothing imports them: an application may live without."""

TYPE_ONLY: dict[str, set[str]] = {}
"""Names for type checkers that come from elsewhere; at run time there is no such import."""

DATABASE_NAMES = {"postgresql", "postgres", "mysql", "mariadb", "sqlite"}


def module_name(path: Path) -> str:
    """Return the name below the package: ``dialects.base``; of the package itself, nothing."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
RANKS = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}


def is_leaf(module: str) -> bool:
    """Whether ``module`` is a leaf or inside one."""
    return module.partition(".")[0] in LEAVES


def imports_of(source: str) -> Iterator[str]:
    """Yield the package's modules that ``source`` imports, for type checkers only or not."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            origin = node.module or ""
            names = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, inside = name.partition(".")
            if package == ROOT_NAME:
                # What is not a module is a name in one.
                yield inside if inside in MODULES else inside.rpartition(".")[0]


def name_tests_in(source: str) -> list[int]:
    """Return the lines of ``source`` that compare something with a database's name."""
    return sorted(
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.expr | ast.pattern) and _is_name_test(node)
    )


def _is_name_test(node: ast.expr | ast.pattern) -> bool:
    match node:
        case ast.Compare(left=left, ops=operators, comparators=right):
            operands = (left, *right)
            return any(map(_is_dialect_name, operands)) or any(
                # `"mariadb" in version` searches a text; `name in {"mysql"}` tests a name.
                _names_database(second)
                or (_names_database(first) and not isinstance(operator, ast.In | ast.NotIn))
                for operator, first, second in zip(operators, operands, right, strict=False)
            )
        case ast.MatchValue(value=value):
            return _names_database(value)
        case ast.Call(func=ast.Attribute(attr="startswith"), args=arguments):
            return any(map(_names_database, arguments))
        case _:
            return False


def _is_dialect_name(node: ast.expr) -> bool:
    """Whether it reads ``dialect.name``, ``x.dialect.name`` or ``url.get_backend_name()``."""
    match node:
        case ast.Attribute(
            value=ast.Attribute(attr="dialect") | ast.Name(id="dialect"), attr="name"
        ):
            return True
        case ast.Call(func=ast.Attribute(attr="get_backend_name" | "get_dialect")):
            return True
        case _:
            return False


def _names_database(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str(value)):
            return value in DATABASE_NAMES
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return any(map(_names_database, elements))
        case _:
            return False


def test_every_module_has_a_layer() -> None:
    """A new module is given its place, and a module that went away gives its place up."""
    assert {module for module in MODULES if not is_leaf(module)} == set(RANKS)


@pytest.mark.parametrize("module", sorted(module for module in RANKS if module in MODULES))
def test_imports_come_from_lower_layers(module: str) -> None:
    """No module imports from its own layer, from a higher one or from a leaf."""
    imported = set(imports_of(MODULES[module].read_text())) - {module}

    allowed = {name for name, rank in RANKS.items() if rank < RANKS[module]}
    assert imported - TYPE_ONLY.get(module, set()) <= allowed


@pytest.mark.parametrize("module", [module for module in MODULES if module != "dialects"])
def test_dialect_name_is_tested_in_one_place(module: str) -> None:
    """What depends on the database asks the dialect for it, and not for its name."""
    assert name_tests_in(MODULES[module].read_text()) == []


@pytest.mark.parametrize(
    "expression",
    [
        'engine.dialect.name == "oracle"',
        "dialect.name != other",
        'name == "postgresql"',
        '"mysql" == name',
        'name in {"mysql", "mariadb"}',
        'name not in ("sqlite",)',
        "url.get_backend_name() in names",
        'url.drivername.startswith("mysql")',
        'match_ = 0\nmatch name:\n    case "sqlite":\n        pass',
    ],
)
def test_name_tests_are_found(expression: str) -> None:
    """The search finds each way to test a name."""
    assert name_tests_in(expression) != []


@pytest.mark.parametrize(
    "expression", ['"mariadb" in version.lower()', "column.name == other", 'DIALECTS["mysql"]']
)
def test_other_code_is_not_taken_for_name_tests(expression: str) -> None:
    """A server's version, a column's name and a table of dialects are something else."""
    assert name_tests_in(expression) == []


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from sessionstore_sql.dialects import mysql, now", ["dialects.mysql", "dialects"]),
        ("from sessionstore_sql import testing, SessionId", ["testing", ""]),
        ("import sessionstore_sql.store", ["store"]),
        ("import sqlalchemy", []),
    ],
)
def test_imports_are_found(source: str, modules: list[str]) -> None:
    """The search tells a module from a name in one."""
    assert list(imports_of(source)) == modules


def test_public_names_are_sorted_and_there() -> None:
    """``__all__`` is in isort's order: constants, classes, functions, each by the alphabet."""
    names = sessionstore_sql.__all__

    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert [name for name in names if not hasattr(sessionstore_sql, name)] == []
