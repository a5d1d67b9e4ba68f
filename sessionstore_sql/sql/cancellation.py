"""Cleaning up after a cancellation."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine
    from typing import Any

Result = TypeVar("Result")

CLEAN_UP_S = 10
"""Seconds that closing a connection may take after its caller was cancelled. SQLite's connections
first wait for their statement, and that for a lock."""


async def uninterrupted(awaitable: Awaitable[Result]) -> Result:
    """Return the result of ``awaitable``, whether this task is cancelled meanwhile or not.

    The task has been cancelled before, so the exception for that is raised in the end anyway.
    """
    future = asyncio.ensure_future(awaitable)
    loop = asyncio.get_running_loop()
    latest = loop.time() + CLEAN_UP_S
    while not future.done() and loop.time() < latest:
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future], timeout=latest - loop.time())
    if not future.done():
        future.cancel()
        raise asyncio.CancelledError
    return future.result()


async def finished(work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of ``work``, which runs in a task of its own.

    If this task is cancelled, the other one is cancelled once, and nothing interrupts it after
    that.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await uninterrupted(task)
        raise
