"""The errors of a session store.

    SessionStoreError
    ├── CreateError  UpdateError  UpdateTtlError  LoadError
    │   DeleteError  ChangeIdError  DeleteExpiredError
    │   SignInError  LoadSessionError  SessionsOfError
    │   RevokeError  SignOutError  ReplaceError  UpdateIfError    one class per operation
    └── DuplicateIdError  UnknownIdError  ConflictError
        SerializationError  DeserializationError  DatabaseError   one class per cause

An error that an operation raises is an instance of its own operation's class and of exactly
one cause, so ``except CreateError`` and ``except DuplicateIdError`` both work and neither
catches too much. Wrong argument types and ranges are ``TypeError`` and ``ValueError``, and are
raised before any I/O.

No message, ``repr`` or ``args`` of these errors ever holds a session id, a state, a user id or a
bound parameter, and no frame of their tracebacks a variable with one. ``session_id`` is left out
when an error is pickled.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

from sessionstore_sql.tracebacks import remove_variables

if TYPE_CHECKING:
    from sessionstore_sql.records import SessionId


class SessionStoreError(Exception):
    """The base class of all errors of a session store."""

    def __reduce__(self) -> tuple[Any, ...]:
        # An error crosses process boundaries (executors, test runners) although its class is
        # made on demand and the constructors of the causes take more than a message. The id
        # stays behind: anyone who reads a pickled error could use the session.
        state = {name: value for name, value in self.__dict__.items() if name != "session_id"}
        return _restore, (_bases_of(self), self.args, state)

    def __copy__(self) -> SessionStoreError:
        return _restore(_bases_of(self), self.args, self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any]) -> SessionStoreError:
        args, state = copy.deepcopy((self.args, self.__dict__), memo)
        return _restore(_bases_of(self), args, state)


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
    """``delete_expired`` failed. Live sessions are not affected."""


class SignInError(SessionStoreError):
    """``sign_in`` failed and, unless its outcome is unknown, changed nothing."""


class LoadSessionError(SessionStoreError):
    """``load_session`` failed."""


class SessionsOfError(SessionStoreError):
    """``sessions_of`` failed."""


class RevokeError(SessionStoreError):
    """``revoke`` failed; call it again to be sure that the sessions have ended."""


class SignOutError(SessionStoreError):
    """``sign_out`` failed; call it again to be sure that the session has ended."""


class ReplaceError(SessionStoreError):
    """``replace`` failed and, unless its outcome is unknown, changed nothing."""


class UpdateIfError(SessionStoreError):
    """``update_if`` failed and, unless its outcome is unknown, changed nothing."""


class DuplicateIdError(SessionStoreError):
    """A live session with this id already exists; nothing was changed.

    Attributes:
        session_id: The id that is taken. Missing on an error that was pickled.
    """

    def __init__(self, session_id: SessionId) -> None:
        super().__init__("a live session with this id already exists")
        self.session_id = session_id


class UnknownIdError(SessionStoreError):
    """No live session has this id: it never existed, has expired, was deleted or rotated away.

    Attributes:
        session_id: The id that is unknown. Missing on an error that was pickled.
    """

    def __init__(self, session_id: SessionId) -> None:
        super().__init__("no live session has this id")
        self.session_id = session_id


class ConflictError(SessionStoreError):
    """Another state was stored since the given version was loaded; nothing was changed.

    Attributes:
        session_id: The session. Load it again, and decide what to store. Missing on an error
            that was pickled.
    """

    def __init__(self, session_id: SessionId) -> None:
        super().__init__("another state of this session was stored since it was loaded")
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
        connection_failed: Whether no connection was available, or it was lost: any other call
            would have failed at the moment.
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

    Implementations of ``SessionStorageBackend`` raise errors of both classes with this:
    ``raise for_operation(UpdateError, UnknownIdError(session_id))``.

    Args:
        operation: One of the operation classes.
        cause: An error of one of the cause classes. Its attributes, traceback and
            ``__cause__`` are kept. The tracebacks lose their local variables, which hold states,
            user ids and bound parameters.
    """
    remove_variables(cause)
    error = _restore((operation, type(cause)), cause.args, cause.__dict__)
    error.__cause__ = cause.__cause__
    return error.with_traceback(cause.__traceback__)  # type: ignore[return-value]


_attributed_classes: dict[
    tuple[type[SessionStoreError], type[SessionStoreError]], type[SessionStoreError]
] = {}


def _bases_of(error: SessionStoreError) -> tuple[type[SessionStoreError], ...]:
    return getattr(type(error), "_attributed", None) or (type(error),)


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
