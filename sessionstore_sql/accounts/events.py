"""Events for an application's audit log: who signed in, and which sessions ended."""

from __future__ import annotations

import enum
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sessionstore_sql.accounts.sessions import SessionHandle

_log = logging.getLogger("sessionstore_sql.accounts")


class AccountEventKind(enum.StrEnum):
    """What an ``AccountEvent`` reports."""

    SIGNED_IN = "signed_in"
    """A session of this user began."""
    REAUTHENTICATED = "reauthenticated"
    """The user of a session proved again who they are."""
    SIGNED_OUT = "signed_out"
    """``sign_out`` ended a session."""
    REVOKED = "revoked"
    """``revoke`` ended sessions."""
    EVICTED = "evicted"
    """A sign-in exceeded ``max_sessions``, so the user's oldest sessions were ended."""


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """What one call did, reported after it was committed.

    A call reports an event of a kind at most once, however many sessions it ended, and none if
    it ended none.
    """

    kind: AccountEventKind
    """What happened."""
    subject: str | None = field(repr=False)
    """The user, as the caller named them; ``None`` where the call names no user: ``sign_out``."""
    handles: tuple[SessionHandle, ...]
    """The sessions. May hold fewer than ``count`` where the database does not return them."""
    count: int
    """How many sessions it concerns."""


OnEvent: TypeAlias = Callable[[AccountEvent], Awaitable[object] | object]
"""A function or a coroutine function that is called with each event."""


def require_on_event(on_event: object) -> None:
    """Raise ``TypeError`` unless ``on_event`` is ``None`` or can be called."""
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event is a function, not {type(on_event).__name__}")


async def report(on_event: OnEvent | None, event: AccountEvent) -> None:
    """Call ``on_event``. An exception that it raises is logged, as the change is committed."""
    if on_event is None:
        return
    try:
        outcome = on_event(event)
        if inspect.isawaitable(outcome):
            await outcome
    except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to the application
        # Only the class: the message may name the user.
        _log.error(
            "on_event raised %s for an account event %s; the change itself is committed",
            type(error).__name__,
            event.kind.value,
        )
