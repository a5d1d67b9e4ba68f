"""Runs the examples of the README and of ``docs/``; see CONTRIBUTING.md, "Pages"."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import url_or_skip
from tests.databases import Databases
from tests.docs.pages import ROOT, blocks_of, page_paths
from tests.docs.stand_ins import target_of
from tests.docs.walk import walk

_PAGES = page_paths()
_RECIPES = [path for path in _PAGES if path.parent.name == "recipes"]
_GUIDES = [path for path in _PAGES if path.parent.name == "guides"]
_OTHERS = [path for path in _PAGES if path not in {*_RECIPES, *_GUIDES}]


def on(paths: list[Path]) -> pytest.MarkDecorator:
    """Run a test on each of the pages."""
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


class PageTests:
    """All blocks of a page run, from top to bottom, in one folder."""

    def test_a_page_works(
        self, path: Path, databases: Databases, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        """A database that is not available skips the page."""
        missing = walk(blocks_of(path), tmp_path, databases)
        if missing is not None:
            url_or_skip(target_of(missing), databases, request.config)


# A class is what one process runs, so the pages do not wait for one another.
@on(_GUIDES)
class TestGuides(PageTests):
    """The guides."""


@on(_RECIPES)
class TestRecipes(PageTests):
    """The recipes."""


@on(_OTHERS)
class TestOtherPages(PageTests):
    """Everything else."""


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_links_of_files_outside_the_site_lead_somewhere(name: str) -> None:
    """The build of the site does not check the links in these files."""
    page = ROOT / name
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))

    missing = [
        target for target in targets if ":" not in target and not (page.parent / target).exists()
    ]

    assert missing == []
