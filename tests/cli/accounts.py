"""Sessions of users on the table of a command, for its account part."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from sessionstore_sql import SessionHandle, SessionId, SessionRecord, SQLSessionStore
from tests.cli.running import Command, Ended

HOUR = timedelta(hours=1)
USER, OTHER_USER = "user-4711", "user-0815"

Result = TypeVar("Result")


def on_store(
    command: Command, work: Callable[[SQLSessionStore], Awaitable[Result]], **options: Any
) -> Result:
    """Return what ``work`` returns for a store on the command's table."""

    async def run() -> Result:
        async with SQLSessionStore(command.url, table=command.table, **options) as store:
            return await work(store)

    return asyncio.run(run())


async def signed_in(
    store: SQLSessionStore, subject: str, **options: Any
) -> tuple[SessionId, SessionHandle]:
    """Return id and handle of a new session of a user."""
    session_id = SessionId.generate()
    record = SessionRecord({"user": subject}, HOUR)
    return session_id, await store.sign_in(None, session_id, record, subject=subject, **options)


def with_input(
    monkeypatch: pytest.MonkeyPatch, text: str, call: Callable[[], Ended], encoding: str = "utf-8"
) -> Ended:
    """Return what ``call`` returns if this text is on standard input, in a locale's encoding."""
    given = io.BytesIO(text.encode("utf-8", "surrogatepass"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(given, encoding))
    return call()
