"""What account sessions return: handles, list entries and loaded sessions."""

from __future__ import annotations

import base64
import enum
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sessionstore_sql.records import JSON, SessionRecord

HANDLE_BYTES = 16
"""Length of a handle in the database."""

MAX_VERSION = 2**63 - 1
"""The largest version that the column holds. 0 is the version of a row that has none."""

_HANDLE = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
"""16 bytes in base64url without padding; the last character has four bits to spare."""


class Unchanged(enum.Enum):
    """The type of ``UNCHANGED``."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return self.name


UNCHANGED: Final = Unchanged.UNCHANGED
"""Default of ``idle_ttl``: the session keeps the one it has."""

IdleTtl: TypeAlias = "timedelta | Literal[Unchanged.UNCHANGED] | None"
"""Type of ``idle_ttl``: a value, ``UNCHANGED``, or ``None`` for the application's default."""


@dataclass(frozen=True, slots=True)
class SessionHandle:
    """The public name of a signed-in session: 128 random bits, base64url.

    A handle identifies a session but gives no access to it, so it may be shown to the user and
    logged. It is still personal data. It is set at sign-in and stays the same when the id is
    rotated. Every operation takes it together with the subject: a guessed handle cannot end the
    session of another user.

    Args:
        value: The text of a handle, as ``SessionHandle.value`` gave it: 22 characters.

    Raises:
        TypeError: ``value`` is not a ``str``.
        ValueError: ``value`` is not the text of a handle.
    """

    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise TypeError(f"a session handle is a str, not {type(self.value).__name__}")
        if _HANDLE.fullmatch(self.value) is None:
            raise ValueError("a session handle is 16 bytes in base64url: 22 characters")

    @classmethod
    def generate(cls) -> SessionHandle:
        """Return a new random handle: 128 bits from ``secrets``."""
        return cls.from_bytes(secrets.token_bytes(HANDLE_BYTES))

    @classmethod
    def from_bytes(cls, data: bytes) -> SessionHandle:
        """Return the handle that is stored as ``data``.

        Raises:
            ValueError: ``data`` does not have 16 bytes.
        """
        return cls(base64.urlsafe_b64encode(data).rstrip(b"=").decode())

    def __bytes__(self) -> bytes:
        """Return the 16 bytes that a backend stores."""
        return base64.urlsafe_b64decode(f"{self.value}==")

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One entry in the list of a user's sessions. It holds neither an id nor a state.

    All times are in UTC and by the database's clock.
    """

    handle: SessionHandle
    """Names the session in ``revoke``."""
    created: datetime
    """When the user signed in. Re-authentication does not change it."""
    seen: datetime
    """When the session was last written. Loading a session does not change it."""
    authenticated: datetime
    """When the user last signed in or re-authenticated."""
    expires: datetime
    """When the session expires unless it is used."""
    ends: datetime | None
    """When the session ends even if it is used; ``None`` if it has no absolute lifetime."""
    about: dict[str, JSON] = field(repr=False)
    """What the application passed to ``sign_in``; empty if that was nothing."""


class AccountReference:
    """Finds a loaded session again after its id was rotated: digests of its subject, and handle."""

    __slots__ = ("digests", "handle")

    def __init__(self, digests: tuple[bytes, ...], handle: bytes) -> None:
        self.digests = digests
        self.handle = handle

    def __repr__(self) -> str:
        return "AccountReference(<hidden>)"


@dataclass(frozen=True, slots=True)
class AccountSession:
    """A live session with what the database knows about its sign-in."""

    record: SessionRecord
    """State and remaining time to live, as ``load`` returns them."""
    handle: SessionHandle | None
    """Names the session among its user's; ``None`` if it is anonymous."""
    authenticated_ago: timedelta | None
    """Time since the user signed in or re-authenticated; ``None`` if it is anonymous."""
    ends_in: timedelta | None
    """Time until the absolute lifetime is over; ``None`` if the session has none."""
    version: int
    """Changes whenever a state is stored. For ``update_if``, ``replace`` and ``sign_in``."""
    account: object = field(repr=False, compare=False)
    """Whose session it is, for ``sign_out``. Only the backend that made it can read it."""
    idle_ttl: timedelta | None = None
    """The session's own idle time; ``None`` means the application's default."""
    subject: str | None = field(default=None, repr=False)
    """The user, as ``sign_in`` was given it; ``None`` if the session is anonymous, or if what is
    stored about the sign-in cannot be decoded."""
