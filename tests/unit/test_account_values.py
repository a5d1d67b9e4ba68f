"""Handles, list entries and events: what they accept and what they show."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from sessionstore_sql import (
    UNCHANGED,
    AccountEvent,
    AccountEventKind,
    AccountSession,
    JSONCodec,
    SessionHandle,
    SessionInfo,
    SessionRecord,
)
from sessionstore_sql.accounts.about import decode_about

HANDLE = SessionHandle("A" * 22)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_handle_has_128_random_bits() -> None:
    """Each is a different one, and short enough for a URL."""
    handles = {SessionHandle.generate() for _ in range(1_000)}

    assert len(handles) == 1_000
    for handle in handles:
        assert len(bytes(handle)) == 16
        assert len(handle.value) == 22
        assert handle.value.replace("-", "").replace("_", "").isalnum()


def test_a_handle_survives_its_text_and_its_bytes() -> None:
    """Both forms give an equal handle, and nothing else does."""
    handle = SessionHandle.generate()

    assert SessionHandle(handle.value) == SessionHandle.from_bytes(bytes(handle)) == handle
    assert hash(SessionHandle(handle.value)) == hash(handle)
    assert handle != SessionHandle.generate()
    assert handle != handle.value


def test_a_handle_may_be_shown() -> None:
    """Its text is what a template and a log line show."""
    handle = SessionHandle.generate()

    assert str(handle) == handle.value
    assert handle.value in repr(handle)
    assert pickle.loads(pickle.dumps(handle)) == handle  # noqa: S301


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * 21,
        "A" * 23,
        "A" * 21 + "B",  # bits to spare that are not zero: a second text of the same bytes
        "A" * 21 + "=",
        "A" * 20 + "==",
        "A" * 20 + "+/",
        "A" * 22 + "\n",
        " " + "A" * 21,
        "Ä" * 22,
        "secret-session-id-of-a-user",
    ],
)
def test_a_malformed_handle_is_a_value_error(text: str) -> None:
    """One text for each handle; the error shows none, as it might be an id."""
    with pytest.raises(ValueError, match="22 characters") as caught:
        SessionHandle(text)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"x" * 15, b"x" * 17])
def test_a_handle_is_made_of_16_bytes(data: bytes) -> None:
    """Other lengths are value errors."""
    with pytest.raises(ValueError, match="16 bytes"):
        SessionHandle.from_bytes(data)


@pytest.mark.parametrize("value", [None, 1, b"A" * 22, HANDLE])
def test_a_handle_is_made_of_text(value: Any) -> None:
    """Anything else is a type error."""
    with pytest.raises(TypeError, match=type(value).__name__):
        SessionHandle(value)


def test_what_the_application_says_of_a_session_does_not_show() -> None:
    """``about`` may hold personal data."""
    info = SessionInfo(HANDLE, NOW, NOW, NOW, NOW, None, {"device": "secret"})

    assert "secret" not in repr(info)
    assert info.about == {"device": "secret"}


def test_a_loaded_session_shows_neither_state_nor_account() -> None:
    """Its printout says how old it is, and no more."""
    record = SessionRecord({"user": "secret"}, timedelta(hours=1))
    session = AccountSession(record, HANDLE, timedelta(0), None, 7, account=b"secret")

    assert "secret" not in repr(session)
    assert session.idle_ttl is None


def test_an_event_does_not_show_the_user() -> None:
    """A user id is personal data; the kind and the handles are for logs."""
    event = AccountEvent(AccountEventKind.REVOKED, "secret", (HANDLE,), 1)

    assert "secret" not in repr(event)
    assert HANDLE.value in repr(event)


def test_the_kinds_of_events_are_texts() -> None:
    """Audit logs and counters use them as they are."""
    assert {str(kind) for kind in AccountEventKind} == {
        "signed_in",
        "reauthenticated",
        "signed_out",
        "revoked",
        "evicted",
    }


def test_unchanged_is_one_object() -> None:
    """It is compared by identity, also after it was pickled."""
    assert pickle.loads(pickle.dumps(UNCHANGED)) is UNCHANGED  # noqa: S301
    assert repr(UNCHANGED) == "UNCHANGED"


class CodecOfAnything(JSONCodec):
    """A codec of the application's that takes damaged bytes for a value."""

    def decode(self, data: bytes) -> Any:
        """Return whatever JSON it is."""
        return orjson.loads(data)


@pytest.mark.parametrize("stored", [b"5", b"[]", b'"text"', b"null", b"damaged", b"{}", None])
def test_an_about_that_is_no_object_is_empty(stored: bytes | None) -> None:
    """The user must still be able to end that session."""
    assert decode_about(CodecOfAnything(), stored) == (None, {})
