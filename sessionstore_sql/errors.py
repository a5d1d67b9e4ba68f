"""What a session store raises.

    SessionStoreError
    ├── CreateError  UpdateError  UpdateTtlError  LoadError
    │   DeleteError  ChangeIdError  DeleteExpiredError         one class per operation
    └── DuplicateIdError  UnknownIdError  SerializationError
        DeserializationError  DatabaseError                    one class per cause

An error that an operation raises is an instance of its own operation's class and of exactly
one cause, so ``except CreateError`` and ``except DuplicateIdError`` both work and neither
catches too much. Wrong argument types and ranges are ``TypeError`` and ``ValueError``, and are
raised before any I/O.

No message, ``repr`` or ``args`` of these errors ever holds a session id, a state or a bound
parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sessionstore_sql.records import SessionId


class SessionStoreError(Exception):
    """The root of everything a session store raises about its work."""

    def __reduce__(self) -> tuple[Any, ...]:
        # An error crosses process boundaries (executors, test runners) although its class is
        # made on demand and the constructors of the causes take more than a message.
        bases = getattr(type(self), "_attributed", None) or (type(self),)
        return _restore, (bases, self.args, self.__dict__)


class CreateError(SessionStoreError):
    """``create`` failed and, unless its outcome is unknown, changed nothing."""


class UpdateError(SessionStoreError):
    """``update`` failed and, unless its outcome is unknown, changed nothing."""


class UpdateTtlError(SessionStoreError):
    """``update_ttl`` failed and, unless its outcome is unknown, changed nothing."""


class LoadError(SessionStoreError):
    """``load`` failed."""


class DeleteError(SessionStoreError):
    """``delete`` failed and, unless its outcome is unknown, changed nothing."""


class ChangeIdError(SessionStoreError):
    """``change_id`` failed and, unless its outcome is unknown, changed nothing."""


class DeleteExpiredError(SessionStoreError):
    """``delete_expired`` failed; no live session was touched."""


class DuplicateIdError(SessionStoreError):
    """A live session with this id exists already; nothing was changed.

    Attributes:
        session_id: The id that is taken.
    """

    def __init__(self, session_id: SessionId) -> None:
        super().__init__("a live session with this id exists already")
        self.session_id = session_id


class UnknownIdError(SessionStoreError):
    """No live session has this id: it never existed, has expired, was deleted or rotated away.

    Attributes:
        session_id: The id that is unknown.
    """

    def __init__(self, session_id: SessionId) -> None:
        super().__init__("no live session has this id")
        self.session_id = session_id


class SerializationError(SessionStoreError):
    """The state cannot be stored so that it would come back equal; nothing was changed."""


class DeserializationError(SessionStoreError):
    """The stored bytes cannot be decoded. The row is kept."""


class DatabaseError(SessionStoreError):
    """The database, or the way to it, failed. ``__cause__`` is SQLAlchemy's or the driver's error.

    Attributes:
        transient: Whether the same call may succeed later: a lost connection, a full pool, a
            database that is starting. False for what an operator has to change first.
        outcome_unknown: Whether the change may have been committed although this error was
            raised: the connection was lost after the statement was sent. Where it is false,
            nothing was changed.
        connection_failed: Whether no connection was had, or it was lost: what any other call
            would have met at the moment.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool = False,
        outcome_unknown: bool = False,
        connection_failed: bool = False,
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.outcome_unknown = outcome_unknown
        self.connection_failed = connection_failed


_Cause = TypeVar("_Cause", bound=SessionStoreError)


def for_operation(operation: type[SessionStoreError], cause: _Cause) -> _Cause:
    """Return ``cause`` as an error of ``operation``: an instance of both classes.

    Whoever implements ``SessionStorageBackend`` raises errors of both classes with this:
    ``raise for_operation(UpdateError, UnknownIdError(session_id))``.

    Args:
        operation: One of the operation classes.
        cause: An error of one of the cause classes. Its attributes, traceback and
            ``__cause__`` are kept.
    """
    error = _restore((operation, type(cause)), cause.args, cause.__dict__)
    error.__cause__ = cause.__cause__
    return error.with_traceback(cause.__traceback__)  # type: ignore[return-value]


_attributed_classes: dict[
    tuple[type[SessionStoreError], type[SessionStoreError]], type[SessionStoreError]
] = {}


def _attributed_class(
    operation: type[SessionStoreError], cause: type[SessionStoreError]
) -> type[SessionStoreError]:
    bases = (operation, cause)
    if bases not in _attributed_classes:
        name = operation.__name__.removesuffix("Error") + cause.__name__
        body = {"__doc__": cause.__doc__, "__module__": __name__, "_attributed": bases}
        _attributed_classes[bases] = type(name, bases, body)
    return _attributed_classes[bases]


def _restore(
    bases: tuple[type[SessionStoreError], ...], args: tuple[Any, ...], state: dict[str, Any]
) -> SessionStoreError:
    match bases:
        case (operation, cause):
            error_class = _attributed_class(operation, cause)
        case _:
            (error_class,) = bases
    error = error_class.__new__(error_class, *args)
    error.args = args
    error.__dict__.update(state)
    return error
