"""Shows each operation on SQLite, step by step. Run it with ``make demo``.

A session id is a credential, so this program never prints one.
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
    """Create a temporary database and run all steps on it."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'sessions.db'}"

        heading("Alembic creates the table")
        await migrate.upgrade(url)
        say("migrate.upgrade(url)", f"at revision {await migrate.current(url)}")

        async with SQLSessionStore(url) as store:
            logged_in = await visit_and_log_in(store)
            await expire_and_purge(store, logged_in)


async def visit_and_log_in(store: SessionStorageBackend) -> SessionId:
    """Create a session, change it, and rotate its id at the login."""
    heading("A visitor fills a cart")
    visitor = SessionId.generate()
    say("SessionId.generate()", str(visitor))
    await store.create(visitor, SessionRecord({"cart": []}, ttl=HOUR))
    say("create", "stored for one hour")
    say("load", await shown(store, visitor))
    await store.update(visitor, SessionRecord({"cart": ["tea", "scones"]}, ttl=HOUR))
    say("update", await shown(store, visitor))
    try:
        await store.create(visitor, SessionRecord({}, ttl=HOUR))
    except DuplicateIdError as error:
        say("create again", f"{type(error).__name__}: {error}")

    heading("The visitor logs in: the session gets a new id")
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
    """Extend one session, let three expire, purge, and log out."""
    heading("One session is extended, three expire")
    await store.update_ttl(logged_in, 2 * HOUR)
    say("update_ttl", await shown(store, logged_in))
    brief = [SessionId.generate() for _ in range(3)]
    for session_id in brief:
        await store.create(session_id, SessionRecord({"cart": []}, ttl=timedelta(seconds=0.2)))
    say("create three", "stored for 0.2 seconds")
    await asyncio.sleep(0.3)
    say("load one of them", await shown(store, brief[0]))

    heading("A purge deletes expired sessions only")
    say("delete_expired(2)", f"{await store.delete_expired(batch_size=2)} deleted")
    say("delete_expired()", f"{await store.delete_expired()} deleted")
    say("load", await shown(store, logged_in))

    heading("The visitor logs out")
    await store.delete(logged_in)
    say("delete", "deleted")
    say("load", await shown(store, logged_in))


async def shown(store: SessionStorageBackend, session_id: SessionId) -> str:
    """Return the result of ``load`` as readable text."""
    record = await store.load(session_id)
    if record is None:
        return "None: unknown or expired"
    minutes = round(record.ttl / timedelta(minutes=1))
    return f"{record.state}, expires in {minutes} minutes"


def heading(text: str) -> None:
    """Print the title of the next section."""
    print(f"\n{text}")


def say(step: str, outcome: str) -> None:
    """Print one step and its result."""
    print(f"  {step:<22}{outcome}")


if __name__ == "__main__":
    asyncio.run(main())
