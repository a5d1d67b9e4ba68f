"""Subjects: the application's user ids, of which the database holds digests only.

A digest has a fixed length and no collation, and shows no name in plans and logs. A plain
digest can be found by trying user ids, so an application can add a secret key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from sessionstore_sql.records import is_encodable

MAX_SUBJECT_LENGTH = 1_024
"""Maximum length of a subject, in characters."""

MIN_KEY_LENGTH = 16
"""Minimum length of a key, in bytes."""

_PREFIX = b"sessionstore subject\0"
"""Keeps these digests apart from any others of the same text."""


class SubjectKeys:
    """The keys under which subjects are hashed, the newest first.

    Sessions are written under the first key and found under every key. So a key is replaced by
    putting the new one in front, and removed when the last session under it has ended. ``None``
    stands for a plain SHA-256; an empty sequence means ``(None,)``.

    Args:
        keys: Keys of at least 16 bytes, and ``None``.

    Raises:
        TypeError: ``keys`` is not a sequence of ``bytes`` and ``None``.
        ValueError: A key is shorter than 16 bytes.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes | None] = ()) -> None:
        _require_keys(keys)
        self._keys = tuple(keys) or (None,)

    def __len__(self) -> int:
        """Return under how many digests a session of a subject may be found."""
        return len(self._keys)

    def digest(self, subject: str) -> bytes:
        """Return the digest under which a session of ``subject`` is written."""
        return subject_digest(subject, self._keys[0])

    def digests(self, subject: str) -> tuple[bytes, ...]:
        """Return every digest under which a session of ``subject`` may be found."""
        return tuple([subject_digest(subject, key) for key in self._keys])


def subject_digest(subject: str, key: bytes | None) -> bytes:
    """Return the 32 bytes that stand for ``subject``: HMAC-SHA-256, or SHA-256 without a key."""
    message = _PREFIX + subject.encode()
    if key is None:
        return hashlib.sha256(message).digest()
    return hmac.digest(key, message, "sha256")


def require_subject(subject: object) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless ``subject`` can name a user."""
    if not isinstance(subject, str):
        raise TypeError(f"a subject is a str, not {type(subject).__name__}")
    if not 1 <= len(subject) <= MAX_SUBJECT_LENGTH:
        raise ValueError(f"a subject has 1 to {MAX_SUBJECT_LENGTH} characters")
    if not is_encodable(subject):
        raise ValueError("a subject must be encodable as UTF-8")


def _require_keys(keys: object) -> None:
    # Text and bytes are sequences too: a single key that was not put into a tuple.
    if isinstance(keys, (str, bytes, bytearray)) or not isinstance(keys, Sequence):
        raise TypeError(f"subject_keys is a sequence of keys, not {type(keys).__name__}")
    for key in keys:
        if key is not None and not isinstance(key, bytes):
            raise TypeError(f"a subject key is bytes or None, not {type(key).__name__}")
        if key is not None and len(key) < MIN_KEY_LENGTH:
            raise ValueError(f"a subject key has at least {MIN_KEY_LENGTH} bytes")
