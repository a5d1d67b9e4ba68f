"""The user accounts of the shop.

A real shop keeps them in a table of users. These live as long as the server, and changed passwords
are forgotten when it stops.
"""

from __future__ import annotations

import hashlib
import secrets

MIN_PASSWORD_LENGTH = 8

_UNKNOWN = b""


def is_right(name: str, password: str) -> bool:
    """Whether this is the password of the user ``name``."""
    salt, expected = _hashes.get(name, (_UNKNOWN, _UNKNOWN))
    # Hashed for unknown names as well: the time of the answer does not tell which names exist.
    return secrets.compare_digest(_hash(password, salt), expected)


def set_password(name: str, password: str) -> None:
    """Change the password of a user.

    Raises:
        ValueError: It is too short.
    """
    if len(password) < MIN_PASSWORD_LENGTH:
        raise ValueError(f"a password has at least {MIN_PASSWORD_LENGTH} characters")
    _store(name, password)


def _store(name: str, password: str) -> None:
    salt = secrets.token_bytes(16)
    _hashes[name] = salt, _hash(password, salt)


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


_hashes: dict[str, tuple[bytes, bytes]] = {}
for _name, _password in {"ada": "lovelace", "grace": "hopper"}.items():
    _store(_name, _password)
