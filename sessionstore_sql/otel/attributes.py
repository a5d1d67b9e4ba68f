"""What is said of a database and of an error, as the conventions name it.

https://opentelemetry.io/docs/specs/semconv/db/: version 1.44.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sessionstore_sql.errors import (
    DatabaseError,
    DeserializationError,
    DuplicateIdError,
    SerializationError,
    UnknownIdError,
)
from sessionstore_sql.failures import driver_error_of

if TYPE_CHECKING:
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sessionstore_sql.dialects import Dialect

Attributes: TypeAlias = "dict[str, str | int]"

COLLECTION = "db.collection.name"
NAMESPACE = "db.namespace"
OPERATION = "db.operation.name"
BATCH_SIZE = "db.operation.batch.size"
STATUS_CODE = "db.response.status_code"
SYSTEM = "db.system.name"
ERROR_TYPE = "error.type"
ADDRESS = "server.address"
PORT = "server.port"

_CAUSES = (DuplicateIdError, UnknownIdError, SerializationError, DeserializationError)


def attributes_of(engine: AsyncEngine, dialect: Dialect, table: str) -> Attributes:
    """Return what is the same for everything that a store does.

    It is what the URL says: nothing is asked of the database.
    """
    return {SYSTEM: engine.dialect.name, COLLECTION: table, **_place(engine.url, dialect)}


def error_attributes(error: BaseException, dialect: Dialect) -> Attributes:
    """Return what class of error it is.

    Codes and names of classes, never a text: those of drivers quote rows and bound values.
    """
    for cause in _CAUSES:
        if isinstance(error, cause):
            return {ERROR_TYPE: cause.__name__}
    if isinstance(error, DatabaseError):
        if error.__cause__ is None:
            return {ERROR_TYPE: DatabaseError.__name__}
        error = error.__cause__
    error = driver_error_of(error)
    code = dialect.status_code(error)
    if code is not None:
        return {ERROR_TYPE: code, STATUS_CODE: code}
    return {ERROR_TYPE: _canonical_name(type(error))}


def _place(url: URL, dialect: Dialect) -> Attributes:
    named: dict[str, str | int | None] = {
        NAMESPACE: dialect.namespace(url),
        ADDRESS: url.host or _address_in_query(url),
        PORT: url.port,
    }
    # An @ that should have been written as %40 puts a part of the password into the host's place,
    # or the database's.
    if any("@" in str(value) for value in named.values()):
        return {}
    return {name: value for name, value in named.items() if value is not None}


def _address_in_query(url: URL) -> str | None:
    """Return the hosts, where there are several, or a socket's path."""
    query = url.normalized_query
    return ",".join(query.get("host", ()) or query.get("unix_socket", ())) or None


def _canonical_name(kind: type[BaseException]) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
