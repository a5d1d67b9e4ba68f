"""What goes in and comes out: the id of a session and its record."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""A JSON value. A state is a ``dict[str, JSON]``."""

MAX_TTL = timedelta(days=36_525)
"""The longest time to live: a hundred years, far inside the range of the deadline column."""

_MIN_TTL = timedelta(0)

MAX_ID_LENGTH = 1_024
"""The longest session id, in characters."""

_ID_BYTES = 32  # 256 bits; OWASP's Session Management Cheat Sheet asks for at least 64


@dataclass(frozen=True, slots=True, repr=False)
class SessionId:
    """A session's id: a bearer credential, so only ``value`` ever shows it.

    ``repr``, ``str`` and formatting hide the text. Two ids are equal when their texts are.

    Args:
        value: Any non-empty text of at most 1,024 characters that UTF-8 can encode.

    Raises:
        TypeError: ``value`` is not a ``str``.
        ValueError: ``value`` is empty, too long or holds a lone surrogate.
    """

    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise TypeError(f"a session id is a str, not {type(self.value).__name__}")
        if not self.value:
            raise ValueError("a session id cannot be empty")
        if len(self.value) > MAX_ID_LENGTH:
            raise ValueError(f"a session id has at most {MAX_ID_LENGTH} characters")
        if not is_encodable(self.value):
            raise ValueError("a session id must be encodable as UTF-8")

    @classmethod
    def generate(cls) -> SessionId:
        """Return a new random id: 256 bits from ``secrets``, URL-safe."""
        return cls(secrets.token_urlsafe(_ID_BYTES))

    def __repr__(self) -> str:
        return "SessionId(<hidden>)"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session's state and how long it lives.

    Args:
        state: A JSON object. Its ``repr`` is hidden, as it may hold personal data. It is
            checked value by value when it is stored, and not before.
        ttl: Time to live, counted by the database's clock from the moment it is stored;
            in a loaded record, the life that remains. Zero is legal and means expired at once.

    Raises:
        TypeError: ``state`` is not a ``dict`` or ``ttl`` is not a ``timedelta``.
        ValueError: ``ttl`` is negative or longer than 36,525 days.
    """

    state: dict[str, JSON] = field(repr=False)
    ttl: timedelta

    def __post_init__(self) -> None:
        if not isinstance(self.state, dict):
            raise TypeError(f"a state is a dict, not {type(self.state).__name__}")
        require_ttl(self.ttl)


def require_ttl(ttl: object) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless ``ttl`` is a legal time to live."""
    if not isinstance(ttl, timedelta):
        raise TypeError(f"a ttl is a timedelta, not {type(ttl).__name__}")
    if not _MIN_TTL <= ttl <= MAX_TTL:
        raise ValueError(f"a ttl lies between 0 and {MAX_TTL.days} days")


def require_batch_size(batch_size: object) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless a purge can be asked for so many sessions."""
    if not isinstance(batch_size, int) or isinstance(batch_size, bool):
        raise TypeError(f"batch_size is an int, not {type(batch_size).__name__}")
    if batch_size < 1:
        raise ValueError("batch_size is at least 1")


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can encode ``text``: only a lone surrogate prevents it."""
    # Not try/except at the raise above: a UnicodeEncodeError in the chain would carry the text.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
