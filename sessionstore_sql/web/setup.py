"""What an adapter makes of the options that an application gives it."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias, cast

from sessionstore_sql.web.cookie import SessionCookie, default_name
from sessionstore_sql.web.lifetimes import (
    DEFAULT_MAX_AGE,
    DEFAULT_RENEWAL_THRESHOLD,
    Lifetimes,
    duration_of,
)
from sessionstore_sql.web.options import DEFAULT_MAX_STATE_BYTES, SessionOptions
from sessionstore_sql.web.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sessionstore_sql.backend import SessionStorageBackend
    from sessionstore_sql.web.bearer import BearerToken
    from sessionstore_sql.web.cookie import SameSite
    from sessionstore_sql.web.options import OnConflict, SubjectOf

    Exclude: TypeAlias = str | re.Pattern[str] | Sequence[str | re.Pattern[str]]

logger = logging.getLogger("sessionstore_sql.lifecycle")

DEFAULT_RECHECK = timedelta(seconds=30)
"""How often the session of an open WebSocket is looked up."""


class SessionSetup:
    """The sessions of an application, how their ids are sent, and which requests have one.

    The options are those of ``sessionstore_sql.starlette.SessionMiddleware``.

    Attributes:
        store: Where the sessions are.
        transport: Sends the ids: a cookie or headers.
        bearer: The same if it is headers, else ``None``.
        sessions: The sessions.
        websocket_recheck: How often the session of an open WebSocket is looked up.

    Raises:
        TypeError: An option is of a wrong type, or needs an ``AccountSessionBackend``.
        ValueError: An option is out of range, or browsers would not accept such a cookie.
    """

    def __init__(  # noqa: PLR0913  # options, each by keyword
        self,
        store: SessionStorageBackend,
        *,
        session_cookie: str | None = None,
        max_age: timedelta | float = DEFAULT_MAX_AGE,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: bool = True,
        domain: str | None = None,
        partitioned: bool = False,
        bearer: BearerToken | None = None,
        anonymous_max_age: timedelta | float | None = None,
        persistent: bool = True,
        lifetime: timedelta | float | None = None,
        renewal_threshold: float = DEFAULT_RENEWAL_THRESHOLD,
        max_sessions: int | None = None,
        subject_of: SubjectOf | None = None,
        on_conflict: OnConflict = "merge",
        max_state_bytes: int | None = DEFAULT_MAX_STATE_BYTES,
        exclude: Exclude = (),
        websocket_recheck: timedelta | float | None = DEFAULT_RECHECK,
        https_option: str = "https_only",
    ) -> None:
        if session_cookie is None:
            session_cookie = default_name(path=path, secure=https_only, domain=domain)
        self.bearer = bearer
        self.transport = bearer or SessionCookie(
            name=session_cookie,
            path=path,
            same_site=same_site,
            secure=https_only,
            domain=domain,
            partitioned=partitioned,
        )
        lifetimes = Lifetimes(
            max_age=duration_of(max_age, "max_age"),
            anonymous_max_age=_optional_duration(anonymous_max_age, "anonymous_max_age"),
            renewal_threshold=renewal_threshold,
            persistent=persistent,
        )
        options = SessionOptions(
            lifetimes=lifetimes,
            lifetime=_optional_duration(lifetime, "lifetime"),
            max_sessions=max_sessions,
            subject_of=subject_of,
            on_conflict=on_conflict,
            max_state_bytes=max_state_bytes,
        )
        self.store = store
        self.sessions = Sessions(store, options, name=self.transport.name)
        self.websocket_recheck = _optional_duration(websocket_recheck, "websocket_recheck")
        self._excluded = _patterns_of(exclude)
        self._https_option = https_option
        self._warned_of_plain_http = False

    def excludes(self, path: str) -> bool:
        """Return whether requests for a path have no session."""
        return any(pattern.search(path) for pattern in self._excluded)

    def continues(self, outer: SessionSetup | None) -> bool:
        """Return whether the session of a request is there already.

        Args:
            outer: What an outer middleware goes by that the request has passed, and that uses the
                same name for its cookie or header; ``None`` if there is none.

        Raises:
            RuntimeError: Its sessions are others.
        """
        if outer is None:
            return False
        if outer.store is self.store and outer.transport == self.transport:
            return True
        raise RuntimeError(
            f"two session middlewares use the name {self.transport.name!r} with different stores "
            "or attributes: give one of them another name for its cookie, or the same of both"
        )

    def warn_of_plain_http(self, scheme: str) -> None:
        """Log once that browsers ignore the cookie, if that is so."""
        if self._warned_of_plain_http or not self.transport.is_for_tls_only:
            return
        if scheme in {"http", "ws"}:
            self._warned_of_plain_http = True
            logger.warning(
                "a Secure cookie was sent over plain HTTP: browsers ignore it, except on "
                "localhost, so visitors lose their sessions. In development, set %s=False. Behind "
                "a proxy that terminates TLS, let the server trust its X-Forwarded-Proto header.",
                self._https_option,
            )


def _optional_duration(value: timedelta | float | None, name: str) -> timedelta | None:
    return None if value is None else duration_of(value, name)


def _patterns_of(exclude: Exclude) -> list[re.Pattern[str]]:
    given = [exclude] if isinstance(exclude, str | re.Pattern) else list(exclude)
    return [_pattern_of(each) for each in given]


def _pattern_of(exclude: object) -> re.Pattern[str]:
    if isinstance(exclude, re.Pattern):
        return cast("re.Pattern[str]", exclude)
    if not isinstance(exclude, str):
        raise TypeError(f"exclude holds paths and patterns, not {type(exclude).__name__}")
    if not exclude.startswith("/"):
        raise ValueError("a path in exclude begins with a slash")
    return re.compile(rf"\A{re.escape(exclude.rstrip('/'))}(?:/|\Z)")
