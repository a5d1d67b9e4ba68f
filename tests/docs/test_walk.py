"""The runner of the examples runs all blocks, and reports those that fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import url_or_skip
from tests.databases import SERVERS, Databases, UnavailableError
from tests.docs.pages import blocks_in, sql_for
from tests.docs.stand_ins import target_of
from tests.docs.walk import PageError, walk

WalkThrough = Callable[[str], str | None]


@pytest.fixture
def page(tmp_path: Path, databases: Databases) -> WalkThrough:
    """Return a function that runs the blocks of a text."""

    def walk_through(text: str) -> str | None:
        return walk(list(blocks_in(text, "page.md")), tmp_path, databases)

    return walk_through


def fenced(language: str, *lines: str) -> str:
    """Return a fenced block with these lines."""
    return "\n".join([f"```{language}", *lines, "```", ""])


LOAD = """
import asyncio

from sessionstore_sql import SessionId, SQLSessionStore


async def main():
    async with SQLSessionStore("{url}") as store:
        print(await store.load(SessionId("a")))


asyncio.run(main())
"""

ASGI_APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            step = (await receive())["type"]
            await send({"type": f"{step}.complete"})
            if step == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": STATUS, "headers": []})
    await send({"type": "http.response.body", "body": b""})


app = app
"""


def test_a_script_finds_a_migrated_database(page: WalkThrough) -> None:
    """``sessions.db`` exists before the first block runs."""
    assert page(fenced("python", LOAD.format(url="sqlite:///sessions.db"))) is None


@pytest.mark.parametrize(
    "text",
    [
        fenced("python", "raise SystemExit(1)"),
        fenced("python", "import warnings", 'warnings.warn("old", DeprecationWarning)'),
        fenced("python", "def test_it():", "    assert False"),
        fenced('python title="shop.py"', "def it"),
        fenced("python", "app = 1"),
        fenced("python", ASGI_APP.replace("STATUS", "500")),
        fenced("console", "$ false"),
        fenced("console", "$ echo one", "two"),
        fenced("console", "echo without a prompt"),
        fenced("console", "$ make nothing-of-the-kind"),
        fenced("console", "$ pip install 'sessionstore-sql[nothing]'"),
        fenced("console", "$ true &"),
        fenced("sql", "-- SQLite", "SELECT * FROM nothing;"),
        fenced("sql", "SELECT 1;"),
        fenced("bash", "true"),
    ],
)
def test_a_block_that_fails_is_reported(page: WalkThrough, text: str) -> None:
    """The error names the page and the line."""
    with pytest.raises(PageError, match=r"^page\.md:3: "):
        page(f"# A page\n\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        fenced("python", ASGI_APP.replace("STATUS", "404")),
        fenced("python", "def test_it():", "    assert True"),
        fenced('python title="shop.py"', "TEA = 1") + fenced("python", "from shop import TEA"),
        fenced('python title="shop.py"', "TEA = 1")
        + fenced('python title="shop.py"', "print(TEA + 1)")
        + fenced("console", "$ python shop.py", "2"),
        fenced("console", "$ echo one two \\", "  three", "one ... three", "$ echo four"),
        fenced("console", "$ alembic -x url=sqlite:///sessions.db current", "...(head)"),
        fenced("console", "$ make demo", "$ pip install 'sessionstore-sql[sqlite,testing]'"),
        fenced(
            "console",
            "$ python -m http.server --bind 127.0.0.1 8000 &",
            "$ curl --silent http://127.0.0.1:8000/",
            "...sessions.db...",
        ),
        fenced("sql", "-- SQLite", "SELECT count(*) FROM sessionstore_sessions; -- all of them"),
        fenced("text", "not run"),
        "<!-- not run: it fails -->\n\n" + fenced("console", "$ false"),
        "* in a list:\n\n    " + fenced("python", "if True:", "    pass").replace("\n", "\n    "),
        "````markdown\n```console\n$ false\n```\n````\n",
    ],
)
def test_a_block_that_works_passes(page: WalkThrough, text: str) -> None:
    """Every kind of block that works passes."""
    assert page(text) is None


@pytest.mark.parametrize("database", SERVERS)
def test_the_url_of_a_server_is_replaced(
    page: WalkThrough, database: str, databases: Databases, request: pytest.FixtureRequest
) -> None:
    """The URL of a server becomes that of a migrated database of this run."""
    url = f"{database}://app:secret@db.example/shop"
    missing = page(fenced("python", LOAD.format(url=url)))
    if missing is not None:
        url_or_skip(target_of(missing), databases, request.config)


def test_a_page_ends_where_a_server_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later blocks may need the block that was skipped."""
    databases = Databases(tmp_path)

    def unavailable(_: object) -> None:
        raise UnavailableError("not available")

    monkeypatch.setattr(databases, "url", unavailable)
    code = LOAD.format(url="mysql://app@db.example/shop")
    text = (
        fenced("console", "$ touch first") + fenced("python", code) + fenced("console", "$ false")
    )

    assert walk(list(blocks_in(text, "page.md")), tmp_path, databases) == "mysql"
    assert (tmp_path / "first").exists()


@pytest.mark.parametrize("database", SERVERS)
def test_sql_runs_on_the_named_databases(
    page: WalkThrough, database: str, databases: Databases, request: pytest.FixtureRequest
) -> None:
    """A section for one database runs only there; ``app`` is replaced by a test user."""
    grant = "GRANT SELECT ON shop.sessionstore_sessions TO app;"
    if database == "postgresql":
        grant = "GRANT SELECT ON sessionstore_sessions TO app;"
    missing = page(fenced("sql", f"-- {NAMES[database]}", grant))
    if missing is not None:
        url_or_skip(target_of(missing), databases, request.config)


NAMES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}


def test_a_section_is_for_the_databases_it_names() -> None:
    """A section is for the databases that its comment names, and for no other."""
    code = "-- MySQL, MariaDB\nSELECT 1;\n-- PostgreSQL: so\nSELECT 2;\nSELECT 3\n"
    assert sql_for("mariadb", code) == ["SELECT 1"]
    assert sql_for("postgresql", code) == ["SELECT 2", "SELECT 3"]
    assert sql_for("sqlite", code) == []


def test_a_block_that_is_never_closed_is_found() -> None:
    """Otherwise the rest of the page would not be run."""
    with pytest.raises(ValueError, match=r"page\.md:2"):
        list(blocks_in("text\n```python\nimport asyncio\n", "page.md"))
