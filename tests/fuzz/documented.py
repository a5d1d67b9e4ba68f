"""The errors that each entry point may raise, and checks that it raises no others."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sessionstore_sql import (
    ChangeIdError,
    CreateError,
    DeleteError,
    DeleteExpiredError,
    DeserializationError,
    DuplicateIdError,
    LoadError,
    SerializationError,
    SessionStoreError,
    UnknownIdError,
    UpdateError,
    UpdateTtlError,
)
from sessionstore_sql.testing.support import CAUSES, OPERATIONS
from tests.fuzz.hostile import SECRETS, let_loose
from tests.leaks import chain_of, logged, shows

ARGUMENTS = (TypeError, ValueError)
"""Errors for arguments: exactly these classes. UnicodeEncodeError would show the text."""

_BY_OPERATION: dict[str, tuple[type[SessionStoreError], set[type[SessionStoreError]]]] = {
    "create": (CreateError, {SerializationError, DuplicateIdError}),
    "update": (UpdateError, {SerializationError, UnknownIdError}),
    "update_ttl": (UpdateTtlError, {UnknownIdError}),
    "load": (LoadError, {DeserializationError}),
    "delete": (DeleteError, {UnknownIdError}),
    "change_id": (ChangeIdError, {UnknownIdError, DuplicateIdError}),
    "delete_expired": (DeleteExpiredError, set()),
    "delete_expired_exclusively": (DeleteExpiredError, set()),
}
"""Errors of a working database, which bad input must never cause."""


def may_be_id(value: object) -> bool:
    """Whether the contract accepts the text as an id."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= 1_024
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def may_be_ttl(value: object) -> bool:
    """Whether the contract accepts the value as a ttl."""
    return isinstance(value, timedelta) and timedelta(0) <= value <= timedelta(days=36_525)


def may_be_batch_size(value: object, *, or_none: bool) -> bool:
    """Whether the contract accepts the value as a batch size."""
    is_size = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return is_size or (or_none and value is None)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a call."""

    value: Any = None
    error: Exception | None = None


def attempt(call: Callable[[], Any], *also: type[Exception]) -> Outcome:
    """Call, and assert that an error is one for arguments, or one of ``also``."""
    with logged() as log, let_loose():
        try:
            outcome = Outcome(value=call())
        except Exception as error:  # noqa: BLE001  # the test checks which errors are raised
            outcome = Outcome(error=error)
    require_secrets_kept(outcome.error, log.text)
    if outcome.error is not None and not isinstance(outcome.error, also):
        require_argument_error(outcome.error)
    return outcome


async def attempt_operation(
    operation: str, call: Callable[[], Coroutine[Any, Any, Any]]
) -> Outcome:
    """Await an operation, and assert that it raises only errors of the contract."""
    with logged() as log, let_loose():
        try:
            outcome = Outcome(value=await call())
        except Exception as error:  # noqa: BLE001  # the test checks which errors are raised
            outcome = Outcome(error=error)
    require_secrets_kept(outcome.error, log.text)
    if isinstance(outcome.error, SessionStoreError):
        _require_of(operation, outcome.error)
    elif outcome.error is not None:
        require_argument_error(outcome.error)
    return outcome


def _require_of(operation: str, error: SessionStoreError) -> None:
    expected, causes = _BY_OPERATION[operation]
    _require([each for each in OPERATIONS if isinstance(error, each)] == [expected], error)
    found = [each for each in CAUSES if isinstance(error, each)]
    _require(len(found) == 1 and found[0] in causes, error)


def require_argument_error(error: Exception) -> None:
    """Assert that the error is about an argument and has no other error in its chain."""
    _require(type(error) in ARGUMENTS, error)
    _require(chain_of(error) == [error], error)


def require_secrets_kept(error: Exception | None, *texts: str) -> None:
    """Assert that neither the error nor the texts contain a planted secret."""
    if error is not None:
        shown = shows(error, *SECRETS)
        assert not shown, f"a secret shows in {shown[0]}"
    for text in texts:
        assert not any(secret in text for secret in SECRETS), f"a secret shows in {text!r}"


def _require(condition: bool, error: Exception) -> None:
    if not condition:
        raise AssertionError(f"{type(error).__name__} is not documented here") from error
