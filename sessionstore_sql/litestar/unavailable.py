"""Errors of a database that cannot be reached, as Litestar turns them into responses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, WebSocketException

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.web.asgi.unavailable import RETRY_AFTER, TRY_AGAIN_LATER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNAVAILABLE = 503


_classes: dict[tuple[type[Exception], type[DatabaseError]], type[DatabaseError]] = {}


class _Unavailable(HTTPException):
    """503. The headers say when to try again."""

    status_code = UNAVAILABLE
    detail = "Service Unavailable"
    headers: ClassVar[dict[str, str]] = {  # type: ignore[misc]
        "retry-after": str(RETRY_AFTER),
        "cache-control": "no-store",
    }
    extra = None


class _WebSocketUnavailable(WebSocketException):
    """The code with which a WebSocket is closed."""

    code = TRY_AGAIN_LATER
    detail = "Service Unavailable"


def unavailable(error: DatabaseError, scope: Mapping[str, Any]) -> DatabaseError:
    """Return an error that Litestar answers with 503, if it may go away by itself.

    It is the same ``DatabaseError`` for an application that handles it. Litestar's own handler
    runs inside of the session middleware, and would answer it with 500.
    """
    if not error.transient or isinstance(error, HTTPException | WebSocketException):
        return error
    answer = _Unavailable if scope["type"] == ScopeType.HTTP else _WebSocketUnavailable
    made_class = _class_of(answer, type(error))
    made = made_class.__new__(made_class, *error.args)
    made.args = error.args
    made.__dict__.update(error.__dict__)
    made.__cause__ = error.__cause__
    return made.with_traceback(error.__traceback__)


@contextmanager
def answering_503(scope: Mapping[str, Any]) -> Iterator[None]:
    """Let a ``DatabaseError`` become one that Litestar answers with 503."""
    try:
        yield
    except DatabaseError as error:
        failure = unavailable(error, scope)
        if failure is error:
            raise
    else:
        return
    raise failure


def _class_of(answer: type[Exception], error: type[DatabaseError]) -> type[DatabaseError]:
    if (answer, error) not in _classes:
        bases: tuple[Any, ...] = (answer, error)
        _classes[answer, error] = type(error.__name__, bases, {"__doc__": error.__doc__})
    return _classes[answer, error]
