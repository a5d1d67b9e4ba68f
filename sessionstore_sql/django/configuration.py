"""From Django's settings to a session store.

``SESSIONSTORE_SQL`` is a URL, or a dictionary:

- ``"url"``: a URL, as text or SQLAlchemy's; or
- ``"database"``: a name in ``DATABASES``, such as ``"default"``, for PostgreSQL, MySQL or
  MariaDB. A store of its own is opened there, through the driver that the store prefers;
- what else ``SQLSessionStore`` takes: ``"table"``, ``"schema"``, ``"codec"``,
  ``"engine_options"``, ``"coalesce"``, ``"telemetry"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import JSONSerializer
from django.utils.module_loading import import_string
from sqlalchemy import URL

from sessionstore_sql.django.serializer import SerializerCodec
from sessionstore_sql.schema import DEFAULT_TABLE
from sessionstore_sql.store import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTING = "SESSIONSTORE_SQL"

_DATABASES = {
    "postgresql": ("postgresql", "host"),
    "postgis": ("postgresql", "host"),
    "mysql": ("mysql", "unix_socket"),
}
"""By the last part of ``ENGINE``, which those who wrap one of Django's backends keep: how a URL
begins, and what its query calls a socket's path."""

_OF_NO_CONCERN = {"charset", "init_command", "isolation_level", "pool", "server_side_binding"}
"""``OPTIONS`` that say how Django works on its connections, not how to get one."""


def make_store() -> SQLSessionStore:
    """Return a new store, as the settings have it.

    Raises:
        ImproperlyConfigured: ``SESSIONSTORE_SQL`` is missing, or says what cannot be done.
        ModuleNotFoundError: The driver is not installed; the message says which extra brings it.
    """
    options = _configured()
    url = options.pop("url", None)
    alias = options.pop("database", None)
    if (url is None) == (alias is None):
        raise ImproperlyConfigured(f'{_SETTING} needs either "url" or "database"')
    serializer = import_string(settings.SESSION_SERIALIZER)
    if serializer is not JSONSerializer:
        options.setdefault("codec", SerializerCodec(serializer))
    try:
        return SQLSessionStore(_url_of(alias) if url is None else url, **options)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"{_SETTING}: {error}") from error


def configured_table() -> dict[str, Any]:
    """Return name and schema of the table, as the migrations take them."""
    options = _configured()
    return {"table": options.get("table", DEFAULT_TABLE), "schema": options.get("schema")}


def migrated_with() -> str:
    """Return the name in ``DATABASES`` whose migrations bring the table along."""
    alias = _configured().get("database", "default")
    return str(alias)


def _configured() -> dict[str, Any]:
    configured = getattr(settings, _SETTING, None)
    if configured is None:
        raise ImproperlyConfigured(
            f"{_SETTING} says where the sessions are: a URL such as postgresql://host/database, "
            'or {"database": "default"} for the one in DATABASES'
        )
    return dict(configured) if isinstance(configured, dict) else {"url": configured}


def _url_of(alias: str) -> URL:
    """Return the URL of a database of Django's.

    Read when the first session needs it, as Django's test runner changes it.
    """
    database: Mapping[str, Any] | None = settings.DATABASES.get(alias)
    if database is None:
        raise ImproperlyConfigured(f"{_SETTING} names {alias!r}, which is not in DATABASES")
    kind = str(database["ENGINE"]).rpartition(".")[2]
    if kind not in _DATABASES:
        raise ImproperlyConfigured(
            f"{_SETTING} cannot share {alias!r} ({database['ENGINE']}): give it a URL. On SQLite, "
            "one of another file: a view's transaction would lock its own session out"
        )
    # To leave out sslmode, or a file with the password, would not be what was asked for.
    if unknown := set(database.get("OPTIONS") or {}) - _OF_NO_CONCERN:
        raise ImproperlyConfigured(
            f"{_SETTING} cannot take over {', '.join(sorted(unknown))} of the OPTIONS of "
            f"{alias!r}: give it a URL"
        )
    drivername, socket = _DATABASES[kind]
    host, port = str(database.get("HOST") or ""), database.get("PORT")
    is_path = host.startswith("/")
    return URL.create(
        drivername,
        username=database.get("USER") or None,
        password=database.get("PASSWORD") or None,
        host=None if is_path else host or None,
        port=int(port) if port else None,
        database=database.get("NAME") or None,
        query={socket: host} if is_path else {},
    )
