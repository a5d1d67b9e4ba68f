"""The code of revision 0001 on the table of revision 0002, as while a new version is deployed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import anyio.to_thread
import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import SessionId, SessionRecord, SQLSessionStore, migrate
from sessionstore_sql.testing.accounts.support import handles_of, session_of
from sessionstore_sql.testing.support import HOUR
from tests.conftest import skip_unless_required
from tests.migrations.databases import ROOT, columns_of, shown

pytestmark = [pytest.mark.anyio, pytest.mark.every_driver]

COMMIT = "6b29d38"
"""The last one whose table is that of revision 0001 and whose code knows no other."""

SCRIPT = """
import asyncio, sys
from datetime import timedelta
from sessionstore_sql import DuplicateIdError, SessionId, SessionRecord, SQLSessionStore
from sessionstore_sql import UnknownIdError
from sessionstore_sql.schema import session_table

HOUR = timedelta(hours=1)

async def fails(call, error):
    try:
        await call
    except error:
        return
    raise AssertionError(f"no {error.__name__}")

async def use(store, callers):
    ids = [SessionId.generate() for _ in range(callers)]
    new_ids = [SessionId.generate() for _ in range(callers)]
    gone = [SessionId.generate() for _ in range(callers)]

    async def each(call):
        return await asyncio.gather(*(call(*pair) for pair in zip(ids, new_ids, gone)))

    await each(lambda id, new, gone: store.create(id, SessionRecord({"was": "created"}, HOUR)))
    await each(lambda id, new, gone: fails(
        store.create(id, SessionRecord({}, HOUR)), DuplicateIdError))
    await each(lambda id, new, gone: store.update(id, SessionRecord({"was": "updated"}, HOUR)))
    await each(lambda id, new, gone: store.update_ttl(id, 2 * HOUR))
    await each(lambda id, new, gone: store.change_id(id, new))
    loaded = await each(lambda id, new, gone: store.load(new))
    assert all(each.state == {"was": "updated"} and each.ttl > HOUR for each in loaded)
    await each(lambda id, new, gone: store.create(gone, SessionRecord({}, timedelta(0))))
    await each(lambda id, new, gone: store.create(gone, SessionRecord({}, timedelta(0))))
    assert await store.delete_expired() == callers
    await each(lambda id, new, gone: fails(store.update_ttl(gone, HOUR), UnknownIdError))
    await each(lambda id, new, gone: store.delete(new))

async def use_beside(store):
    left, gone, user = [SessionId(f"{name}-of-0001") for name in ("left", "gone", "user")]
    await store.create(left, SessionRecord({"was": "created"}, HOUR))
    await store.update(left, SessionRecord({"was": "updated"}, HOUR))
    assert (await store.load(user)).state == {"was": "signed in"}
    await store.update(user, SessionRecord({"was": "updated"}, HOUR))
    await store.delete(gone)

async def main():
    url, table = sys.argv[1:]
    assert "subject" not in session_table().c, "this is not the code of revision 0001"
    for coalesce in (True, False):
        async with SQLSessionStore(url, table=table, coalesce=coalesce) as store:
            for callers in (1, 20):
                await use(store, callers)
    async with SQLSessionStore(url, table=table) as store:
        await use_beside(store)

asyncio.run(main())
print("done")
"""


@pytest.fixture(scope="session")
def previous_code(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The package as it was, from the history of the checkout."""
    archive = subprocess.run(
        ["git", "archive", COMMIT, "sessionstore_sql", "migrations"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        reason = "the history of the checkout is not there"
        skip_unless_required("the code of revision 0001", reason, request.config)
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


async def test_the_code_of_0001_works_on_the_table_of_0002(
    url: URL, table: str, engine: AsyncEngine, previous_code: Path
) -> None:
    """Every operation, alone and in batches; so the upgrade comes before the deployment.

    The new code then sees sessions of the old one as anonymous and without a version, and a user's
    session that the old code has written is still the user's.
    """
    await migrate.upgrade(url, table=table)
    assert "subject" in await columns_of(engine, table)

    left, gone, user = [SessionId(f"{name}-of-0001") for name in ("left", "gone", "user")]
    async with SQLSessionStore(url, table=table) as new:
        was = {"was": "signed in"}
        handle = await new.sign_in(None, user, SessionRecord({**was}, HOUR), subject="user")
        await new.sign_in(None, gone, SessionRecord({**was}, HOUR), subject="user")

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, shown(url), table],
            cwd=previous_code,
            env={**os.environ, "PYTHONPATH": str(previous_code)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    done = await anyio.to_thread.run_sync(run)

    assert done.stdout == "done\n", done.stderr
    async with SQLSessionStore(url, table=table) as new:
        old = await session_of(new, left)
        assert (old.version, old.handle, old.account, old.ends_in) == (0, None, None, None)
        assert old.record.state == {"was": "updated"}
        assert await new.update_if(left, SessionRecord({"was": "new"}, HOUR), old.version)

        kept = await session_of(new, user)
        assert (kept.record.state, kept.handle) == ({"was": "updated"}, handle)
        assert await handles_of(new, "user") == {handle}
        assert await new.load(gone) is None
