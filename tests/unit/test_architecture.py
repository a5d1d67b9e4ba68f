"""Imports point one way, and some things are done in one place only."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest

import sessionstore_sql
from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.sql import leases

PACKAGE = Path(sessionstore_sql.__file__).parent
ROOT_NAME = "sessionstore_sql"
RECORD = SessionRecord({"a": 1}, timedelta(hours=1))


class Storey(NamedTuple):
    """Some modules of the package, and the storeys that they may import from beside their own."""

    modules: str
    may_import: str = ""


STOREYS = {
    "contract": Storey(
        "records errors backend codec schema accounts encryption telemetry tracebacks purging"
    ),
    "drivers": Storey(
        "sql.cancellation sql.committed sql.compiled sql.direct sql.senders sql.sockets sql.tls "
        "sql.tls_options sql.url_options"
    ),
    "dialects": Storey("sql.dialects", "contract drivers"),
    "engine": Storey("sql", "contract drivers dialects"),
    "store": Storey(
        "session_operations account_operations account_rows sign_in_operations store "
        "state_prefixes statistics migrate",
        "contract dialects engine",
    ),
    "root": Storey("", "contract store"),
    "web": Storey("web", "contract"),
    "adapters": Storey(
        "starlette fastapi litestar django flask quart aiohttp starsessions",
        "contract store root web",
    ),
    "tools": Storey("otel testing", "contract root web"),
    "command": Storey("cli __main__", "contract dialects engine store root"),
}
"""A module belongs to the storey with the longest name that it begins with."""

DATABASE_NAMES = {"postgresql", "postgres", "mysql", "mariadb", "sqlite"}


def module_name(path: Path) -> str:
    """Return the name below the package: ``dialects.base``; of the package itself, nothing."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def storey_of(module: str) -> str | None:
    """Return the storey that a module belongs to."""
    found: dict[int, str] = {}
    for name, storey in STOREYS.items():
        for each in storey.modules.split() or [""]:
            if module == each or (each and module.startswith(f"{each}.")):
                found[len(each)] = name
    return found[max(found)] if found else None


def imports_of(source: str, *, types: bool = True) -> Iterator[str]:
    """Yield the package's modules that ``source`` imports.

    Args:
        source: The text of a module.
        types: Whether imports count that only type checkers see.
    """
    for node in _nodes_of(ast.parse(source), types=types):
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


def _nodes_of(node: ast.AST, *, types: bool) -> Iterator[ast.AST]:
    """Yield the nodes below ``node``, without the bodies of ``if TYPE_CHECKING`` if so asked."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")) if not types:
                continue
        yield child
        yield from _nodes_of(child, types=types)


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


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_storeys_below(module: str) -> None:
    """Each storey sees only those that it is built on, also in annotations."""
    storey = storey_of(module)
    assert storey is not None, "a new module at the root belongs to a storey"
    allowed = {storey, *STOREYS[storey].may_import.split(" ")}
    for imported in set(imports_of(MODULES[module].read_text())):
        assert storey_of(imported) in allowed, imported


def test_imports_make_no_circle() -> None:
    """Modules can be read, and loaded, one after another."""
    imports = {
        module: set(imports_of(path.read_text(), types=False)) - {module}
        for module, path in MODULES.items()
    }
    while free := {module for module, imported in imports.items() if not imported & set(imports)}:
        for module in free:
            del imports[module]
    assert imports == {}


@pytest.mark.parametrize("module", [module for module in MODULES if module != "sql.direct"])
def test_undocumented_names_of_sqlalchemy_are_used_in_one_place(module: str) -> None:
    """There they have a replacement, in case that a release of SQLAlchemy lacks them."""
    source = MODULES[module].read_text()

    assert "reportPrivateUsage" not in source, "pyright's name for private names of others"
    for name in ("greenlet", "await_"):
        assert not re.search(rf"\bimport .*\b{name}|util\.{name}", source)


@pytest.mark.parametrize("module", [module for module in MODULES if module != "sql.dialects"])
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
        (
            "from sessionstore_sql.sql.dialects import mysql, now",
            ["sql.dialects.mysql", "sql.dialects"],
        ),
        ("from sessionstore_sql import testing, SessionId", ["testing", ""]),
        ("import sessionstore_sql.store", ["store"]),
        ("import sqlalchemy", []),
    ],
)
def test_imports_are_found(source: str, modules: list[str]) -> None:
    """The search tells a module from a name in one."""
    assert list(imports_of(source)) == modules


MAX_MODULES = 9

WALKS: dict[str, Callable[[SQLSessionStore, SessionId], Awaitable[object]]] = {
    "load": lambda store, session_id: store.load(session_id),
    "create": lambda store, session_id: store.create(SessionId.generate(), RECORD),
    "delete_expired": lambda store, session_id: store.delete_expired(10),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", WALKS)
async def test_a_call_passes_through_few_modules(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are those that the walk on the page about the architecture names."""
    monkeypatch.setattr(leases, "INTERVAL_S", 3600)  # no check in between
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    await migrate.upgrade(url)
    session_id, passed = SessionId.generate(), set[str]()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            passed.add(module_name(path))

    async with SQLSessionStore(url) as store:
        await store.create(session_id, RECORD)
        await WALKS[name](store, session_id)
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            await WALKS[name](store, session_id)
        finally:
            sys.setprofile(before)

    assert len(passed) <= MAX_MODULES
    page = (PACKAGE.parent / "docs" / "design" / "architecture.md").read_text()
    walk = page.partition(f"`store.{name}(")[2]
    listed = walk.partition("Modules, on SQLite:")[2].partition("\n\n")[0]
    assert passed == set(re.findall(r"`([\w.]+)`", listed))


def test_public_names_are_sorted_and_there() -> None:
    """``__all__`` is in isort's order: constants, classes, functions, each by the alphabet."""
    names = sessionstore_sql.__all__

    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert [name for name in names if not hasattr(sessionstore_sql, name)] == []
