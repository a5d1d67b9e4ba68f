"""The model: what each entry point may raise, and how it is seen that it raises nothing else."""

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
"""For arguments: these and no classes of theirs, of which UnicodeEncodeError has the text."""

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
"""Of a database that works: whatever is handed over, it is not to blame for it."""


def may_be_id(value: object) -> bool:
    """Whether the contract has it for the text of an id."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= 1_024
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def may_be_ttl(value: object) -> bool:
    """Whether the contract has it for a time to live."""
    return isinstance(value, timedelta) and timedelta(0) <= value <= timedelta(days=36_525)


def may_be_batch_size(value: object, *, or_none: bool) -> bool:
    """Whether the contract has it for a batch size."""
    is_size = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return is_size or (or_none and value is None)


@dataclass(frozen=True)
class Outcome:
    """What came of a call."""

    value: Any = None
    error: Exception | None = None


def attempt(call: Callable[[], Any], *also: type[Exception]) -> Outcome:
    """Call, and require that what it raises is an argument's error, or one of ``also``."""
    with logged() as log, let_loose():
        try:
            outcome = Outcome(value=call())
        except Exception as error:  # noqa: BLE001  # which ones may come is what is looked at
            outcome = Outcome(error=error)
    require_secrets_kept(outcome.error, log.text)
    if outcome.error is not None and not isinstance(outcome.error, also):
        require_argument_error(outcome.error)
    return outcome


async def attempt_operation(
    operation: str, call: Callable[[], Coroutine[Any, Any, Any]]
) -> Outcome:
    """Await one of the operations, and require that it raises what the contract says."""
    with logged() as log, let_loose():
        try:
            outcome = Outcome(value=await call())
        except Exception as error:  # noqa: BLE001  # likewise
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
    """Require that it says that an argument is wrong, and nothing of how that was found."""
    _require(type(error) in ARGUMENTS, error)
    _require(chain_of(error) == [error], error)


def require_secrets_kept(error: Exception | None, *texts: str) -> None:
    """Require that no planted secret shows, in the error or in any of the texts."""
    if error is not None:
        shown = shows(error, *SECRETS)
        assert not shown, f"a secret shows in {shown[0]}"
    for text in texts:
        assert not any(secret in text for secret in SECRETS), f"a secret shows in {text!r}"


def _require(condition: bool, error: Exception) -> None:
    if not condition:
        raise AssertionError(f"{type(error).__name__} is not documented here") from error
