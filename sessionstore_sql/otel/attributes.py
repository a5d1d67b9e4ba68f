"""The attributes of a database and of an error, as the semantic conventions name them.

https://opentelemetry.io/docs/specs/semconv/db/: version 1.44.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy.exc import DBAPIError

from sessionstore_sql.errors import (
    ConflictError,
    DatabaseError,
    DeserializationError,
    DuplicateIdError,
    SerializationError,
    UnknownIdError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL

    from sessionstore_sql.telemetry import StoreDescription

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
SIGN_IN_KIND = "sessionstore_sql.signed_in.kind"

_CAUSES = (
    DuplicateIdError,
    UnknownIdError,
    ConflictError,
    SerializationError,
    DeserializationError,
)


def attributes_of(url: URL, description: StoreDescription) -> Attributes:
    """Return the attributes that are the same for everything that a store does.

    They are taken from the URL. The database is not asked.
    """
    place = _place(url, description.namespace)
    return {SYSTEM: description.system, COLLECTION: description.table, **place}


def error_attributes(
    error: BaseException, status_code: Callable[[BaseException], str | None]
) -> Attributes:
    """Return the attributes of an error: codes and names of classes.

    The text is never among them: texts of drivers quote rows and bound values.
    """
    for cause in _CAUSES:
        if isinstance(error, cause):
            return {ERROR_TYPE: cause.__name__}
    if isinstance(error, DatabaseError):
        if error.__cause__ is None:
            return {ERROR_TYPE: DatabaseError.__name__}
        error = error.__cause__
    if isinstance(error, DBAPIError):
        error = error.orig or error
    code = status_code(error)
    if code is not None:
        return {ERROR_TYPE: code, STATUS_CODE: code}
    return {ERROR_TYPE: _canonical_name(type(error))}


def _place(url: URL, namespace: str | None) -> Attributes:
    named: dict[str, str | int | None] = {
        NAMESPACE: namespace,
        ADDRESS: url.host or _address_in_query(url),
        PORT: url.port,
    }
    # If an @ in the password was not written as %40, a part of the password is read as the host or
    # as the database.
    if any("@" in str(value) for value in named.values()):
        return {}
    return {name: value for name, value in named.items() if value is not None}


def _address_in_query(url: URL) -> str | None:
    """Return the hosts, if the query names several, or the path of a socket."""
    query = url.normalized_query
    hosts = [host for each in query.get("host", ()) for host in each.split(",")]
    ports = [port for each in query.get("port", ()) for port in each.split(",")]
    if len(hosts) == len(ports):
        hosts = [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            for host, port in zip(hosts, ports, strict=True)
        ]
    return ",".join(hosts or query.get("unix_socket", ())) or None


def _canonical_name(kind: type[BaseException]) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
