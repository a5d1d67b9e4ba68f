"""The kit for backends of others: a correct one passes it, and each mistake fails it."""

from __future__ import annotations

from functools import cache
from textwrap import dedent, indent

import pytest

from tests.kits import failed_tests

HEADER = """
import asyncio, copy, json, time
from datetime import timedelta
import pytest
from sessionstore_sql import *
from sessionstore_sql.errors import for_operation
from sessionstore_sql.testing import SessionStorageBackendContract
from tests.unit.memory_backend import MemoryBackend, deadline
"""

TEST_CLASS = """
class Test{name}(SessionStorageBackendContract):
    @pytest.fixture
    def backend(self):
        return {name}()
"""

BROKEN = {
    "UpsertingUpdate": (
        """
        async def update(self, session_id, record):
            self.rows[session_id] = self.encode(UpdateError, record), deadline(record.ttl)
        """,
        "test_update_of_an_unknown_id_stores_nothing",
    ),
    "RevivingUpdate": (
        """
        def require_live(self, operation, session_id):
            if session_id not in self.rows:
                raise for_operation(operation, UnknownIdError(session_id))
        """,
        "test_update_never_revives_an_expired_session",
    ),
    "MergingUpdate": (
        """
        async def update(self, session_id, record):
            old = await self.load(session_id)
            merged = {**(old.state if old else {}), **record.state}
            await super().update(session_id, SessionRecord(merged, record.ttl))
        """,
        "test_update_replaces_state_and_deadline",
    ),
    "IgnoredDuplicates": (
        """
        async def create(self, session_id, record):
            self.encode(CreateError, record)
            if not self.is_live(session_id):
                await super().create(session_id, record)
        """,
        "test_create_reports_a_live_duplicate",
    ),
    "OverwritingCreate": (
        """
        async def create(self, session_id, record):
            self.rows.pop(session_id, None)
            await super().create(session_id, record)
        """,
        "test_create_reports_a_live_duplicate",
    ),
    "CreateSpoiledByTheExpired": (
        """
        async def create(self, session_id, record):
            if session_id in self.rows:
                raise for_operation(CreateError, DuplicateIdError(session_id))
            await super().create(session_id, record)
        """,
        "test_create_replaces_an_expired_session",
    ),
    "RacingCreate": (
        """
        async def create(self, session_id, record):
            if self.is_live(session_id):
                raise for_operation(CreateError, DuplicateIdError(session_id))
            data = self.encode(CreateError, record)
            await asyncio.sleep(0)
            self.rows[session_id] = data, deadline(record.ttl)
        """,
        "test_one_of_many_creates_wins",
    ),
    "KeptOldId": (
        """
        async def change_id(self, old_id, new_id):
            row = self.rows.get(old_id)
            await super().change_id(old_id, new_id)
            self.rows[old_id] = row
        """,
        "test_change_id_moves_the_session",
    ),
    "RacingChangeId": (
        """
        async def change_id(self, old_id, new_id):
            self.require_live(ChangeIdError, old_id)
            if self.is_live(new_id):
                raise for_operation(ChangeIdError, DuplicateIdError(new_id))
            await asyncio.sleep(0)
            self.rows[new_id] = self.rows.get(old_id, (b"{}", deadline(timedelta(1))))
            self.rows.pop(old_id, None)
        """,
        "test_one_of_many_rotations_from_one_id_wins",
    ),
    "OverwritingChangeId": (
        """
        async def change_id(self, old_id, new_id):
            self.require_live(ChangeIdError, old_id)
            self.rows[new_id] = self.rows.pop(old_id)
        """,
        "test_change_id_onto_a_live_id_fails",
    ),
    "RestartedDeadline": (
        """
        async def change_id(self, old_id, new_id):
            await super().change_id(old_id, new_id)
            await self.update_ttl(new_id, timedelta(hours=1))
        """,
        "test_change_id_moves_the_session",
    ),
    "SilentDelete": (
        """
        async def delete(self, session_id):
            if self.is_live(session_id):
                await super().delete(session_id)
        """,
        "test_delete_of_an_unknown_id_fails",
    ),
    "PurgingTheLive": (
        """
        async def delete_expired(self, batch_size=None):
            removed = await super().delete_expired(batch_size)
            self.rows.clear()
            return removed
        """,
        "test_delete_expired_only_deletes_expired_sessions",
    ),
    "OverCountingPurge": (
        """
        async def delete_expired(self, batch_size=None):
            return 2 * await super().delete_expired(batch_size)
        """,
        "test_delete_expired_only_deletes_expired_sessions",
    ),
    "UnboundedPurge": (
        """
        async def delete_expired(self, batch_size=None):
            if batch_size is not None:
                await super().delete_expired(batch_size)
            return await super().delete_expired()
        """,
        "test_delete_expired_respects_the_batch_size",
    ),
    "DoubleCountingPurges": (
        """
        async def delete_expired(self, batch_size=None):
            doomed = [each for each in self.rows if not self.is_live(each)][:batch_size]
            await asyncio.sleep(0)
            for each in doomed:
                self.rows.pop(each, None)
            return len(doomed)
        """,
        "test_purges_at_once_count_each_session_once",
    ),
    "PurgeOfTheExtended": (
        """
        async def delete_expired(self, batch_size=None):
            doomed = [each for each in self.rows if not self.is_live(each)][:batch_size]
            await asyncio.sleep(0.03)
            return sum(self.rows.pop(each, None) is not None for each in doomed)
        async def update_ttl(self, session_id, ttl):
            if session_id in self.rows:
                self.rows[session_id] = self.rows[session_id][0], deadline(ttl)
            else:
                await super().update_ttl(session_id, ttl)
        """,
        "test_update_ttl_never_revives_an_expired_session",
    ),
    "BatchOfTrue": (
        """
        async def delete_expired(self, batch_size=None):
            return await super().delete_expired(None if batch_size is None else int(batch_size))
        """,
        "test_delete_expired_rejects_other_types",
    ),
    "IgnoredTtl": (
        """
        async def create(self, session_id, record):
            await super().create(session_id, SessionRecord(record.state, timedelta(days=1)))
        """,
        "test_load_returns_the_remaining_ttl",
    ),
    "WholeSeconds": (
        """
        async def create(self, session_id, record):
            ttl = timedelta(seconds=int(record.ttl.total_seconds()) // 60 * 60)
            await super().create(session_id, SessionRecord(record.state, ttl))
        """,
        "test_load_returns_the_remaining_ttl",
    ),
    "FoldedCase": (
        """
        def fold(self, session_id):
            return SessionId(session_id.value.casefold())
        async def create(self, session_id, record):
            await super().create(self.fold(session_id), record)
        async def load(self, session_id):
            return await super().load(self.fold(session_id))
        """,
        "test_different_texts_are_different_ids",
    ),
    "SharedState": (
        """
        async def create(self, session_id, record):
            await super().create(session_id, record)
            self.shared = {session_id: record.state}
        async def load(self, session_id):
            loaded = await super().load(session_id)
            if loaded is None or session_id not in getattr(self, "shared", {}):
                return loaded
            return SessionRecord(self.shared[session_id], loaded.ttl)
        """,
        "test_a_loaded_record_belongs_to_the_caller",
    ),
    "LooseJSON": (
        """
        def encode(self, operation, record):
            return json.dumps(record.state, default=str).encode()
        async def load(self, session_id):
            if not self.is_live(session_id):
                return None
            return SessionRecord(json.loads(self.rows[session_id][0]), timedelta(seconds=30))
        """,
        "test_what_json_would_change_is_rejected",
    ),
    "UnattributedErrors": (
        """
        def require_live(self, operation, session_id):
            if not self.is_live(session_id):
                raise UnknownIdError(session_id)
        """,
        "test_update_of_an_unknown_id_stores_nothing",
    ),
    "ErrorsThatShowIds": (
        """
        def require_live(self, operation, session_id):
            if not self.is_live(session_id):
                error = UnknownIdError(session_id)
                error.args = (f"no session {session_id.value}",)
                raise for_operation(operation, error)
        """,
        "test_errors_show_neither_id_nor_state",
    ),
    "UnexpectedErrors": (
        """
        async def delete(self, session_id):
            raise RuntimeError("deadlock")
        """,
        "test_one_of_many_deletes_wins",
    ),
}

NO_BACKEND = """
class TestNoBackend(SessionStorageBackendContract):
    pass
"""


@cache
def failed() -> dict[str, set[str]]:
    """Run the whole kit on the correct backend, and on each broken one the test about it."""
    source = [HEADER, NO_BACKEND, TEST_CLASS.format(name="MemoryBackend")]
    without_backend = "test_load_of_an_unknown_id_is_none"
    selected = ["TestMemoryBackend", f"TestNoBackend::{without_backend}"]
    for name, (methods, expected) in BROKEN.items():
        source += [f"class {name}(MemoryBackend):", indent(dedent(methods), "    ")]
        source.append(TEST_CLASS.format(name=name))
        selected.append(f"Test{name}::{expected}")
    return failed_tests(source, selected)


def test_a_correct_backend_passes() -> None:
    """A dict is enough to keep the contract."""
    assert failed().get("MemoryBackend", set()) == set()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_backend_fails(name: str) -> None:
    """Each mistake is found, by the test that is about it."""
    _, expected = BROKEN[name]

    assert expected in failed().get(name, set())


def test_a_class_without_a_backend_is_an_error() -> None:
    """Forgetting the fixture does not pass for keeping the contract."""
    assert "NoBackend" in failed()
