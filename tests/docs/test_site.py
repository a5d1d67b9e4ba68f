"""The built site is complete, has no broken links, and loads nothing from other hosts."""

from __future__ import annotations

import inspect
import re
import shutil
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

import sessionstore_sql
from sessionstore_sql import errors, migrate, testing
from tests.docs.conftest import build
from tests.docs.pages import ROOT

LOADING = {
    ("audio", "src"),
    ("embed", "src"),
    ("iframe", "src"),
    ("img", "src"),
    ("img", "srcset"),
    ("link", "href"),
    ("object", "data"),
    ("script", "src"),
    ("source", "src"),
    ("source", "srcset"),
    ("video", "src"),
}
"""Attributes whose URL a browser loads by itself."""

FETCHING = {"mermaid", "arithmatex", "glightbox", "pyodide", "md-source"}
"""Classes for which the theme's script loads something from another host."""

INTERNAL = {
    "alembic_config",
    "assertions_as_refusals",
    "autogenerate_options",
    "connect",
    "queue",
    "require_lasting",
}
"""Names in ``migrate`` that only env.py and the command use."""


def configuration() -> dict[str, Any]:
    """Return the content of ``mkdocs.yml``."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return loaded


def pages_in(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation, at any depth."""
    match nav:
        case str():
            yield nav
        case dict():
            for part in nav.values():
                yield from pages_in(part)
        case list():
            for part in nav:
                yield from pages_in(part)


def test_every_page_is_in_the_navigation_once() -> None:
    """Every page is in the navigation, and the navigation has no other entries."""
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]

    assert sorted(pages_in(configuration()["nav"])) == sorted(pages)


def loaded_by(html: str) -> Iterator[str]:
    """Yield the URLs that a page makes a browser load."""
    found: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if (tag, name) in LOADING:
                    found.append(value or "")
                if name == "class" and FETCHING & set((value or "").split()):
                    found.append(f"//{value}")
                if name == "style":
                    found.extend(urls_in(value or ""))

    Parser().feed(html)
    yield from found


def urls_in(css: str) -> list[str]:
    """Return the URLs that a style sheet makes a browser load."""
    return re.findall(r"url\(\s*[\"']?([^\"')]+)", css) + re.findall(
        r"@import\s+[\"']([^\"']+)", css
    )


def is_foreign(url: str) -> bool:
    """Whether a URL names a host."""
    return re.match(r"([a-z][a-z0-9+.-]*:)?//", url.strip(), re.IGNORECASE) is not None


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    """No font, script or picture is loaded from another host."""
    foreign = [
        f"{path.name}: {url}"
        for path in sorted(site.rglob("*.html"))
        for url in loaded_by(path.read_text(encoding="utf-8"))
        if is_foreign(url)
    ]
    foreign += [
        f"{path.name}: {url}"
        for path in sorted(site.rglob("*.css"))
        for url in urls_in(path.read_text(encoding="utf-8"))
        if is_foreign(url)
    ]

    assert foreign == []


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        '<p style="background: url(https://example.org/a.png)">',
        '<pre class="mermaid"><code>graph</code></pre>',
    ],
)
def test_a_resource_on_another_host_is_found(html: str) -> None:
    """The check finds URLs in attributes, styles and classes."""
    assert [url for url in loaded_by(html) if is_foreign(url)] != []


def test_a_link_and_a_local_file_are_allowed() -> None:
    """Links to other hosts are allowed; a browser does not load them by itself."""
    html = '<a href="https://example.org/">x</a><script src="assets/a.js"></script>'

    assert [url for url in loaded_by(html) if is_foreign(url)] == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    """Every exported name is in the reference."""
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    documented = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}

    public = {f"sessionstore_sql.{name}" for name in sessionstore_sql.__all__}
    public |= {f"sessionstore_sql.testing.{name}" for name in testing.__all__}
    for module in (errors, migrate):
        public |= {
            f"{module.__name__}.{name}"
            for name, value in inspect.getmembers(module)
            if getattr(value, "__module__", None) == module.__name__
            if not name.startswith("_") and name not in INTERNAL
        }
    assert public - documented == set()


@pytest.mark.parametrize(
    "link",
    [
        "[x](nowhere.md)",
        "[x](index.md#nowhere)",
        "[x](#nowhere)",
        "[x][sessionstore_sql.Nowhere]",
    ],
)
def test_a_broken_link_is_an_error(link: str, tmp_path: Path) -> None:
    """A broken link to a page, an anchor or a name of the reference fails the build."""
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n{link}\n", encoding="utf-8")

    assert build(tmp_path).returncode != 0


def test_a_page_without_links_is_built(tmp_path: Path) -> None:
    """A page without links builds, so the links cause the errors above."""
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A page\n", encoding="utf-8")

    result = build(tmp_path)

    assert result.returncode == 0, result.stdout + result.stderr
