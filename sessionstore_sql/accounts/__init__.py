"""Account sessions: whose sessions these are, how to list them and how to end them."""

from sessionstore_sql.accounts.backend import AccountSessionBackend
from sessionstore_sql.accounts.events import AccountEvent, AccountEventKind
from sessionstore_sql.accounts.sessions import (
    UNCHANGED,
    AccountSession,
    SessionHandle,
    SessionInfo,
    Unchanged,
)

__all__ = [
    "UNCHANGED",
    "AccountEvent",
    "AccountEventKind",
    "AccountSession",
    "AccountSessionBackend",
    "SessionHandle",
    "SessionInfo",
    "Unchanged",
]
