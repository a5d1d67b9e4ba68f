"""What a request leaves behind, and what its response says in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sessionstore_sql.accounts import UNCHANGED
from sessionstore_sql.web.decision import Cookie, Found, Lost, Wish

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.accounts.sessions import IdleTtl
    from sessionstore_sql.records import SessionId
    from sessionstore_sql.web.changes import Changes
    from sessionstore_sql.web.loaded import Loaded, SignIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a request leaves behind.

    Args:
        found: What the request presented.
        unknown_ids: The presented ids that are not live.
        stored_id: The id of a session that is live, but cannot be decoded.
        loaded: The session that was loaded.
        wish: What the application asked for.
        sign_in: What it said at a sign-in.
        state: The state that it leaves.
        changes: What it changed in the state that was loaded.
        idle_ttl: The idle time that it gave the session.
        new_id: The id to store the session under if it gets a new one; ``None``: any.
        keeps_empty: Whether the session is stored even if its state is empty.
    """

    found: Found
    unknown_ids: tuple[SessionId, ...] = ()
    stored_id: SessionId | None = None
    loaded: Loaded | None = None
    wish: Wish = Wish.NOTHING
    sign_in: SignIn | None = None
    state: dict[str, Any] = field(repr=False)
    changes: Changes
    idle_ttl: IdleTtl = UNCHANGED
    new_id: SessionId | None = None
    keeps_empty: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the response says about the cookie.

    Args:
        cookie: Whether the cookie is set, removed or left alone.
        session_id: The id to set; ``None`` if none is set.
        max_age: How long the client may keep it; ``None``: until the browser is closed.
        lost: Why nothing was stored, if the session ended in the meantime.
    """

    cookie: Cookie
    session_id: SessionId | None = None
    max_age: timedelta | None = None
    lost: Lost | None = None
