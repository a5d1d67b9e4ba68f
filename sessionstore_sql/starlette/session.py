"""Finds the session of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sessionstore_sql.web.session_dict import SessionDict

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


def session_of(connection: HTTPConnection) -> SessionDict:
    """Return the session of a request or a WebSocket.

    Raises:
        RuntimeError: It did not pass through ``SessionMiddleware``.
    """
    session = connection.scope.get("session")
    if not isinstance(session, SessionDict):
        raise RuntimeError(  # noqa: TRY004  # the set-up is at fault, not the argument
            "the application has no SessionMiddleware of sessionstore_sql, or the path is in its "
            "`exclude`"
        )
    return session
