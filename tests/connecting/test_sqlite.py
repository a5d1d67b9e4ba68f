"""Opening a file of SQLite, in a thread, while the caller is cancelled."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from sessionstore_sql import SessionId, SQLSessionStore, migrate

pytestmark = pytest.mark.anyio


class SlowConnection(sqlite3.Connection):
    """Opens when the test lets it."""

    opening = threading.Event()
    may_open = threading.Event()
    opened: list[sqlite3.Connection]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.opening.set()
        assert self.may_open.wait(20)
        super().__init__(*args, **kwargs)
        self.opened.append(self)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> type[SlowConnection]:
    """The class of the connections that are opened in this test."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **kwargs: connect(*args, **kwargs, factory=SlowConnection)
    )
    monkeypatch.setattr(SlowConnection, "opened", [], raising=False)
    SlowConnection.opening.clear()
    SlowConnection.may_open.clear()
    return SlowConnection


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("entry", ["store", "migrate"])
async def test_a_connection_that_opens_for_a_cancelled_call_is_closed(
    slow: type[SlowConnection], tmp_path: Path, entry: str, times: int
) -> None:
    """However often the call is cancelled."""
    url = f"sqlite:///{tmp_path}/sessions.db"
    async with SQLSessionStore(url, coalesce=False) as store:
        call: asyncio.Future[Any] = asyncio.ensure_future(
            store.load(SessionId("a")) if entry == "store" else migrate.current(url)
        )
        await asyncio.to_thread(slow.opening.wait, 20)
        for _ in range(times):
            call.cancel()
            for _ in range(3):
                await asyncio.sleep(0)
        slow.may_open.set()
        with pytest.raises(asyncio.CancelledError):
            await call

    (connection,) = slow.opened
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


async def test_a_file_that_cannot_be_opened_ends_its_thread(tmp_path: Path) -> None:
    """The error is that of SQLite."""
    before = set(threading.enumerate())
    with pytest.raises(Exception, match="unable to open database file"):
        await migrate.current(f"sqlite:///{tmp_path}/missing/sessions.db")
    for thread in set(threading.enumerate()) - before:
        await asyncio.to_thread(thread.join, 20)
        assert not thread.is_alive()
