"""Upgrades that wait for another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sessionstore_sql import migrate
from sessionstore_sql.sql.dialects import upgrading
from tests.cli.running import Command


@contextmanager
def upgrade_running(command: Command) -> Iterator[None]:
    """Hold the lock of an upgrade, as another process would."""
    held, done = threading.Event(), threading.Event()

    async def hold() -> None:
        async with migrate.connect(command.url) as connection:
            turn = ExitStack()
            await connection.run_sync(
                lambda sync: turn.enter_context(migrate.queue(sync, command.table, None))
            )
            held.set()
            await asyncio.to_thread(done.wait)
            await connection.run_sync(lambda _: turn.close())

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert held.wait(60)
        yield
    finally:
        done.set()
        thread.join()


def test_an_upgrade_says_that_it_waits_and_asks_for_another_try(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would seem to hang otherwise. The scheduler repeats the command."""
    monkeypatch.setattr(upgrading, "_SILENT_S", 0)

    with upgrade_running(command):
        ended = command("upgrade", "--wait", "1500ms")

    assert ended.code == 75
    assert "waiting for the lock of another upgrade" in ended.err
    assert "gave up after waiting" in ended.err
    assert "it is held by" in ended.err
    assert command("upgrade").code == 0
