"""An integration whose framework is not installed names the extra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("extra", "framework"),
    [
        ("starlette", "starlette"),
        ("fastapi", "fastapi"),
        ("litestar", "litestar"),
        ("aiohttp", "aiohttp_session"),
        ("flask", "flask"),
        ("quart", "quart"),
        ("django", "django"),
        ("starsessions", "starsessions"),
        ("otel", "opentelemetry"),
        ("encryption", "cryptography"),
    ],
)
def test_a_missing_framework_is_named_with_its_extra(extra: str, framework: str) -> None:
    """The error names the framework and the extra to install."""
    script = f"import sys; sys.modules[{framework!r}] = None; import sessionstore_sql.{extra}"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: {framework} is not installed: "
        f"pip install 'sessionstore-sql[{extra}]'"
    )
