"""The tree of errors: one operation and one cause each, wherever an error travels."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest

from sessionstore_sql import (
    ChangeIdError,
    ConflictError,
    CreateError,
    DatabaseError,
    DeleteError,
    DeleteExpiredError,
    DeserializationError,
    DuplicateIdError,
    LoadError,
    LoadSessionError,
    ReplaceError,
    RevokeError,
    SerializationError,
    SessionId,
    SessionsOfError,
    SessionStoreError,
    SignInError,
    SignOutError,
    UnknownIdError,
    UpdateError,
    UpdateIfError,
    UpdateTtlError,
)
from sessionstore_sql.errors import for_operation

SECRET = SessionId("secret-session-id")

OPERATIONS = (
    CreateError,
    UpdateError,
    UpdateTtlError,
    LoadError,
    DeleteError,
    ChangeIdError,
    DeleteExpiredError,
    SignInError,
    LoadSessionError,
    SessionsOfError,
    RevokeError,
    SignOutError,
    ReplaceError,
    UpdateIfError,
)
CAUSES = (
    DuplicateIdError,
    UnknownIdError,
    ConflictError,
    SerializationError,
    DeserializationError,
    DatabaseError,
)
TABLE: list[tuple[type[SessionStoreError], tuple[type[SessionStoreError], ...]]] = [
    (CreateError, (SerializationError, DuplicateIdError, DatabaseError)),
    (UpdateError, (SerializationError, UnknownIdError, DatabaseError)),
    (UpdateTtlError, (UnknownIdError, DatabaseError)),
    (DeleteError, (UnknownIdError, DatabaseError)),
    (LoadError, (DeserializationError, DatabaseError)),
    (ChangeIdError, (UnknownIdError, DuplicateIdError, DatabaseError)),
    (DeleteExpiredError, (DatabaseError,)),
    (
        SignInError,
        (SerializationError, UnknownIdError, DuplicateIdError, ConflictError, DatabaseError),
    ),
    (LoadSessionError, (DeserializationError, DatabaseError)),
    (SessionsOfError, (DatabaseError,)),
    (RevokeError, (DatabaseError,)),
    (SignOutError, (DatabaseError,)),
    (
        ReplaceError,
        (SerializationError, UnknownIdError, DuplicateIdError, ConflictError, DatabaseError),
    ),
    (UpdateIfError, (SerializationError, UnknownIdError, ConflictError, DatabaseError)),
]
"""The contract's table of operations and their causes."""

every_pair = pytest.mark.parametrize(
    ("operation", "cause"), [(operation, cause) for operation, causes in TABLE for cause in causes]
)


def make(cause: type[SessionStoreError]) -> SessionStoreError:
    """Return an error of ``cause``, with attributes that are not the defaults."""
    if issubclass(cause, DuplicateIdError | UnknownIdError | ConflictError):
        return cause(SECRET)
    if issubclass(cause, DatabaseError):
        return cause("it failed", transient=True, outcome_unknown=True)
    return cause("state['a']: set is not a JSON value")


def kept_back(error: SessionStoreError) -> dict[str, Any]:
    """Return what does not travel with an error."""
    return {name: value for name, value in vars(error).items() if name == "session_id"}


@every_pair
def test_an_error_has_one_operation_and_one_cause(
    operation: type[SessionStoreError], cause: type[SessionStoreError]
) -> None:
    """It is an instance of its own operation and cause, and of no other one."""
    error = for_operation(operation, make(cause))

    assert [each for each in OPERATIONS if isinstance(error, each)] == [operation]
    assert [each for each in CAUSES if isinstance(error, each)] == [cause]
    assert isinstance(error, SessionStoreError)


@every_pair
def test_both_classes_catch_it(
    operation: type[SessionStoreError], cause: type[SessionStoreError]
) -> None:
    """``except`` works with the operation, with the cause and with the root."""
    for caught_by in (operation, cause, SessionStoreError):
        with pytest.raises(caught_by):
            raise for_operation(operation, make(cause))


@every_pair
@pytest.mark.parametrize(
    "travel",
    [
        *(
            lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
def test_an_attributed_error_survives_travel(
    operation: type[SessionStoreError], cause: type[SessionStoreError], travel: Any
) -> None:
    """Pickled, it is of the same class, with the same text and attributes, but for the id."""
    error = for_operation(operation, make(cause))

    arrived = travel(error)

    assert type(arrived) is type(error)
    assert arrived is not error
    assert arrived.args == error.args
    assert str(arrived) == str(error)
    assert vars(arrived) | kept_back(error) == vars(error)


@every_pair
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_an_error_is_equal(
    operation: type[SessionStoreError], cause: type[SessionStoreError], copied: Any
) -> None:
    """It stays in the process, so it keeps the id."""
    error = for_operation(operation, make(cause))

    again = copied(error)

    assert type(again) is type(error)
    assert again is not error
    assert (again.args, vars(again)) == (error.args, vars(error))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_error_holds_no_id(protocol: int) -> None:
    """A pickled error contains no session id, which its reader could use."""
    error = for_operation(CreateError, DuplicateIdError(SECRET))

    data = pickle.dumps(error, protocol)

    assert SECRET.value.encode() not in data
    assert not hasattr(pickle.loads(data), "session_id")  # noqa: S301


@pytest.mark.parametrize("cause", CAUSES)
def test_a_cause_alone_survives_travel(cause: type[SessionStoreError]) -> None:
    """The constructors of the causes take more than a message, and pickle copes."""
    error = make(cause)

    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert type(arrived) is cause
    assert (str(arrived), vars(arrived) | kept_back(error)) == (str(error), vars(error))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_alone_survives_travel(operation: type[SessionStoreError]) -> None:
    """Another backend may raise an operation error without a cause."""
    arrived = pickle.loads(pickle.dumps(operation("text", 2)))  # noqa: S301

    assert type(arrived) is operation
    assert arrived.args == ("text", 2)


def test_a_subclass_of_a_hosts_own_survives_travel() -> None:
    """An error class made elsewhere, and attributes set on it, come along."""
    error = for_operation(CreateError, make(DuplicateIdError))
    error.add_note("a note")

    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert arrived.__notes__ == ["a note"]


@every_pair
def test_attributes_are_kept(
    operation: type[SessionStoreError], cause: type[SessionStoreError]
) -> None:
    """What the cause said, the attributed error says."""
    error: Any = for_operation(operation, make(cause))

    if cause in (DuplicateIdError, UnknownIdError, ConflictError):
        assert error.session_id == SECRET
    elif cause is DatabaseError:
        assert (error.transient, error.outcome_unknown) == (True, True)
    assert str(error) == str(make(cause))


def test_a_database_error_is_final_and_certain_unless_it_says_otherwise() -> None:
    """The defaults promise least: no retry helps, and nothing was changed."""
    error = DatabaseError("it failed")

    assert (error.transient, error.outcome_unknown) == (False, False)


def test_the_same_pair_is_the_same_class() -> None:
    """Classes are made once, so identity can be compared and memory does not grow."""
    first = for_operation(CreateError, DatabaseError("one"))
    second = for_operation(CreateError, DatabaseError("two"))

    assert type(first) is type(second)
    assert type(first) is not type(for_operation(LoadError, DatabaseError("three")))


@every_pair
def test_the_class_is_named_after_both(
    operation: type[SessionStoreError], cause: type[SessionStoreError]
) -> None:
    """A traceback tells the operation and the cause."""
    error_class = type(for_operation(operation, make(cause)))

    assert error_class.__name__ == operation.__name__.removesuffix("Error") + cause.__name__
    assert error_class.__module__ == "sessionstore_sql.errors"
    assert error_class.__doc__ == cause.__doc__


def test_the_cause_and_the_traceback_are_kept() -> None:
    """What led to the error, and where, is still there."""
    origin = ValueError("from the driver")
    try:
        raise DatabaseError("it failed") from origin  # noqa: TRY301
    except DatabaseError as raised:
        cause = raised

    error = for_operation(LoadError, cause)

    assert error.__cause__ is origin
    assert error.__suppress_context__
    (frame,) = traceback.extract_tb(error.__traceback__)
    assert frame.name == "test_the_cause_and_the_traceback_are_kept"


@every_pair
def test_no_printout_shows_the_id(
    operation: type[SessionStoreError], cause: type[SessionStoreError]
) -> None:
    """Neither text, ``repr``, arguments, attributes nor a formatted traceback show an id."""
    try:
        raise for_operation(operation, make(cause))
    except SessionStoreError as raised:
        error = raised

    printouts = (str(error), repr(error), repr(error.args), repr(vars(error)))
    assert not [text for text in printouts if SECRET.value in text]
    assert SECRET.value not in "".join(traceback.format_exception(error))
