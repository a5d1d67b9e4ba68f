"""An integration whose framework is not installed says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("extra", "framework"),
    [("litestar", "litestar"), ("aiohttp", "aiohttp_session"), ("otel", "opentelemetry")],
)
def test_a_missing_framework_is_named_with_its_extra(extra: str, framework: str) -> None:
    """As a missing driver is."""
    script = f"import sys; sys.modules[{framework!r}] = None; import sessionstore_sql.{extra}"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: {framework} is not installed: "
        f"pip install 'sessionstore-sql[{extra}]'"
    )
