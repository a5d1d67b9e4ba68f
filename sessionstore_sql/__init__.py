"""Server-side sessions on the SQL database an application already runs."""

from typing import TYPE_CHECKING

from sessionstore_sql.accounts import (
    UNCHANGED,
    AccountEvent,
    AccountEventKind,
    AccountSession,
    AccountSessionBackend,
    SessionHandle,
    SessionInfo,
    Unchanged,
)
from sessionstore_sql.backend import SessionStorageBackend
from sessionstore_sql.codec import JSONCodec, StateCodec
from sessionstore_sql.errors import (
    ChangeIdError,
    ConflictError,
    CreateError,
    DatabaseError,
    DeleteError,
    DeleteExpiredError,
    DeserializationError,
    DuplicateIdError,
    LoadError,
    LoadSessionError,
    ReplaceError,
    RevokeError,
    SerializationError,
    SessionsOfError,
    SessionStoreError,
    SignInError,
    SignOutError,
    UnknownIdError,
    UpdateError,
    UpdateIfError,
    UpdateTtlError,
)
from sessionstore_sql.purging import (
    PurgeEnd,
    PurgeReport,
    continuously_delete_expired,
    delete_expired_in_batches,
)
from sessionstore_sql.records import JSON, SessionId, SessionRecord
from sessionstore_sql.store import SQLSessionStore

if TYPE_CHECKING:
    from sessionstore_sql.encryption import EncryptedCodec as EncryptedCodec

__all__ = [
    "JSON",
    "UNCHANGED",
    "AccountEvent",
    "AccountEventKind",
    "AccountSession",
    "AccountSessionBackend",
    "ChangeIdError",
    "ConflictError",
    "CreateError",
    "DatabaseError",
    "DeleteError",
    "DeleteExpiredError",
    "DeserializationError",
    "DuplicateIdError",
    "JSONCodec",
    "LoadError",
    "LoadSessionError",
    "PurgeEnd",
    "PurgeReport",
    "ReplaceError",
    "RevokeError",
    "SQLSessionStore",
    "SerializationError",
    "SessionHandle",
    "SessionId",
    "SessionInfo",
    "SessionRecord",
    "SessionStorageBackend",
    "SessionStoreError",
    "SessionsOfError",
    "SignInError",
    "SignOutError",
    "StateCodec",
    "Unchanged",
    "UnknownIdError",
    "UpdateError",
    "UpdateIfError",
    "UpdateTtlError",
    "continuously_delete_expired",
    "delete_expired_in_batches",
]


if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> object:
        """Import what needs an extra when it is asked for, and not before."""
        if name == "EncryptedCodec":
            from sessionstore_sql.encryption import EncryptedCodec  # noqa: PLC0415

            return EncryptedCodec
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
