"""What the README and the pages of ``docs/`` show, done: see CONTRIBUTING.md, "Pages"."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import url_or_skip
from tests.databases import Databases
from tests.docs.pages import ROOT, blocks_of, page_paths
from tests.docs.stand_ins import target_of
from tests.docs.walk import walk


@pytest.mark.parametrize("path", page_paths(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_works(
    path: Path, databases: Databases, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Everything on it, from top to bottom, in one folder."""
    missing = walk(blocks_of(path), tmp_path, databases)
    if missing is not None:
        url_or_skip(target_of(missing), databases, request.config)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_links_of_files_outside_the_site_lead_somewhere(name: str) -> None:
    """The build of the site does not see them."""
    page = ROOT / name
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))

    missing = [
        target for target in targets if ":" not in target and not (page.parent / target).exists()
    ]

    assert missing == []
