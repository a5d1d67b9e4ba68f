"""The command that encrypts stored sessions with the newest key."""

from __future__ import annotations

import base64
import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore_sql import (
    JSON,
    DeserializationError,
    SessionId,
    SessionRecord,
    SQLSessionStore,
    StateCodec,
)
from sessionstore_sql.cli import reencrypt
from sessionstore_sql.encryption import EncryptedCodec
from sessionstore_sql.sql.engines import dialect_of
from sessionstore_sql.sql.walk import Stored, Walk
from tests.cli.accounts import HOUR, USER, on_store, signed_in
from tests.cli.running import Command

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ONLY_NEW = EncryptedCodec({"new": NEW})


@pytest.fixture
def keys_file(tmp_path: Path) -> str:
    """A file with the new key in front of the old one."""
    path = tmp_path / "keys.json"
    keys = {"new": NEW, "old": OLD}
    path.write_text(
        json.dumps(
            {"encryption": {name: base64.b64encode(key).decode() for name, key in keys.items()}}
        )
    )
    return str(path)


def stored(command: Command, codec: StateCodec | None, count: int = 3) -> list[SessionId]:
    """Store sessions with a codec: one of a user, and others of visitors."""

    async def store_them(store: SQLSessionStore) -> list[SessionId]:
        first, _ = await signed_in(store, USER, about={"device": "phone"})
        ids = [SessionId.generate() for _ in range(count - 1)]
        for each in ids:
            await store.create(each, SessionRecord({"user": USER}, HOUR))
        return [first, *ids]

    return on_store(command, store_them, codec=codec)


def assert_readable_with_new_key(command: Command, ids: list[SessionId], **more: JSON) -> None:
    """Require that every session can be read with the new key alone."""

    async def read(store: SQLSessionStore) -> None:
        for each in ids:
            record = await store.load(each)
            assert record is not None
            assert record.state == {"user": USER, **more}
        (info,) = await store.sessions_of(USER)
        assert info.about == {"device": "phone"}

    on_store(command, read, codec=ONLY_NEW)


@pytest.mark.every_driver
def test_sessions_are_encrypted_with_the_first_key(made: Command, keys_file: str) -> None:
    """Those under the old key, and those in plain; the rest of the row stays as it is."""
    ids = stored(made, EncryptedCodec({"old": OLD}))
    plain = on_store(made, _create)

    ended = made("reencrypt", "--keys-file", keys_file)

    assert (ended.code, ended.err) == (0, "")
    assert "encrypted 4 sessions with 'new'" in ended.out
    assert_readable_with_new_key(made, [*ids, plain])
    again = made("reencrypt", "--keys-file", keys_file)
    assert "encrypted 0 sessions" in again.out


async def _create(store: SQLSessionStore) -> SessionId:
    session_id = SessionId.generate()
    await store.create(session_id, SessionRecord({"user": USER}, HOUR))
    return session_id


def test_more_sessions_than_a_batch(local: Command, keys_file: str) -> None:
    """The walk goes on behind the last key of each batch."""
    local("upgrade")
    ids = stored(local, EncryptedCodec({"old": OLD}), count=230)

    ended = local("reencrypt", "--keys-file", keys_file)

    assert "encrypted 230 sessions" in ended.out
    assert_readable_with_new_key(local, ids)


def test_the_largest_state_is_encrypted(made: Command, keys_file: str) -> None:
    """The former state is not sent along, which would be more than the server takes."""
    old = EncryptedCodec({"old": OLD})

    async def store_largest(store: SQLSessionStore) -> SessionId:
        async with store.engine.connect() as connection:
            limit = await connection.run_sync(dialect_of(store.engine).state_limit)
        session_id, size = SessionId.generate(), min(limit or 1_000_000, 8_000_000) - 10_000
        await store.create(session_id, SessionRecord({"large": "x" * size}, HOUR))
        return session_id

    large = on_store(made, store_largest, codec=old)

    ended = made("reencrypt", "--keys-file", keys_file)

    assert (ended.code, ended.err) == (0, "")
    assert on_store(made, lambda store: _loads(store, large), codec=ONLY_NEW)


def test_a_value_that_is_no_bytes_is_left_as_it_is(local: Command, keys_file: str) -> None:
    """SQLite holds what was written by hand. A number would be taken for a number of bytes."""
    local("upgrade")
    stored(local, EncryptedCodec({"old": OLD}), count=1)
    values = ("'text'", "1000000000000")

    async def write(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            for place, value in enumerate(values):
                await connection.exec_driver_sql(
                    f"INSERT INTO {local.table} (id, state, deadline) "
                    f"VALUES (randomblob(32), {value}, {2**60 + place})"
                )

    local.on_database(write)

    ended = local("reencrypt", "--keys-file", keys_file)

    assert ended.code == 1
    assert "encrypted 1 session with 'new'" in ended.out
    assert "2 sessions cannot be decrypted" in ended.err


def test_a_dry_run_changes_nothing(made: Command, keys_file: str) -> None:
    """It counts."""
    ids = stored(made, EncryptedCodec({"old": OLD}))

    ended = made("reencrypt", "--keys-file", keys_file, "--dry-run")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-1] == "3 sessions would be encrypted."
    assert not on_store(made, lambda store: _loads(store, ids[0]), codec=ONLY_NEW)


async def _loads(store: SQLSessionStore, session_id: SessionId) -> bool:
    try:
        return await store.load(session_id) is not None
    except DeserializationError:
        return False


def test_what_the_application_writes_meanwhile_stays(
    made: Command, keys_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that was stored after the walk has read the row is encrypted in the next round."""
    both = EncryptedCodec({"old": OLD})
    (first, *others) = stored(made, both)
    original, writes = Walk.replace, [first, *others]

    async def replace(self: Walk, before: Stored, after: Stored) -> bool:
        while writes:
            async with SQLSessionStore(made.url, table=made.table, codec=both) as store:
                await store.update(writes.pop(), SessionRecord({"user": USER, "new": 1}, HOUR))
        return await original(self, before, after)

    monkeypatch.setattr(Walk, "replace", replace)

    ended = made("reencrypt", "--keys-file", keys_file)

    assert "encrypted 3 sessions" in ended.out
    assert_readable_with_new_key(made, [first, *others], new=1)


def test_sessions_under_an_unknown_key_are_reported(made: Command, keys_file: str) -> None:
    """They stay as they are, the others are encrypted, and the exit code is 1."""
    stored(made, EncryptedCodec({"lost": bytes(32)}), count=1)
    ids = stored(made, None, count=2)[1:]

    ended = made("reencrypt", "--keys-file", keys_file)

    assert ended.code == 1
    assert "encrypted 2 sessions" in ended.out
    assert "1 session cannot be decrypted" in ended.err
    assert on_store(made, lambda store: _loads(store, ids[0]), codec=ONLY_NEW)


def test_it_ends_while_others_write_with_another_key(
    local: Command, keys_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would run for as long as the old processes do."""
    local("upgrade")
    stored(local, EncryptedCodec({"old": OLD}), count=1)
    monkeypatch.setattr(reencrypt, "_MAX_ROUNDS", 3)

    async def overtaken(*_: object) -> bool:
        return False

    monkeypatch.setattr(Walk, "replace", overtaken)

    ended = local("reencrypt", "--keys-file", keys_file)

    assert ended.code == 75
    assert "deploy the new key in front" in ended.err


def test_an_interrupted_command_can_be_repeated(
    local: Command, keys_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends after a batch."""
    local("upgrade")
    ids = stored(local, EncryptedCodec({"old": OLD}), count=150)
    original = Walk.stored

    async def stored_then_signal(self: Walk, after: bytes) -> object:
        found = await original(self, after)
        signal.raise_signal(signal.SIGINT)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Walk, "stored", stored_then_signal)
        first = local("reencrypt", "--keys-file", keys_file)
    second = local("reencrypt", "--keys-file", keys_file)

    assert first.code == 130
    assert "encrypted 100 sessions" in first.out
    assert "encrypted 50 sessions" in second.out
    assert_readable_with_new_key(local, ids)


def test_expired_sessions_are_left_to_the_purge(local: Command, keys_file: str) -> None:
    """No client can load them."""
    local("upgrade")

    async def expired(store: SQLSessionStore) -> None:
        await store.create(SessionId.generate(), SessionRecord({}, timedelta(0)))

    on_store(local, expired)

    assert "encrypted 0 sessions" in local("reencrypt", "--keys-file", keys_file).out


def test_it_needs_keys(local: Command, tmp_path: Path) -> None:
    """A file without keys for states is wrong usage."""
    path = tmp_path / "keys.json"
    path.write_text('{"subjects": [null]}')

    for arguments in ([], ["--keys-file", str(path)]):
        ended = local("reencrypt", *arguments)
        assert ended.code == 2
        assert "use --keys-file with a file that has `encryption` keys" in ended.err
