"""The life of a few sessions on SQLite, printed step by step; run it with ``make demo``.

A session's id is a credential: nothing here prints one.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sessionstore_sql import (
    DuplicateIdError,
    SessionId,
    SessionRecord,
    SQLSessionStore,
    UnknownIdError,
    migrate,
)

if TYPE_CHECKING:
    from sessionstore_sql import SessionStorageBackend

HOUR = timedelta(hours=1)


async def main() -> None:
    """Make a database, tell the story, and leave nothing behind."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'sessions.db'}"

        heading("The table is made by Alembic")
        await migrate.upgrade(url)
        say("migrate.upgrade(url)", f"at revision {await migrate.current(url)}")

        async with SQLSessionStore(url) as store:
            logged_in = await visit_and_log_in(store)
            await expire_and_purge(store, logged_in)


async def visit_and_log_in(store: SessionStorageBackend) -> SessionId:
    """A visitor fills a cart and logs in."""
    heading("A visitor comes, and fills a cart")
    visitor = SessionId.generate()
    say("SessionId.generate()", str(visitor))
    await store.create(visitor, SessionRecord({"cart": []}, ttl=HOUR))
    say("create", "stored, for an hour")
    say("load", await shown(store, visitor))
    await store.update(visitor, SessionRecord({"cart": ["tea", "scones"]}, ttl=HOUR))
    say("update", await shown(store, visitor))
    try:
        await store.create(visitor, SessionRecord({}, ttl=HOUR))
    except DuplicateIdError as error:
        say("create again", f"{type(error).__name__}: {error}")

    heading("The visitor logs in: the same session under a new id")
    logged_in = SessionId.generate()
    await store.change_id(visitor, logged_in)
    say("change_id", await shown(store, logged_in))
    say("load the old id", await shown(store, visitor))
    try:
        await store.update(visitor, SessionRecord({"cart": ["from a late request"]}, ttl=HOUR))
    except UnknownIdError as error:
        say("update the old id", f"{type(error).__name__}: {error}")
    return logged_in


async def expire_and_purge(store: SessionStorageBackend, logged_in: SessionId) -> None:
    """One session is extended, three expire, and one is deleted."""
    heading("Time passes")
    await store.update_ttl(logged_in, 2 * HOUR)
    say("update_ttl", await shown(store, logged_in))
    brief = [SessionId.generate() for _ in range(3)]
    for session_id in brief:
        await store.create(session_id, SessionRecord({"cart": []}, ttl=timedelta(seconds=0.2)))
    say("create three", "stored, for a fifth of a second")
    await asyncio.sleep(0.3)
    say("load one of them", await shown(store, brief[0]))

    heading("Expired rows are removed, live ones are not")
    say("delete_expired(2)", f"{await store.delete_expired(batch_size=2)} removed")
    say("delete_expired()", f"{await store.delete_expired()} removed")
    say("load", await shown(store, logged_in))

    heading("The visitor logs out")
    await store.delete(logged_in)
    say("delete", "removed")
    say("load", await shown(store, logged_in))


async def shown(store: SessionStorageBackend, session_id: SessionId) -> str:
    """Return what ``load`` finds, for people to read."""
    record = await store.load(session_id)
    if record is None:
        return "None: no such session"
    minutes = round(record.ttl / timedelta(minutes=1))
    return f"{record.state}, expires in {minutes} minutes"


def heading(text: str) -> None:
    """Print the title of the next part."""
    print(f"\n{text}")


def say(step: str, outcome: str) -> None:
    """Print what was done and what came of it."""
    print(f"  {step:<22}{outcome}")


if __name__ == "__main__":
    asyncio.run(main())
