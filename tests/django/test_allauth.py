"""django-allauth, whose settings are not those of the other tests, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

ROOT = Path(__file__).parents[2]

SEEN = {
    "signed up": "ada",
    "logged out": "",
    "logged in": "ada",
    "new key": True,
    "remembered": 14 * 24 * 60 * 60,
    "password changed": "ada",
    "new key after a new password": True,
    "logged in by code": "ada",
    "redirected to": "/me",
    "logged in by a provider": "bob",
    "sent to": "https://github.com/login/oauth/authorize",
}


@pytest.mark.parametrize("in_memory", [True, False])
def test_users_sign_up_and_log_in(url: URL, in_memory: bool) -> None:
    """With a password, a code and a provider; two tabs at once, and a changed password."""
    where = "memory" if in_memory else url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-m", "tests.django.allauth_site", where],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == SEEN
