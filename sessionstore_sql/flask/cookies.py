"""Cookies by the configuration of Flask and Quart, which have the same names for it; or headers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.http import http_date

from sessionstore_sql.web.cache_control import keep_private
from sessionstore_sql.web.cookie import cookie_values
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.presented import ids_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.datastructures import Headers

    from sessionstore_sql.flask.session import Session
    from sessionstore_sql.web.bearer import BearerToken
    from sessionstore_sql.web.presented import Presented
    from sessionstore_sql.web.setup import SessionSetup
    from sessionstore_sql.web.work import Outcome

RETRY_AFTER = 5
"""Seconds after which a client may try again while the database is unreachable."""


class CookieSettings(Protocol):
    """The methods of a session interface that return the configuration of the cookie."""

    def get_cookie_name(self, app: Any) -> str: ...  # noqa: D102
    def get_cookie_domain(self, app: Any) -> str | None: ...  # noqa: D102
    def get_cookie_path(self, app: Any) -> str: ...  # noqa: D102
    def get_cookie_httponly(self, app: Any) -> bool: ...  # noqa: D102
    def get_cookie_secure(self, app: Any) -> bool: ...  # noqa: D102
    def get_cookie_samesite(self, app: Any) -> str | None: ...  # noqa: D102
    def get_cookie_partitioned(self, app: Any) -> bool: ...  # noqa: D102


def presented_by(headers: Headers, name: str, bearer: BearerToken | None) -> Presented:
    """Return the ids that a request presents, also in several cookies of the name."""
    header = "Cookie" if bearer is None else bearer.request_header
    given = [
        (header.lower().encode(), value.encode("latin-1", "replace"))
        for value in headers.getlist(header)
    ]
    return ids_in(cookie_values(name, given)) if bearer is None else bearer.ids_in(given)


def tell_client(  # noqa: PLR0913  # the state of one response
    settings: CookieSettings,
    app: Any,
    session: Session,
    response: Any,
    outcome: Outcome,
    *,
    bearer: BearerToken | None,
) -> None:
    """Write the headers of a response."""
    if session.accessed or outcome.cookie is not Cookie.KEEP:
        headers = _Headers(response.headers)
        name = "Cookie" if bearer is None else bearer.request_header
        keep_private(headers, headers.values_of, name=name)
    if bearer is not None:
        for name, value in bearer.headers_after(outcome):
            response.headers[name] = value
    elif outcome.cookie is not Cookie.KEEP:
        _write_cookie(settings, app, response, outcome)


def _write_cookie(settings: CookieSettings, app: Any, response: Any, outcome: Outcome) -> None:
    name = settings.get_cookie_name(app)
    attributes: dict[str, Any] = {
        "domain": settings.get_cookie_domain(app),
        "path": settings.get_cookie_path(app),
        "secure": settings.get_cookie_secure(app),
        "partitioned": settings.get_cookie_partitioned(app),
        "samesite": settings.get_cookie_samesite(app),
        "httponly": settings.get_cookie_httponly(app),
    }
    if outcome.session_id is None:
        response.delete_cookie(name, **attributes)
        return
    if outcome.max_age is not None:
        # Rounded up: Max-Age=0 would remove the cookie.
        attributes["max_age"] = math.ceil(outcome.max_age.total_seconds())
        attributes["expires"] = http_date(time.time() + attributes["max_age"])
    response.set_cookie(name, outcome.session_id.value, **attributes)


def warn_of_plain_http(
    setup: SessionSetup, settings: CookieSettings, app: Any, outcome: Outcome, scheme: str
) -> None:
    """Log once that browsers ignore a Secure cookie over plain HTTP."""
    if setup.bearer is None and outcome.cookie is Cookie.SET and settings.get_cookie_secure(app):
        setup.warn_of_plain_http(scheme)


def make_unavailable(response: Any) -> None:
    """Turn a response into 503, as its session could not be stored."""
    response.headers.clear()
    response.status_code = 503
    response.set_data("Service Unavailable")
    response.headers.update(UNAVAILABLE_HEADERS)


UNAVAILABLE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Type": "text/plain; charset=utf-8",
    "Retry-After": str(RETRY_AFTER),
}


class _Headers:
    """The headers of a response, as ``keep_private`` changes them."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._headers])

    def __setitem__(self, name: str, value: str) -> None:
        self._headers[name] = value

    def __delitem__(self, name: str) -> None:
        del self._headers[name]

    def values_of(self, name: str) -> list[str]:
        """Return the values of all headers of a name."""
        return list(self._headers.getlist(name))
