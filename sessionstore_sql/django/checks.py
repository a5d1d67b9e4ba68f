"""What ``manage.py check`` says about the sessions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from sqlalchemy.exc import SQLAlchemyError

from sessionstore_sql import migrate
from sessionstore_sql.django.configuration import (
    configured_bearer,
    configured_table,
    has_table,
    make_sessions,
    make_store,
    migrated_with,
)
from sessionstore_sql.django.process import wait_for
from sessionstore_sql.web.cookie import SessionCookie

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.store import SQLSessionStore

_ENGINE = "sessionstore_sql.django"


def check_settings(**_: Any) -> list[CheckMessage]:
    """Report a ``SESSIONSTORE_SQL`` with which no session can be stored."""
    if settings.SESSION_ENGINE != _ENGINE:
        return []
    try:
        make_sessions(make_store())
    except (ImproperlyConfigured, ModuleNotFoundError) as error:
        return [Error(str(error), id="sessionstore_sql.E001")]
    return []


def check_cookie(**_: Any) -> list[CheckMessage]:
    """Report settings of the cookie that browsers reject, or that let scripts read it."""
    if settings.SESSION_ENGINE != _ENGINE:
        return []
    return _check_lifetime() + ([] if configured_bearer() else _check_attributes())


def _check_lifetime() -> list[CheckMessage]:
    if settings.SESSION_COOKIE_AGE > 0:
        return []
    message = "Every session expires when it is stored."
    hint = "Set SESSION_COOKIE_AGE to a number of seconds."
    return [Error(message, hint=hint, id="sessionstore_sql.E003")]


def _check_attributes() -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    same_site = settings.SESSION_COOKIE_SAMESITE
    try:
        SessionCookie(
            name=settings.SESSION_COOKIE_NAME,
            path=settings.SESSION_COOKIE_PATH,
            # Without the attribute, browsers treat the cookie as Lax.
            same_site=str(same_site).lower() if same_site else "lax",  # type: ignore[arg-type]
            secure=bool(settings.SESSION_COOKIE_SECURE),
            domain=settings.SESSION_COOKIE_DOMAIN or None,
        )
    except (TypeError, ValueError) as error:
        message = f"Browsers reject the session cookie: {error}."
        hint = "See the settings SESSION_COOKIE_NAME, _PATH, _DOMAIN, _SECURE and _SAMESITE."
        messages.append(Error(message, hint=hint, id="sessionstore_sql.E002"))
    if not settings.SESSION_COOKIE_HTTPONLY:
        message = "Scripts on every page can read the session cookie, also injected ones."
        hint = "Set SESSION_COOKIE_HTTPONLY = True."
        messages.append(checks.Warning(message, hint=hint, id="sessionstore_sql.W001"))
    return messages


def check_table(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report a table that is missing or outdated, for ``manage.py check --database``."""
    if settings.SESSION_ENGINE != _ENGINE or sys.argv[1:2] == ["migrate"]:
        return []  # ``migrate`` is about to create the table.
    try:
        if not has_table() or migrated_with() not in (databases or ()):
            return []
        wait_for(_check, **configured_table())
    except (ImproperlyConfigured, ModuleNotFoundError):
        return []  # ``check_settings`` reports it.
    except migrate.MigrationError as error:
        hint = "Run manage.py migrate."
        return [checks.Warning(f"Sessions: {error}", hint=hint, id="sessionstore_sql.W002")]
    except (SQLAlchemyError, OSError) as error:
        message = f"The table of sessions cannot be checked: {type(error).__name__}."
        hint = "Is the database of SESSIONSTORE_SQL reachable?"
        return [checks.Warning(message, hint=hint, id="sessionstore_sql.W003")]
    return []


async def _check(store: SQLSessionStore, /, **table: Any) -> None:
    await migrate.check(store.engine, **table)
