"""Ids and records: what they accept, and what they never show."""

from __future__ import annotations

import copy
import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import SessionId, SessionRecord
from sessionstore_sql.records import require_ttl

SECRET = "secret-session-id"
HOUR = timedelta(hours=1)
CENTURY = timedelta(days=36_525)


@pytest.mark.parametrize(
    "text", ["a", " ", "\0", "é", "😀" * 1_024, "x" * 1_024, "'; DROP TABLE sessions; --"]
)
def test_any_text_up_to_1024_characters_is_an_id(text: str) -> None:
    """Characters count, not bytes, and none is special."""
    assert SessionId(text).value == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("x" * 1_025, "1024 characters"),
        ("secret\ud800", "UTF-8"),
        ("\udfffsecret", "UTF-8"),
    ],
)
def test_other_texts_are_no_ids(text: str, message: str) -> None:
    """Empty, too long and not encodable are value errors that do not show the text."""
    with pytest.raises(ValueError, match=message) as caught:
        SessionId(text)

    assert "secret" not in repr(caught.value)
    assert "xxx" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", [None, 1, b"bytes", ["a"], SessionId("a")])
def test_an_id_is_made_of_a_str(value: Any) -> None:
    """Anything but text is a type error naming the type."""
    with pytest.raises(TypeError, match=type(value).__name__):
        SessionId(value)


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, "%s".__mod__])
def test_an_id_never_shows_itself(show: Any) -> None:
    """No way to print an id shows its text."""
    assert SECRET not in show(SessionId(SECRET))
    assert SECRET not in show({"key": SessionId(SECRET)})


def test_ids_are_equal_when_their_texts_are() -> None:
    """Ids work in sets and as keys, and an id is not equal to its text."""
    assert SessionId("a") == SessionId("a")
    assert SessionId("a") != SessionId("A")
    assert SessionId("a") != "a"
    assert len({SessionId("a"), SessionId("a"), SessionId("b")}) == 2


def test_an_id_cannot_be_changed() -> None:
    """Frozen, and without room for other attributes."""
    session_id: Any = SessionId("a")

    with pytest.raises(dataclasses.FrozenInstanceError):
        session_id.value = "b"
    with pytest.raises((AttributeError, TypeError)):
        session_id.other = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        del session_id.value
    assert session_id.value == "a"


def test_a_copy_of_an_id_is_the_id() -> None:
    """What cannot be changed need not be copied."""
    session_id = SessionId(SECRET)

    assert copy.copy(session_id) is session_id
    assert copy.deepcopy({"id": session_id})["id"] is session_id


def test_an_id_matches_a_pattern() -> None:
    """By position, and by name."""
    match SessionId("a"):
        case SessionId(text):
            assert text == "a"
    match SessionId("a"):
        case SessionId(value="a"):
            pass
        case _:
            pytest.fail("it does not match")


def test_generated_ids_are_long_url_safe_and_different() -> None:
    """256 bits are 43 characters of base64 without padding."""
    ids = {SessionId.generate().value for _ in range(1_000)}

    assert len(ids) == 1_000
    for text in ids:
        assert len(text) == 43
        assert text.replace("-", "").replace("_", "").isalnum()
        assert text.isascii()


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(microseconds=1), HOUR, CENTURY])
def test_a_ttl_from_zero_to_a_century_is_legal(ttl: timedelta) -> None:
    """Both ends are included."""
    assert SessionRecord({}, ttl).ttl == ttl


@pytest.mark.parametrize(
    "ttl",
    [timedelta(microseconds=-1), CENTURY + timedelta(microseconds=1), timedelta.min, timedelta.max],
)
def test_a_ttl_out_of_range_is_rejected(ttl: timedelta) -> None:
    """One microsecond beyond either end is a value error."""
    with pytest.raises(ValueError, match="36525 days"):
        SessionRecord({}, ttl)
    with pytest.raises(ValueError, match="36525 days"):
        require_ttl(ttl)


@pytest.mark.parametrize("ttl", [None, 60, 60.0, "60", True])
def test_a_ttl_is_a_timedelta(ttl: Any) -> None:
    """Seconds are a type error."""
    with pytest.raises(TypeError, match=type(ttl).__name__):
        SessionRecord({}, ttl)


@pytest.mark.parametrize("state", [None, [], "{}", b"{}", [("a", 1)]])
def test_a_state_is_a_dict(state: Any) -> None:
    """Other JSON values, and what a dict could be made of, are type errors."""
    with pytest.raises(TypeError, match=type(state).__name__):
        SessionRecord(state, HOUR)


def test_a_record_does_not_show_its_state() -> None:
    """A state may hold personal data, so a log line of a record has none of it."""
    record = SessionRecord({"email": "secret@example.org"}, HOUR)

    assert "secret" not in repr(record)
    assert "secret" not in str(record)
    assert "3600" in repr(record)


def test_a_record_is_a_dataclass() -> None:
    """A copy with another TTL is made as of any other, and is checked."""
    record = SessionRecord({"a": 1}, HOUR)

    assert dataclasses.replace(record, ttl=CENTURY) == SessionRecord({"a": 1}, CENTURY)
    assert [each.name for each in dataclasses.fields(record)] == ["state", "ttl"]
    with pytest.raises(ValueError, match="36525 days"):
        dataclasses.replace(record, ttl=2 * CENTURY)
    match record:
        case SessionRecord(state, ttl):
            assert (state, ttl) == ({"a": 1}, HOUR)


def test_a_record_cannot_be_changed() -> None:
    """Frozen."""
    record: Any = SessionRecord({}, HOUR)

    with pytest.raises(dataclasses.FrozenInstanceError):
        record.ttl = CENTURY
    assert record.ttl == HOUR
