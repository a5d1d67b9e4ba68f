"""What Django's ``SessionMiddleware`` does with the sessions of this engine.

Django's middleware stays in the setting ``MIDDLEWARE``. It gives an engine neither the request
nor the response, and sends the cookie with every response that changed the session: a response
that arrives late would bring an old key back. So the engine replaces its methods, for its own
sessions only. Sessions of other engines are handled as before.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.sessions import middleware as django_middleware
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.handlers.exception import response_for_exception
from django.http import HttpResponse, JsonResponse
from django.utils.http import http_date

from sessionstore_sql.django.configuration import configured_bearer
from sessionstore_sql.django.errors import AccountError
from sessionstore_sql.django.sessions import SessionStore
from sessionstore_sql.django.visit import NOTHING_SAID
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.web.cache_control import keep_private
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.presented import ids_in
from sessionstore_sql.web.rate_limit import RateLimitedWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from sessionstore_sql.web.presented import Presented
    from sessionstore_sql.web.work import Outcome

logger = logging.getLogger("sessionstore_sql.lifecycle")

RETRY_AFTER = 5
"""Seconds after which a client may try again while the database is unreachable."""

_FIRST = "_sessionstore_sql_session"
"""The attribute of a request for the session that it came with."""

_plain_http = RateLimitedWarning(
    logger,
    "a Secure cookie was sent over plain HTTP: browsers ignore it, except on localhost, so "
    "visitors lose their sessions. In development, set SESSION_COOKIE_SECURE = False. Behind a "
    "proxy that terminates TLS, set SECURE_PROXY_SSL_HEADER.",
)

_django_request = django_middleware.SessionMiddleware.process_request
_django_response = django_middleware.SessionMiddleware.process_response


def process_request(self: django_middleware.SessionMiddleware, request: HttpRequest) -> None:
    """Give the request its session, which is loaded when it is first used."""
    if not issubclass(self.SessionStore, SessionStore):
        _django_request(self, request)
        return
    outer = getattr(request, "session", None)
    if isinstance(outer, SessionStore):  # The middleware is there twice.
        outer.enter_request()
        return
    presented, session = _presented(request), self.SessionStore(_key_in(request))
    session.enter_request(presented)
    request.session = session
    setattr(request, _FIRST, session)


def process_response(
    self: django_middleware.SessionMiddleware, request: HttpRequest, response: HttpResponseBase
) -> HttpResponseBase:
    """Store the session, and tell the client what became of it."""
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        return _django_response(self, request, response)  # type: ignore[arg-type]
    try:
        outcome = session.leave_request(response.status_code)
        if outcome.cookie is Cookie.KEEP:
            outcome = _after_replacement(request, session)
    except SessionInterrupted as error:
        # Django's response, which removes the cookie if the session has ended.
        response, outcome = response_for_exception(request, error), session.visit.said
    except DatabaseError as error:
        if not error.transient:
            raise
        return _unavailable(error)
    bearer = configured_bearer()
    if session.accessed or outcome.cookie is not Cookie.KEEP:
        name = "Cookie" if bearer is None else bearer.request_header
        keep_private(response.headers, _values_of(response), name=name)
    if bearer is None:
        _send_cookie(request, response, outcome)
        return response
    for name, value in bearer.headers_after(outcome):
        response[name] = value
    return response


def process_exception(
    _self: django_middleware.SessionMiddleware, _request: HttpRequest, error: Exception
) -> HttpResponse | None:
    """Return the response for an error of a session, which a view did not handle."""
    if isinstance(error, DatabaseError) and error.transient:
        return _unavailable(error)
    if isinstance(error, AccountError):
        response = JsonResponse(error.body, status=error.status)
        for name, value in error.headers.items():
            response[name] = value
        return response
    return None


def replace_methods() -> None:
    """Let Django's middleware handle the sessions of this engine as this module does."""
    replaced = django_middleware.SessionMiddleware
    replaced.process_request = process_request  # type: ignore[method-assign]
    replaced.process_response = process_response  # type: ignore[method-assign,assignment]
    replaced.process_exception = process_exception  # type: ignore[attr-defined]


def _after_replacement(request: HttpRequest, session: SessionStore) -> Outcome:
    """Return what the response says if a view has replaced ``request.session``, as allauth does.

    The session that was there before may have got a key that the client does not know.
    """
    first = getattr(request, _FIRST, None)
    if first is None or first is session:
        return NOTHING_SAID
    said: Outcome = first.visit.said
    if said.session_id is not None and said.session_id.value == session.session_key:
        return said
    if session.modified and session.session_key != _key_in(request):
        return session.said_to_strangers()
    return NOTHING_SAID


def _key_in(request: HttpRequest) -> str | None:
    """Return the key that a request presents, or the first one of several."""
    presented = _presented(request)
    if presented is not None:
        return presented.ids[0].value if presented.ids else None
    key: str | None = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    return key


def _presented(request: HttpRequest) -> Presented | None:
    """Return the keys in headers, or in several cookies of the name.

    It is ``None`` if there is one cookie at most. Of several, Django reads the last one.
    """
    bearer = configured_bearer()
    if bearer is not None:
        credentials = request.headers.get(bearer.request_header, "")
        return bearer.ids_in([(b"authorization", credentials.encode("latin-1", "replace"))])
    name = settings.SESSION_COOKIE_NAME.encode("latin-1", "replace")
    header = request.META.get("HTTP_COOKIE")
    if not isinstance(header, str):
        return None
    pairs = (pair.partition(b"=") for pair in header.encode("latin-1", "replace").split(b";"))
    values = [value.strip(b" \t") for key, _, value in pairs if key.strip(b" \t") == name]
    return ids_in(values) if len(set(values)) > 1 else None


def _send_cookie(request: HttpRequest, response: HttpResponseBase, outcome: Outcome) -> None:
    if outcome.cookie is Cookie.KEEP:
        return
    name, path, domain = (
        settings.SESSION_COOKIE_NAME,
        settings.SESSION_COOKIE_PATH,
        settings.SESSION_COOKIE_DOMAIN,
    )
    if outcome.session_id is None:
        same_site = settings.SESSION_COOKIE_SAMESITE
        response.delete_cookie(name, path=path, domain=domain, samesite=same_site)
        return
    # Rounded up: Max-Age=0 would remove the cookie of a session that lives half a second.
    max_age = None if outcome.max_age is None else math.ceil(outcome.max_age.total_seconds())
    response.set_cookie(
        name,
        outcome.session_id.value,
        max_age=max_age,
        expires=None if max_age is None else http_date(time.time() + max_age),
        domain=domain,
        path=path,
        secure=bool(settings.SESSION_COOKIE_SECURE),
        httponly=bool(settings.SESSION_COOKIE_HTTPONLY),
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )
    if settings.SESSION_COOKIE_SECURE and not request.is_secure():
        _plain_http.log()


def _values_of(response: HttpResponseBase) -> Callable[[str], list[str]]:
    def values_of(name: str) -> list[str]:
        value = response.headers.get(name)
        return [] if value is None else [value]

    return values_of


def _unavailable(error: DatabaseError) -> HttpResponse:
    logger.error("a request was answered with 503, as the database failed: %s", error)
    headers = {"Cache-Control": "no-store", "Retry-After": str(RETRY_AFTER)}
    return HttpResponse(
        "Service Unavailable", status=503, content_type="text/plain; charset=utf-8", headers=headers
    )
