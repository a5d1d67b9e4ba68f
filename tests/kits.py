"""Runs contract tests on backends that are written as text, and reports which of them fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def failed_tests(source: Sequence[str], selected: Sequence[str]) -> dict[str, set[str]]:
    """Run tests of a module in a process of their own.

    Args:
        source: Parts of the module.
        selected: Which tests: ``TestClass`` or ``TestClass::test_name``.

    Returns:
        The names of the tests that failed, by the class, without ``Test``.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test_backends.py")
        path.write_text("\n".join(source))
        command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "-p", "anyio"]
        command += ["-p", "no:cacheprovider", "-W", "error", "--rootdir", folder]
        finished = subprocess.run(
            [*command, *(f"{path}::{each}" for each in selected)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert re.search(r"\d+ failed, \d+ passed", finished.stdout), finished.stdout + finished.stderr
    found: dict[str, set[str]] = {}
    for backend, test in re.findall(
        r"^(?:FAILED|ERROR) \S*?::Test(\w+)::(\w+)", finished.stdout, re.MULTILINE
    ):
        found.setdefault(backend, set()).add(test)
    return found
