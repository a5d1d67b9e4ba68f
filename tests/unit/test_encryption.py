"""Encrypted states: the algorithm by its published vectors, the format, and the keys."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from typing import Any

import pytest

import sessionstore_sql
from sessionstore_sql import (
    DeserializationError,
    JSONCodec,
    LoadError,
    SerializationError,
    SessionId,
    SessionRecord,
)
from sessionstore_sql.codec import ABOUT, STATE, PurposefulCodec, for_purpose, key_id_of
from sessionstore_sql.encryption import EncryptedCodec
from sessionstore_sql.encryption.xaes import XAES256GCM
from sessionstore_sql.testing import MemorySessionStore, StateContract
from sessionstore_sql.testing.support import fails

OLD, NEW = b"o" * 32, b"n" * 32
STATE_OF_TEST: dict[str, Any] = {"card": "secret 4111", "items": [1, 2.5, None]}
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("key", "associated", "encrypted"),
    [
        (b"\x01" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (
            b"\x03" * 32,
            b"c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ],
)
def test_the_vectors_of_c2sp(key: bytes, associated: bytes, encrypted: str) -> None:
    """https://c2sp.org/XAES-256-GCM: one for each value of the first bit of the subkey."""
    cipher, nonce = XAES256GCM(key), b"ABCDEFGHIJKLMNOPQRSTUVWX"

    assert cipher.encrypt(nonce, b"XAES-256-GCM", associated).hex() == encrypted
    assert cipher.decrypt(nonce, bytes.fromhex(encrypted), associated) == b"XAES-256-GCM"


def test_the_accumulated_vectors_of_c2sp() -> None:
    """10,000 messages from a deterministic source, and the hash of what comes out."""
    # For each at most 32 + 24 + 1 + 255 + 1 + 255 bytes; SHAKE-128 gives all of them at once.
    random, position = hashlib.shake_128().digest(10_000 * 568), 0
    accumulated = hashlib.shake_128()

    def take(size: int) -> bytes:
        nonlocal position
        position += size
        return random[position - size : position]

    for _ in range(10_000):
        key, nonce = take(32), take(24)
        message, associated = take(take(1)[0]), take(take(1)[0])
        cipher = XAES256GCM(key)
        encrypted = cipher.encrypt(nonce, message, associated)
        assert cipher.decrypt(nonce, encrypted, associated) == message
        accumulated.update(encrypted)

    assert (
        accumulated.digest(32).hex()
        == "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
    )


def test_the_format() -> None:
    """A byte for the format, four for the key, the nonce, then text and tag."""
    codec = EncryptedCodec({"2026": NEW})

    data = codec.encode(STATE_OF_TEST)

    header, nonce, encrypted = data[:5], data[5:29], data[29:]
    assert header == b"\x01" + hashlib.sha256(b"sessionstore key\x002026").digest()[:4]
    assert XAES256GCM(NEW).decrypt(nonce, encrypted, header + b"state") == JSONCodec().encode(
        STATE_OF_TEST
    )
    assert len(data) == len(JSONCodec().encode(STATE_OF_TEST)) + 45


def test_what_is_encrypted_shows_nothing_and_never_repeats() -> None:
    """The same state is other bytes each time, under a nonce of its own."""
    codec = EncryptedCodec({"a": NEW})
    stored = [codec.encode(STATE_OF_TEST) for _ in range(100)]

    assert not any(b"secret" in each or b"4111" in each for each in stored)
    assert len({each[5:29] for each in stored}) == 100
    assert all(codec.decode(each) == STATE_OF_TEST for each in stored)


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    """So a new key is put in front while states of the old one last."""
    before, after = EncryptedCodec({"old": OLD}), EncryptedCodec({"new": NEW, "old": OLD})
    stored = before.encode(STATE_OF_TEST)

    assert after.decode(stored) == STATE_OF_TEST
    assert after.key_name(stored) == "old"
    assert after.key_name(after.encode(STATE_OF_TEST)) == "new"
    assert EncryptedCodec({"old": OLD, "new": NEW}).decode(after.encode({})) == {}


def test_a_missing_key_is_an_error() -> None:
    """A process that does not have the new key yet cannot read what was encrypted with it."""
    stored = EncryptedCodec({"new": NEW}).encode(STATE_OF_TEST)
    codec = EncryptedCodec({"old": OLD})

    with pytest.raises(DeserializationError, match="key that is missing"):
        codec.decode(stored)
    with pytest.raises(DeserializationError, match="key that is missing"):
        codec.key_name(stored)


def test_another_key_of_the_same_name_is_an_error() -> None:
    """It is found by its name, and does not fit."""
    stored = EncryptedCodec({"a": OLD}).encode(STATE_OF_TEST)

    with pytest.raises(DeserializationError, match="damaged"):
        EncryptedCodec({"a": NEW}).decode(stored)


def test_every_changed_byte_is_noticed() -> None:
    """In the header, the nonce, the text and the tag."""
    codec = EncryptedCodec({"a": NEW, "b": OLD})
    stored = codec.encode({"a": 1})

    for index in range(len(stored)):
        changed = bytearray(stored)
        changed[index] ^= 1
        with pytest.raises(DeserializationError):
            codec.decode(bytes(changed))


def test_the_key_id_is_authenticated() -> None:
    """The same key under another name does not pass."""
    codec = EncryptedCodec({"a": NEW, "b": NEW})
    stored = codec.encode({"a": 1})

    with pytest.raises(DeserializationError, match="damaged"):
        codec.decode(stored[:1] + key_id_of("b") + stored[5:])


@pytest.mark.parametrize("length", [0, 1, 4, 5, 28, 29, 44, 45])
def test_what_was_cut_off_is_an_error(length: int) -> None:
    """However little is left."""
    codec = EncryptedCodec({"a": NEW})
    stored = codec.encode({})

    with pytest.raises(DeserializationError):
        codec.decode(stored[:length])


def test_what_is_stored_for_one_purpose_cannot_be_used_for_another() -> None:
    """An attacker who can write to the table cannot make a state of an ``about``."""
    codec = EncryptedCodec({"a": NEW})
    about = codec.for_purpose(ABOUT)
    stored = about.encode({"admin": True})

    assert about.decode(stored) == {"admin": True}
    with pytest.raises(DeserializationError, match="another place"):
        codec.decode(stored)
    with pytest.raises(DeserializationError, match="another place"):
        about.decode(codec.encode({}))
    assert codec.for_purpose(STATE).decode(codec.encode({})) == {}


def test_plain_states_are_read_where_that_is_allowed() -> None:
    """While a table that had no encryption is being encrypted, and not longer."""
    plain = JSONCodec().encode(STATE_OF_TEST)
    codec = EncryptedCodec({"a": NEW}, allow_plain=True)

    assert codec.decode(plain) == STATE_OF_TEST
    assert codec.for_purpose(ABOUT).decode(plain) == STATE_OF_TEST
    assert codec.key_name(plain) is None
    assert codec.decode(codec.encode(STATE_OF_TEST)) == STATE_OF_TEST
    with pytest.raises(DeserializationError, match="not encrypted"):
        EncryptedCodec({"a": NEW}).decode(plain)


class Upper(JSONCodec):
    """A codec of an application's, which knows nothing of purposes."""

    def encode(self, state: dict[str, Any]) -> bytes:
        """Encode, in capitals."""
        return super().encode(state).upper()


def test_another_codec_can_be_inside() -> None:
    """Its bytes are what is encrypted."""
    codec = EncryptedCodec({"a": NEW}, Upper())

    assert codec.decode(codec.encode({"a": "b"})) == {"A": "B"}
    assert codec.for_purpose(ABOUT).decode(codec.for_purpose(ABOUT).encode({"a": "b"})) == {
        "A": "B"
    }


def test_a_codec_inside_is_told_of_the_purpose() -> None:
    """Two layers of encryption are bound to it both."""
    codec = EncryptedCodec({"outer": NEW}, EncryptedCodec({"inner": OLD}))
    stored = codec.for_purpose(ABOUT).encode({"a": 1})

    assert codec.for_purpose(ABOUT).decode(stored) == {"a": 1}
    with pytest.raises(DeserializationError):
        codec.decode(stored)


def test_a_codec_that_knows_no_purposes_is_used_for_all() -> None:
    """Codecs that were written before there were purposes go on working."""
    codec = Upper()

    assert not isinstance(codec, PurposefulCodec)
    assert for_purpose(codec, ABOUT) is codec
    assert isinstance(EncryptedCodec({"a": NEW}), PurposefulCodec)


def test_what_cannot_be_encoded_is_the_error_of_the_codec_inside() -> None:
    """With the place and the type."""
    state: dict[str, Any] = {"a": {1}}

    with pytest.raises(SerializationError, match=r"state\['a'\]: set"):
        EncryptedCodec({"a": NEW}).encode(state)


@pytest.mark.parametrize("keys", [None, [("a", NEW)], NEW, {1: NEW}, {"a": "n" * 32}, {"a": 1}])
def test_keys_of_a_wrong_type_are_type_errors(keys: Any) -> None:
    """Names are text and keys are bytes."""
    with pytest.raises(TypeError):
        EncryptedCodec(keys)


@pytest.mark.parametrize("keys", [{}, {"": NEW}, {"a": b""}, {"a": b"n" * 16}, {"a": b"n" * 33}])
def test_keys_out_of_range_are_value_errors(keys: dict[str, bytes]) -> None:
    """A key has 32 bytes; a password is not one."""
    with pytest.raises(ValueError, match="key") as caught:
        EncryptedCodec(keys)

    assert "nnnn" not in str(caught.value)


def test_names_with_the_same_hash_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes of hash meet once in some thousands of millions of pairs."""
    monkeypatch.setattr("sessionstore_sql.encryption.codec.key_id_of", lambda _name: b"same")

    with pytest.raises(ValueError, match="rename"):
        EncryptedCodec({"a": NEW, "b": OLD})


def test_keys_do_not_show() -> None:
    """A printout names the keys."""
    shown = repr(EncryptedCodec({"2026": NEW}))

    assert "nnnn" not in shown
    assert "2026" in shown


def test_it_is_a_name_of_the_package() -> None:
    """Beside the default codec."""
    assert sessionstore_sql.EncryptedCodec is EncryptedCodec
    with pytest.raises(AttributeError, match="EncrypTedCodec"):
        _ = sessionstore_sql.EncrypTedCodec  # type: ignore[attr-defined]


class TestEncryptedStates(StateContract):
    """What comes back equals what was stored, or storing it fails."""

    @pytest.fixture
    def backend(self) -> MemorySessionStore:
        """A store that encrypts."""
        return MemorySessionStore(codec=EncryptedCodec({"a": os.urandom(32)}))


@pytest.mark.anyio
async def test_a_session_whose_key_is_missing_is_kept() -> None:
    """It cannot be read, and can be ended; with the key, it can be read again."""
    store = MemorySessionStore(codec=EncryptedCodec({"new": NEW}))
    session_id = SessionId.generate()
    await store.sign_in(
        None, session_id, SessionRecord(STATE_OF_TEST, HOUR), subject="alice", about={"a": 1}
    )
    without = MemorySessionStore(codec=EncryptedCodec({"old": OLD}), sessions_of_store=store)

    with fails(LoadError, DeserializationError):
        await without.load(session_id)
    (info,) = await without.sessions_of("alice")

    assert info.about == {}
    loaded = await store.load(session_id)
    assert loaded is not None
    assert loaded.state == STATE_OF_TEST
    assert await without.revoke("alice", only=info.handle) == 1
