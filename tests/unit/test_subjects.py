"""Digests of subjects: what they are made of, and which keys apply."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore_sql.accounts.subjects import SubjectKeys, require_subject, subject_digest

OLD, NEW = b"0123456789abcdef", b"fedcba9876543210" * 2


@pytest.mark.parametrize(
    ("subject", "key", "digest"),
    [
        # printf 'sessionstore subject\0alice' | sha256sum
        ("alice", None, "b45286e2e8915f28214d5e5ac44cedc63062840a9d7921615e2dd7e28cd0b863"),
        (
            "https://idp.example|é",
            None,
            "3e406b79cca1d414c65492ef7bb9dda81641c099ccca6a98d964ceecf6175aa3",
        ),
        # .. | openssl dgst -sha256 -mac HMAC -macopt key:0123456789abcdef
        ("alice", OLD, "825c69889c41f367418a3ad5ce3c21c3a7675883a8ac524f040cdefc7856f82b"),
    ],
)
def test_digests_are_those_of_other_programs(subject: str, key: bytes | None, digest: str) -> None:
    """SHA-256, or HMAC-SHA-256 with a key, over the documented bytes."""
    assert subject_digest(subject, key).hex() == digest


@pytest.mark.parametrize("keys", [(), [], (None,)])
def test_a_store_without_keys_uses_plain_digests(keys: Any) -> None:
    """No key and ``None`` mean the same."""
    assert SubjectKeys(keys).digests("alice") == (subject_digest("alice", None),)
    assert SubjectKeys(keys).digest("alice") == subject_digest("alice", None)


def test_the_first_key_writes_and_every_key_finds() -> None:
    """So keys can be replaced while sessions last."""
    keys = SubjectKeys((NEW, OLD, None))

    assert keys.digest("alice") == subject_digest("alice", NEW)
    assert keys.digests("alice") == tuple(subject_digest("alice", key) for key in (NEW, OLD, None))


@pytest.mark.parametrize(
    ("one", "other"),
    [("alice", "Alice"), ("é", "e\u0301"), ("a", "a "), ("1", "01"), ("a\0", "a")],
)
def test_different_texts_are_different_subjects(one: str, other: str) -> None:
    """Subjects are not normalised."""
    assert subject_digest(one, None) != subject_digest(other, None)


def test_keys_change_the_digest() -> None:
    """Neither key gives the digest of the other, or the plain one."""
    assert len({subject_digest("alice", key) for key in (None, OLD, NEW)}) == 3


def test_keys_do_not_show() -> None:
    """A printout of the keys holds none of them."""
    assert repr(OLD)[2:-1] not in repr(SubjectKeys((OLD,)))
    assert not hasattr(SubjectKeys((OLD,)), "__dict__")


@pytest.mark.parametrize("keys", ["0123456789abcdef", OLD, bytearray(OLD), {OLD}, None, 1])
def test_keys_come_as_a_sequence(keys: Any) -> None:
    """One key is not a sequence of keys, and a set has no order."""
    with pytest.raises(TypeError, match=type(keys).__name__):
        SubjectKeys(keys)


@pytest.mark.parametrize("key", ["0123456789abcdef", bytearray(OLD), 1, ()])
def test_a_key_is_bytes(key: Any) -> None:
    """Text would have to be encoded first, by someone who knows how."""
    with pytest.raises(TypeError, match=type(key).__name__):
        SubjectKeys((None, key))


@pytest.mark.parametrize("key", [b"", b"0123456789abcde"])
def test_a_short_key_is_rejected(key: bytes) -> None:
    """Fewer than 16 bytes can be guessed; the error does not show them."""
    with pytest.raises(ValueError, match="16 bytes") as caught:
        SubjectKeys((key,))

    assert "0123" not in str(caught.value)


@pytest.mark.parametrize("subject", ["a", " ", "\0", "x" * 1_024, "😀" * 1_024])
def test_a_subject_has_1_to_1024_characters(subject: str) -> None:
    """Characters count, not bytes."""
    require_subject(subject)


@pytest.mark.parametrize("subject", ["", "x" * 1_025, "secret\ud800"])
def test_other_texts_are_no_subjects(subject: str) -> None:
    """A value error that shows nothing of the text."""
    with pytest.raises(ValueError, match="subject") as caught:
        require_subject(subject)

    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("subject", [None, 1, b"alice", ["alice"]])
def test_a_subject_is_a_str(subject: Any) -> None:
    """A number has to be turned into text by the application, the same way each time."""
    with pytest.raises(TypeError, match=type(subject).__name__):
        require_subject(subject)
