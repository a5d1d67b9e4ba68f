"""Failures of an observer do not affect the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from sqlalchemy import URL

from sessionstore_sql import SessionId, SessionRecord
from sessionstore_sql.telemetry import CarefulObserver
from sessionstore_sql.testing.support import HOUR

pytestmark = pytest.mark.anyio

HOOKS = (
    "operation",
    "operation's end",
    "origin",
    "waited",
    "batch",
    "batch's end",
    "purged",
    "account",
)


class ClumsyError(Exception):
    """Of an observer."""


class Clumsy:
    """Watches, and fails at one of its hooks."""

    def __init__(self, hook: str) -> None:
        self.hook = hook

    def observer(self, *_: Any) -> Clumsy:
        """Watch a store."""
        return self

    def of_queue(self, _operation: str) -> Clumsy:
        """Observe a queue."""
        return self

    def _fail_at(self, hook: str) -> None:
        if hook == self.hook:
            raise ClumsyError

    @contextmanager
    def _enclosed(self, what: str) -> Iterator[None]:
        self._fail_at(what)
        yield
        self._fail_at(f"{what}'s end")

    def operation(self, _name: str) -> AbstractContextManager[None]:
        """Enclose an operation."""
        return self._enclosed("operation")

    def batch(self, _origins: object) -> AbstractContextManager[None]:
        """Enclose a batch."""
        return self._enclosed("batch")

    def origin(self) -> None:
        """Whose call it is."""
        self._fail_at("origin")

    def waited(self, _seconds: object) -> None:
        """How long calls have waited."""
        self._fail_at("waited")

    def retrying(self, _error: BaseException) -> None:
        """Another attempt follows."""
        self._fail_at("retrying")

    def purged(self, _count: int) -> None:
        """So many are gone."""
        self._fail_at("purged")

    def account(self, _kind: str, _count: int) -> None:
        """So many sessions of a user."""
        self._fail_at("account")


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_failing_observer_changes_no_answer(
    url: URL, opened: Callable[..., Any], hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A committed call is not reported as failed or repeated, and every caller gets a result."""
    store = await opened(url, telemetry=Clumsy(hook))
    ids = [SessionId.generate() for _ in range(50)]

    async with asyncio.timeout(30):
        with caplog.at_level(logging.ERROR, "sessionstore_sql"):
            await asyncio.gather(*(store.create(each, SessionRecord({}, HOUR)) for each in ids))
            loaded = await asyncio.gather(*(store.load(each) for each in ids))
            await asyncio.gather(*(store.delete(each) for each in ids))
            assert await store.delete_expired(10) == 0
            await store.sign_in(None, ids[0], SessionRecord({}, HOUR), subject="user")
            assert await store.revoke("user") == 1

    assert None not in loaded
    assert {record.getMessage() for record in caplog.records} == {
        "a telemetry observer failed with ClumsyError; the session store is not affected"
    }


def test_another_attempt_is_made_all_the_same() -> None:
    """And its error stays the database's."""
    CarefulObserver(Clumsy("retrying")).retrying(OSError())


def test_what_is_enclosed_raises_what_it_raises() -> None:
    """Not what its observer does, and not nothing."""
    with (
        pytest.raises(KeyError),
        CarefulObserver(Clumsy("operation's end")).operation("load"),
    ):
        raise KeyError
