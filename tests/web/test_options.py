"""The options of sessions, and how long sessions last with them."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from sessionstore_sql.testing import MemorySessionStore
from sessionstore_sql.web.lifetimes import Lifetimes, duration_of
from sessionstore_sql.web.options import SessionOptions, subject_text
from sessionstore_sql.web.sessions import Sessions
from tests.unit.memory_backend import MemoryBackend

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("remaining", "ends_in", "due"),
    [
        (10.0, None, False),
        (8.0, None, False),
        (7.9, None, True),
        # More than the idle time: it was shortened since.
        (10.1, None, True),
        # Near the end of the absolute lifetime, nothing can be gained.
        (5.0, 5.0, False),
        (4.0, 5.0, False),
        (3.9, 5.0, True),
        (7.9, 100.0, True),
    ],
)
def test_a_session_is_renewed_if_that_gives_it_time(
    remaining: float, ends_in: float | None, due: bool
) -> None:
    """With an idle time of ten hours and the usual threshold."""
    lifetimes = Lifetimes(max_age=10 * HOUR)
    end = None if ends_in is None else ends_in * HOUR

    assert lifetimes.is_renewal_due(remaining * HOUR, 10 * HOUR, end) == due


@pytest.mark.parametrize(("remaining", "due"), [(0.1, False), (10.0, False), (10.1, True)])
def test_a_threshold_of_zero_never_renews(remaining: float, due: bool) -> None:
    """But a shorter idle time still reaches sessions that are there."""
    lifetimes = Lifetimes(max_age=10 * HOUR, renewal_threshold=0)

    assert lifetimes.is_renewal_due(remaining * HOUR, 10 * HOUR, None) == due


@pytest.mark.parametrize(
    ("own", "signed_in", "idle_time"),
    [
        (None, True, 2 * HOUR),
        (None, False, HOUR),
        (9 * HOUR, True, 9 * HOUR),
        (9 * HOUR, False, 9 * HOUR),
    ],
)
def test_a_session_has_the_idle_time_of_its_kind(
    own: timedelta | None, signed_in: bool, idle_time: timedelta
) -> None:
    """Its own goes first."""
    lifetimes = Lifetimes(max_age=2 * HOUR, anonymous_max_age=HOUR)

    assert lifetimes.idle_time(own=own, signed_in=signed_in) == idle_time


def test_anonymous_sessions_last_as_long_as_others_by_default() -> None:
    """Unless ``anonymous_max_age`` is given."""
    assert Lifetimes(max_age=HOUR).idle_time(own=None, signed_in=False) == HOUR


@pytest.mark.parametrize(
    ("value", "duration"),
    [(1, timedelta(seconds=1)), (0.5, timedelta(milliseconds=500)), (HOUR, HOUR)],
)
def test_a_duration_is_a_timedelta_or_seconds(value: Any, duration: timedelta) -> None:
    """Whole or not."""
    assert duration_of(value, "max_age") == duration


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (True, TypeError),
        ("60", TypeError),
        (None, TypeError),
        (0, ValueError),
        (-1, ValueError),
        (timedelta(0), ValueError),
        (timedelta(days=36_526), ValueError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        (10**400, ValueError),
    ],
    ids=str,
)
def test_anything_else_is_no_duration(value: Any, error: type[Exception]) -> None:
    """The error names the option."""
    with pytest.raises(error, match="max_age"):
        duration_of(value, "max_age")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"lifetimes": Lifetimes(renewal_threshold=1.1)}, ValueError),
        ({"lifetimes": Lifetimes(renewal_threshold=-0.1)}, ValueError),
        ({"lifetime": timedelta(0)}, ValueError),
        ({"lifetime": 3600}, TypeError),
        ({"max_sessions": 0}, ValueError),
        ({"max_sessions": "3"}, TypeError),
        ({"subject_of": "user_id"}, TypeError),
        ({"on_conflict": "ignore"}, ValueError),
        ({"max_state_bytes": 0}, ValueError),
    ],
    ids=str,
)
def test_wrong_options_are_rejected(options: dict[str, Any], error: type[Exception]) -> None:
    """At set-up, and not when the first visitor comes."""
    with pytest.raises(error):
        SessionOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"lifetime": HOUR},
        {"max_sessions": 3},
        {"subject_of": lambda state: state.get("user")},
        {"lifetimes": Lifetimes(anonymous_max_age=HOUR)},
        {"on_conflict": "error"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_needs_accounts_is_rejected_without(options: dict[str, Any]) -> None:
    """A backend that does not know users is not silently good enough."""
    with pytest.raises(TypeError, match="AccountSessionBackend"):
        Sessions(MemoryBackend(), SessionOptions(**options))

    Sessions(MemorySessionStore(), SessionOptions(**options))


@pytest.mark.parametrize("store", [None, object(), MemoryBackend])
def test_what_is_no_store_is_rejected(store: object) -> None:
    """At set-up."""
    with pytest.raises(TypeError, match="session store"):
        Sessions(store)


@pytest.mark.parametrize(("subject", "text"), [("ada", "ada"), (7, "7"), (0, "0")])
def test_a_subject_is_text_or_an_int(subject: Any, text: str) -> None:
    """States hold the keys of database rows as ints."""
    assert subject_text(subject) == text


@pytest.mark.parametrize("subject", [True, None, 1.5, "", "x" * 1_025, "\ud800", b"ada"])
def test_anything_else_is_no_subject(subject: Any) -> None:
    """The error does not show it."""
    with pytest.raises((TypeError, ValueError)) as caught:
        subject_text(subject)
    assert "ada" not in str(caught.value)


@pytest.mark.parametrize(
    ("state", "subject"),
    [({}, None), ({"user": None}, None), ({"user": ""}, None), ({"user": 7}, "7")],
    ids=str,
)
def test_the_user_of_a_state(state: dict[str, Any], subject: str | None) -> None:
    """An empty text names no user."""
    options = SessionOptions(subject_of=lambda state: state.get("user"))

    assert options.subject_in(state) == subject


def test_without_subject_of_a_state_has_no_user() -> None:
    """It is not guessed."""
    assert SessionOptions().subject_in({"user": "ada"}) is None
