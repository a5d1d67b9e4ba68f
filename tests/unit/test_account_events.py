"""Reporting events: to functions, to coroutine functions and to those that fail."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from sessionstore_sql import AccountEvent, AccountEventKind
from sessionstore_sql.accounts.events import report, require_on_event

pytestmark = pytest.mark.anyio

EVENT = AccountEvent(AccountEventKind.REVOKED, "secret-user", (), 3)


async def test_a_function_is_called() -> None:
    """With the event itself."""
    seen: list[AccountEvent] = []

    await report(seen.append, EVENT)

    assert seen == [EVENT]


async def test_a_coroutine_function_is_awaited() -> None:
    """The event has been handled when the operation returns."""
    seen: list[AccountEvent] = []

    async def listen(event: AccountEvent) -> None:
        await asyncio.sleep(0)
        seen.append(event)

    await report(listen, EVENT)

    assert seen == [EVENT]


async def test_without_a_listener_nothing_happens() -> None:
    """The default."""
    await report(None, EVENT)


async def test_what_a_listener_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The change is committed by then, so the caller must not see it fail."""

    def fail(event: AccountEvent) -> None:
        raise RuntimeError(f"no such user: {event.subject}")

    with caplog.at_level(logging.DEBUG):
        await report(fail, EVENT)

    (entry,) = caplog.records
    assert (entry.name, entry.levelname) == ("sessionstore_sql.accounts", "ERROR")
    assert "RuntimeError" in entry.getMessage()
    assert "revoked" in entry.getMessage()
    assert "secret" not in caplog.text


async def test_a_cancellation_passes() -> None:
    """It is not the listener's failure."""

    async def listen(_event: AccountEvent) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await report(listen, EVENT)


@pytest.mark.parametrize("on_event", ["print", 1, object()])
def test_a_listener_can_be_called(on_event: Any) -> None:
    """Anything else is a type error."""
    with pytest.raises(TypeError, match="on_event"):
        require_on_event(on_event)
    require_on_event(None)
    require_on_event(print)
