"""From Django's settings to a session store and the options of its sessions.

``SESSIONSTORE_SQL`` is a URL, or a dictionary:

- ``"url"``: a URL, as text or SQLAlchemy's; or
- ``"database"``: a name in ``DATABASES``, such as ``"default"``, for PostgreSQL, MySQL or
  MariaDB. The store opens connections of its own to it, through the driver that it prefers; or
- ``"store"``: a function that returns a store, or the dotted path of one;
- ``"on_conflict"``, ``"max_state_bytes"``, ``"anonymous_max_age"``, ``"renewal_threshold"``:
  options of the sessions, see ``SessionOptions`` and ``Lifetimes``;
- all other keys are options of ``SQLSessionStore``: ``"table"``, ``"schema"``, ``"codec"``,
  ``"engine_options"``, ``"coalesce"``, ``"telemetry"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.contrib.sessions.backends.base import VALID_KEY_CHARS
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import JSONSerializer
from django.utils.crypto import get_random_string
from django.utils.module_loading import import_string
from sqlalchemy import URL

from sessionstore_sql.accounts import AccountSessionBackend
from sessionstore_sql.django.serializer import SerializerCodec
from sessionstore_sql.records import SessionId
from sessionstore_sql.schema import DEFAULT_TABLE
from sessionstore_sql.store import SQLSessionStore
from sessionstore_sql.web.bearer import BearerToken
from sessionstore_sql.web.lifetimes import DEFAULT_RENEWAL_THRESHOLD, Lifetimes, duration_of
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sessionstore_sql.backend import SessionStorageBackend

_SETTING = "SESSIONSTORE_SQL"

_SESSION_OPTIONS = {
    *("on_conflict", "max_state_bytes", "anonymous_max_age", "renewal_threshold", "bearer"),
}
"""Keys that are not options of the store."""

_DATABASES = {
    "postgresql": ("postgresql", "host"),
    "postgis": ("postgresql", "host"),
    "mysql": ("mysql", "unix_socket"),
}
"""By the last part of ``ENGINE``, which packages that wrap a backend of Django's keep: how a URL
begins, and the name of the path of a socket in its query."""

_IGNORED_OPTIONS = {"charset", "init_command", "isolation_level", "pool", "server_side_binding"}
"""``OPTIONS`` about what Django does on its connections. They do not say how to connect."""

_OWN_IDS = 32
"""Characters of a new key, 165 bits. It is the length of Django's own keys: applications store
them in columns of 40 characters, as the model ``Session`` does."""

USER_KEY = "_auth_user_id"
"""The key of a state under which ``django.contrib.auth`` stores the id of the user."""


def make_store() -> SQLSessionStore:
    """Return a new store according to the settings.

    Raises:
        ImproperlyConfigured: ``SESSIONSTORE_SQL`` is missing or wrong.
        ModuleNotFoundError: The driver is not installed; the message names the extra.
    """
    options = {key: each for key, each in _configured().items() if key not in _SESSION_OPTIONS}
    url = options.pop("url", None)
    alias = options.pop("database", None)
    factory = options.pop("store", None)
    if sum(each is not None for each in (url, alias, factory)) != 1:
        raise ImproperlyConfigured(f'{_SETTING} needs either "url", "database" or "store"')
    if factory is not None:
        return _made_by(factory, options)
    if not has_default_serializer():
        serializer = import_string(settings.SESSION_SERIALIZER)
        options.setdefault("codec", SerializerCodec(serializer))
    try:
        return SQLSessionStore(_url_of(alias) if url is None else url, **options)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"{_SETTING}: {error}") from error


def make_sessions(store: SessionStorageBackend) -> Sessions:
    """Return the sessions in a store, with the options in the settings.

    Raises:
        ImproperlyConfigured: An option is of a wrong type or range, or needs another store.
    """
    given = {key: each for key, each in _configured().items() if key in _SESSION_OPTIONS}
    anonymous = given.pop("anonymous_max_age", None)
    threshold = given.pop("renewal_threshold", DEFAULT_RENEWAL_THRESHOLD)
    bearer = given.pop("bearer", None)
    if not isinstance(bearer, BearerToken | None):
        raise ImproperlyConfigured(f'{_SETTING}: "bearer" is a BearerToken')
    knows_users = isinstance(store, AccountSessionBackend)
    try:
        lifetimes = Lifetimes(
            anonymous_max_age=(
                None if anonymous is None else duration_of(anonymous, "anonymous_max_age")
            ),
            renewal_threshold=threshold,
        )
        options = SessionOptions(
            lifetimes=lifetimes,
            subject_of=_user_of if knows_users else None,
            new_id=lambda: SessionId(new_key()),
            tuples_as_lists=has_default_serializer(),
            **given,
        )
        name = settings.SESSION_COOKIE_NAME if bearer is None else bearer.name
        return Sessions(store, options, name=name)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"{_SETTING}: {error}") from error


def configured_bearer() -> BearerToken | None:
    """Return what sends the keys in headers; ``None``: a cookie does.

    Whether the setting is right is found out when a session is used.
    """
    configured = getattr(settings, _SETTING, None)
    bearer = configured.get("bearer") if isinstance(configured, dict) else None
    return bearer if isinstance(bearer, BearerToken) else None


def new_key() -> str:
    """Return a new key in the form of Django's."""
    return get_random_string(_OWN_IDS, VALID_KEY_CHARS)


def has_default_serializer() -> bool:
    """Return whether the project has no serializer of its own."""
    return import_string(settings.SESSION_SERIALIZER) is JSONSerializer


def configured_table() -> dict[str, Any]:
    """Return name and schema of the table, as the migrations take them."""
    options = _configured()
    return {"table": options.get("table", DEFAULT_TABLE), "schema": options.get("schema")}


def has_table() -> bool:
    """Return whether the project's store has a table that this package creates."""
    return "store" not in _configured()


def migrated_with() -> str:
    """Return the name in ``DATABASES`` whose migrations also create the table."""
    alias = _configured().get("database", "default")
    return str(alias)


def _configured() -> dict[str, Any]:
    configured = getattr(settings, _SETTING, None)
    if configured is None:
        raise ImproperlyConfigured(
            f"{_SETTING} is missing. It says where the sessions are: a URL such as "
            'postgresql://host/database, or {"database": "default"} for the one in DATABASES'
        )
    return dict(configured) if isinstance(configured, dict) else {"url": configured}


def _made_by(factory: object, options: dict[str, Any]) -> SQLSessionStore:
    if options:
        raise ImproperlyConfigured(
            f'{_SETTING}: {", ".join(options)}: give these options to the store that "store" makes'
        )
    try:
        make = import_string(factory) if isinstance(factory, str) else factory
    except ImportError as error:
        raise ImproperlyConfigured(f"{_SETTING}: {error}") from error
    if not callable(make):
        raise ImproperlyConfigured(f'{_SETTING}: "store" is a function that returns a store')
    return cast("SQLSessionStore", make())


def _user_of(state: dict[str, Any]) -> object:
    return state.get(USER_KEY)


def _url_of(alias: str) -> URL:
    """Return the URL of a database of Django's.

    It is read when the first session needs it, because Django's test runner changes it.
    """
    database: Mapping[str, Any] | None = settings.DATABASES.get(alias)
    if database is None:
        raise ImproperlyConfigured(f"{_SETTING} names {alias!r}, which is not in DATABASES")
    kind = str(database["ENGINE"]).rpartition(".")[2]
    if kind not in _DATABASES:
        raise ImproperlyConfigured(
            f"{_SETTING} cannot share {alias!r} ({database['ENGINE']}): give it a URL. On SQLite, "
            "use another file: the transaction of a view would lock out its own session"
        )
    # A connection without the sslmode that was configured would be a silent downgrade.
    if unknown := set(database.get("OPTIONS") or {}) - _IGNORED_OPTIONS:
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
