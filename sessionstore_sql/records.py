"""What goes in and comes out: the id of a session and its record."""

from __future__ import annotations

import hashlib
import os
import random
import secrets
from dataclasses import FrozenInstanceError, dataclass, field
from datetime import timedelta
from typing import NoReturn, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""A JSON value. A state is a ``dict[str, JSON]``."""

MAX_TTL = timedelta(days=36_525)
"""The longest time to live: a hundred years, far inside the range of the deadline column."""

_MIN_TTL = timedelta(0)

MAX_ID_LENGTH = 1_024
"""The longest session id, in characters."""

KEY_BYTES = 32
"""Number of bytes in a key, which stands for an id in the database."""

_random = random.Random()  # noqa: S311  # seeded by the operating system; an application cannot seed it
if hasattr(os, "register_at_fork"):  # two processes must not choose the same; Windows has no fork
    os.register_at_fork(after_in_child=_random.seed)

_ID_BYTES = 32  # 256 bits; OWASP's Session Management Cheat Sheet asks for at least 64


class SessionId:
    """A session's id: a bearer credential, so only ``value`` ever shows it.

    ``repr``, ``str`` and formatting hide the text. So do serialisers, which find no fields in it:
    ``json``, ``orjson``, ``dataclasses.asdict``, pydantic and FastAPI's encoder reject it or leave
    it as it is. It cannot be pickled: pass ``value`` where an id is meant to leave the process.
    Two ids are equal when their texts are.

    Args:
        value: Any non-empty text of at most 1,024 characters that UTF-8 can encode.

    Raises:
        TypeError: ``value`` is not a ``str``.
        ValueError: ``value`` is empty, too long or holds a lone surrogate.
    """

    __slots__ = ("_text",)
    __match_args__ = ("value",)

    _text: str

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"a session id is a str, not {type(value).__name__}")
        if (fault := _fault_of(value)) is not None:
            del value  # it would be among the variables of the traceback
            raise ValueError(fault)
        object.__setattr__(self, "_text", value)

    @classmethod
    def generate(cls) -> SessionId:
        """Return a new random id: 256 bits from ``secrets``, URL-safe."""
        return cls(secrets.token_urlsafe(_ID_BYTES))

    @classmethod
    def reserved(cls, purpose: str) -> SessionId:
        """Return an id that no client can present: it is longer than the constructor accepts.

        It is for rows beside the sessions. Every text that a client sends goes through the
        constructor, whatever the framework, so none can be mistaken for such a row.
        """
        session_id = object.__new__(cls)
        object.__setattr__(session_id, "_text", purpose.ljust(MAX_ID_LENGTH + 1, "."))
        return session_id

    @property
    def value(self) -> str:
        """The text: what a client has to present."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SessionId):
            return NotImplemented
        return self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "SessionId(<hidden>)"

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __copy__(self) -> SessionId:
        return self

    def __deepcopy__(self, _memo: object) -> SessionId:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a SessionId is a credential and is not pickled; pass its value where the id is "
            "meant to leave the process"
        )


@dataclass(frozen=True, slots=True)
class _RecordFields:
    state: dict[str, JSON] = field(repr=False)
    ttl: timedelta

    def __post_init__(self) -> None:
        if not isinstance(self.state, dict):
            raise TypeError(f"a state is a dict, not {type(self.state).__name__}")
        require_ttl(self.ttl)


# Not decorated itself: orjson, and so many a JSON logger, writes out every class that is.
class SessionRecord(_RecordFields):
    """A session's state and how long it lives: a frozen dataclass.

    Args:
        state: A JSON object. Its ``repr`` is hidden, as it may hold personal data. It is
            checked value by value when it is stored, and not before.
        ttl: Time to live, counted by the database's clock from the moment it is stored;
            in a loaded record, the life that remains. Zero is legal and means expired at once.

    Raises:
        TypeError: ``state`` is not a ``dict`` or ``ttl`` is not a ``timedelta``.
        ValueError: ``ttl`` is negative or longer than 36,525 days.
    """

    __slots__ = ()


def key_of(session_id: SessionId) -> bytes:
    """Return the key of a session: the SHA-256 of its id. A leaked table holds no credentials.

    The ids have 256 random bits, so neither a salt nor a slow hash would add security.
    """
    return hashlib.sha256(session_id.value.encode()).digest()


def new_version() -> int:
    """Return the version of a state that is about to be stored.

    The writer chooses it, so that it recognises its own write if it has to repeat it. It is
    random, so that no other writer chooses the same. It need not be a secret: ``secrets`` would
    take as long as the hash of an id.
    """
    return _random.getrandbits(63) or 1


def require_id(session_id: object) -> None:
    """Raise ``TypeError`` unless ``session_id`` is a ``SessionId``."""
    if not isinstance(session_id, SessionId):
        raise TypeError(f"a session id is a SessionId, not {type(session_id).__name__}")


def require_record(record: object) -> None:
    """Raise ``TypeError`` unless ``record`` is a ``SessionRecord``."""
    if not isinstance(record, SessionRecord):
        raise TypeError(f"a record is a SessionRecord, not {type(record).__name__}")


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


def _fault_of(text: str) -> str | None:
    if not text:
        return "a session id cannot be empty"
    if len(text) > MAX_ID_LENGTH:
        return f"a session id has at most {MAX_ID_LENGTH} characters"
    if not is_encodable(text):
        return "a session id must be encodable as UTF-8"
    return None


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can encode ``text``: only a lone surrogate prevents it."""
    # Not try/except at the raise above: a UnicodeEncodeError in the chain would carry the text.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
