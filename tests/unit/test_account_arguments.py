"""Arguments of the account operations: what is rejected before any I/O."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql import (
    UNCHANGED,
    AccountSession,
    SessionHandle,
    SessionId,
    SessionRecord,
)
from sessionstore_sql.accounts.arguments import (
    check_replace,
    check_revoke,
    check_sessions_of,
    check_sign_in,
    check_sign_out,
    check_update_if,
    require_lifetime,
    require_max_sessions,
)

ID = SessionId("secret-id")
RECORD = SessionRecord({}, timedelta(hours=1))
HANDLE = SessionHandle("A" * 22)
CENTURY = timedelta(days=36_525)
MICROSECOND = timedelta(microseconds=1)


def sign_in(**arguments: Any) -> None:
    """Check a sign-in with these arguments, and others that are in order."""
    valid: dict[str, Any] = {
        "old_id": ID,
        "new_id": ID,
        "record": RECORD,
        "subject": "alice",
        "about": None,
        "lifetime": None,
        "max_sessions": None,
        "version": None,
        "idle_ttl": UNCHANGED,
    }
    check_sign_in(**(valid | arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"old_id": None},
        {"about": {}},
        {"lifetime": MICROSECOND},
        {"lifetime": CENTURY},
        {"max_sessions": 1},
        {"max_sessions": 2**70},
        {"version": 0},
        {"version": 2**63 - 1},
        {"idle_ttl": None},
        {"idle_ttl": CENTURY},
    ],
)
def test_a_sign_in_in_order_is_accepted(arguments: dict[str, Any]) -> None:
    """Both ends of every range are included."""
    sign_in(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"old_id": "secret-id"},
        {"new_id": None},
        {"new_id": "secret-id"},
        {"record": {}},
        {"subject": None},
        {"subject": 42},
        {"about": []},
        {"about": "secret"},
        {"lifetime": 60},
        {"max_sessions": 1.0},
        {"max_sessions": True},
        {"version": "1"},
        {"version": True},
        {"idle_ttl": 60},
        {"idle_ttl": "UNCHANGED"},
    ],
)
def test_wrong_types_are_type_errors(arguments: dict[str, Any]) -> None:
    """The error names the type and shows no value."""
    (value,) = arguments.values()
    with pytest.raises(TypeError, match=type(value).__name__) as caught:
        sign_in(**arguments)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"subject": ""},
        {"lifetime": timedelta(0)},
        {"lifetime": -MICROSECOND},
        {"lifetime": CENTURY + MICROSECOND},
        {"max_sessions": 0},
        {"max_sessions": -1},
        {"version": -1},
        {"version": 2**63},
        {"old_id": None, "version": 1},
        {"idle_ttl": timedelta(0)},
        {"idle_ttl": CENTURY + MICROSECOND},
    ],
)
def test_wrong_values_are_value_errors(arguments: dict[str, Any]) -> None:
    """A version needs a session to compare with."""
    with pytest.raises(ValueError, match=r"subject|lifetime|max_sessions|version|idle_ttl"):
        sign_in(**arguments)


@pytest.mark.parametrize("check", [require_lifetime, require_max_sessions])
def test_options_of_a_store_may_be_left_out(check: Any) -> None:
    """``None`` is no limit."""
    check(None)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_list_has_room_for_one(limit: int) -> None:
    """At least."""
    check_sessions_of("alice", 1)
    with pytest.raises(ValueError, match="limit"):
        check_sessions_of("alice", limit)


@pytest.mark.parametrize("limit", [None, True, 1.5, "1"])
def test_a_limit_is_an_int(limit: Any) -> None:
    """A bool is no number of sessions."""
    with pytest.raises(TypeError, match="limit"):
        check_sessions_of("alice", limit)


def test_one_session_is_revoked_or_kept() -> None:
    """Both together contradict each other."""
    check_revoke("alice", None, None)
    check_revoke("alice", HANDLE, None)
    check_revoke("alice", None, HANDLE)
    with pytest.raises(ValueError, match="only and keep"):
        check_revoke("alice", HANDLE, HANDLE)


@pytest.mark.parametrize("handles", [("A" * 22, None), (None, b"A" * 16), (ID, None)])
def test_a_handle_is_a_session_handle(handles: Any) -> None:
    """A text is not: ``SessionHandle(text)`` checks it."""
    with pytest.raises(TypeError, match="SessionHandle"):
        check_revoke("alice", *handles)


def test_a_session_is_signed_out_as_it_was_loaded() -> None:
    """It takes the id and what ``load_session`` returned."""
    session = AccountSession(RECORD, HANDLE, timedelta(0), None, 0, account=None)

    check_sign_out(ID, session)
    with pytest.raises(TypeError, match="AccountSession"):
        check_sign_out(ID, RECORD)
    with pytest.raises(TypeError, match="SessionId"):
        check_sign_out("id", session)


@pytest.mark.parametrize(
    "arguments",
    [("id", ID, RECORD), (ID, "id", RECORD), (ID, ID, {}), (None, ID, RECORD)],
)
def test_replace_takes_two_ids_and_a_record(arguments: Any) -> None:
    """Other types are type errors."""
    check_replace(ID, ID, RECORD, version=None, idle_ttl=UNCHANGED)
    with pytest.raises(TypeError):
        check_replace(*arguments, version=None, idle_ttl=UNCHANGED)


def test_replace_and_update_if_check_versions_and_idle_times() -> None:
    """As ``sign_in`` does."""
    with pytest.raises(ValueError, match="version"):
        check_replace(ID, ID, RECORD, version=-1, idle_ttl=UNCHANGED)
    with pytest.raises(ValueError, match="idle_ttl"):
        check_replace(ID, ID, RECORD, version=1, idle_ttl=timedelta(0))
    with pytest.raises(TypeError, match="version"):
        check_update_if(ID, RECORD, None, UNCHANGED)
    with pytest.raises(ValueError, match="idle_ttl"):
        check_update_if(ID, RECORD, 0, timedelta(0))
    with pytest.raises(TypeError, match="SessionId"):
        check_update_if("id", RECORD, 0, UNCHANGED)
    with pytest.raises(TypeError, match="SessionRecord"):
        check_update_if(ID, {}, 0, UNCHANGED)
    check_update_if(ID, RECORD, 0, None)
