"""Who may log in."""

from __future__ import annotations

import secrets

_PASSWORDS = {"ada": "lovelace", "grace": "hopper"}
"""A shop of yours has hashes of them, in a table of users."""


def is_right(name: str, password: str) -> bool:
    """Whether this is somebody's password."""
    expected = _PASSWORDS.get(name, "")
    return expected != "" and secrets.compare_digest(password.encode(), expected.encode())
