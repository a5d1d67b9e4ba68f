"""The built site, for the tests that look at it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a folder with an ``mkdocs.yml``, as ``make docs`` does."""
    return subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--clean", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    if given := os.environ.get("SESSIONSTORE_TEST_SITE"):
        return ROOT / given
    result = build(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    return ROOT / "build" / "site"
