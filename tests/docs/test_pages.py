"""What the README and the pages of ``docs/`` show, done: see CONTRIBUTING.md, "Pages"."""

from __future__ import annotations

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
    for database in sorted(missing):
        url_or_skip(target_of(database), databases, request.config)
