"""Server-side sessions on the SQL database an application already runs."""

from sessionstore_sql.backend import SessionStorageBackend
from sessionstore_sql.codec import JSONCodec, StateCodec
from sessionstore_sql.errors import (
    ChangeIdError,
    CreateError,
    DatabaseError,
    DeleteError,
    DeleteExpiredError,
    DeserializationError,
    DuplicateIdError,
    LoadError,
    SerializationError,
    SessionStoreError,
    UnknownIdError,
    UpdateError,
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

__all__ = [
    "JSON",
    "ChangeIdError",
    "CreateError",
    "DatabaseError",
    "DeleteError",
    "DeleteExpiredError",
    "DeserializationError",
    "DuplicateIdError",
    "JSONCodec",
    "LoadError",
    "PurgeEnd",
    "PurgeReport",
    "SQLSessionStore",
    "SerializationError",
    "SessionId",
    "SessionRecord",
    "SessionStorageBackend",
    "SessionStoreError",
    "StateCodec",
    "UnknownIdError",
    "UpdateError",
    "UpdateTtlError",
    "continuously_delete_expired",
    "delete_expired_in_batches",
]
