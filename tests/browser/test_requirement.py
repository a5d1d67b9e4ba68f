"""The tests on a machine without Chromium."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.browser.servers import ROOT
from tests.databases import REQUIRE


@pytest.mark.parametrize(
    ("require", "outcome", "said"),
    [
        ("", 0, "NOT TESTED: chromium: it is not installed"),
        ("chromium", 1, "chromium is required: it is not installed"),
    ],
    ids=["laptop", "required"],
)
def test_without_chromium(require: str, outcome: int, said: str) -> None:
    """The tests are skipped and reported, or fail if Chromium is required."""
    looking = "tests/browser/test_shop.py::test_looking_leaves_no_cookie"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", looking],
        cwd=ROOT,
        env={"PATH": "", REQUIRE: require},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == outcome
    assert said in done.stdout
