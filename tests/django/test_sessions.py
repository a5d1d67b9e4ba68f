"""``SessionStore`` on every database, in both forms of its interface."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.serializers import JSONSerializer
from django.core.management import call_command
from django.test.utils import override_settings
from django.utils import timezone

from sessionstore_sql import SerializationError
from sessionstore_sql.django import SessionStore, close
from sessionstore_sql.django.process import wait_for
from tests.django.forms import Form
from tests.django.rows import count, life, statements, stored, write

pytestmark = pytest.mark.usefixtures("sessions")

UNUSABLE_KEYS = ["short", "x" * 1_025, "surrogate \ud800"]


def saved(form: Form, **values: Any) -> SessionStore:
    """Return a new session that has been saved."""
    session = SessionStore()
    for key, value in values.items():
        form.set(session, key, value)
    form.call(session, "save")
    return session


def loaded(form: Form, key: str | None) -> dict[str, Any]:
    """Return what the session has for a request that comes with this key."""
    return dict(form.call(SessionStore(key), "load"))


# Storing and finding


def test_a_saved_session_is_found_by_its_key(form: Form) -> None:
    """By another object, as in the next request."""
    session = saved(form, cart=[7, {"n": 1.5}], name="Ада")

    assert loaded(form, session.session_key) == {"cart": [7, {"n": 1.5}], "name": "Ада"}


def test_a_key_fits_where_djangos_fits(form: Form) -> None:
    """Of Django's length and alphabet: applications have columns for it."""
    key = saved(form).session_key or ""

    assert len(key) == 32
    assert key.isalnum()
    assert key == key.lower()


def test_a_session_without_data_can_be_stored(form: Form) -> None:
    """It is there, and empty."""
    session = saved(form)

    assert form.call(SessionStore(), "exists", session.session_key)
    assert loaded(form, session.session_key) == {}


def test_create_stores_under_a_new_key(form: Form) -> None:
    """Whatever the key was, with the data that are there, and the middleware is to send it."""
    session = saved(form, cart=1)
    old_key, session.modified = session.session_key, False

    form.call(session, "create")

    assert session.modified
    assert session.session_key != old_key
    assert loaded(form, session.session_key) == {"cart": 1}
    assert loaded(form, old_key) == {"cart": 1}


def test_a_new_session_is_one_statement(form: Form) -> None:
    """Django's question whether a key is free is left out: creating tells."""
    seen = wait_for(statements)

    saved(form, cart=1)

    assert len(seen) == 1


@pytest.mark.parametrize("key", ["unknown-and-well-formed", *UNUSABLE_KEYS, None])
def test_an_unknown_key_is_never_adopted(form: Form, key: str | None) -> None:
    """A client's key that is not live leads to an empty session, and to a new key once saved."""
    session = SessionStore(key)
    assert form.call(session, "load") == {}
    assert session.session_key is None
    assert wait_for(count) == 0

    form.set(session, "cart", 1)
    form.call(session, "save")

    assert session.session_key not in {key, None}
    assert not form.call(session, "exists", key)
    assert wait_for(count) == 1


def test_data_are_loaded_once(form: Form) -> None:
    """And an access is seen by the middleware, a change too."""
    key = saved(form, cart=1).session_key
    session = SessionStore(key)
    assert (session.accessed, session.modified) == (False, False)

    assert form.call(session, "get", "cart") == 1
    wait_for(write, key, state=b'{"cart":2}')
    assert form.call(session, "get", "cart") == 1
    assert (session.accessed, session.modified) == (True, False)

    form.set(session, "cart", 3)
    assert (session.accessed, session.modified) == (True, True)


# Saving a deleted session


def test_a_deleted_session_is_not_revived(form: Form) -> None:
    """``UpdateError``, which the middleware knows, and no row."""
    session = saved(form, cart=1)
    form.call(SessionStore(session.session_key), "delete")
    form.set(session, "cart", 2)

    with pytest.raises(UpdateError):
        form.call(session, "save")

    assert wait_for(count) == 0


def test_an_expired_session_is_not_revived(form: Form) -> None:
    """It is a deleted one."""
    session = saved(form, cart=1)
    wait_for(write, session.session_key, deadline=1)
    form.set(session, "cart", 2)

    with pytest.raises(UpdateError):
        form.call(session, "save")

    assert loaded(form, session.session_key) == {}


@pytest.mark.parametrize("key", UNUSABLE_KEYS[1:])
def test_a_key_that_cannot_be_one_cannot_be_saved(form: Form, key: str) -> None:
    """As one that is not live, or that is taken."""
    session = SessionStore(key)
    session.clear()

    with pytest.raises(UpdateError):
        form.call(session, "save")
    with pytest.raises(CreateError):
        form.call(session, "save", True)
    form.call(session, "delete")

    assert wait_for(count) == 0


def test_a_live_key_is_not_created_again(form: Form) -> None:
    """``save(must_create=True)`` tells, and changes nothing."""
    first = saved(form, owner="first")
    second = SessionStore(first.session_key)

    with pytest.raises(CreateError):
        form.call(second, "save", True)

    assert loaded(form, first.session_key) == {"owner": "first"}


def test_a_free_key_is_created_where_asked_for(form: Form) -> None:
    """A key of the caller's own, with nothing loaded for it."""
    session = SessionStore("chosen-by-the-caller")

    form.call(session, "save", True)

    assert form.call(SessionStore(), "exists", "chosen-by-the-caller")


# Saving an unchanged session


def test_an_unchanged_session_is_only_extended(form: Form) -> None:
    """So that it doesn't undo what another request has saved since."""
    session = SessionStore(saved(form, cart=1).session_key)
    form.call(session, "get", "cart")
    wait_for(write, session.session_key, state=b'{"cart":2}')
    with override_settings(SESSION_COOKIE_AGE=3_600_000):
        form.call(session, "save")

    assert loaded(form, session.session_key) == {"cart": 2}
    assert wait_for(life, session.session_key) > 3_000_000


def test_an_extension_of_a_deleted_session_is_an_update_error(form: Form) -> None:
    """It isn't live, whatever there was to be saved."""
    session = SessionStore(saved(form, cart=1).session_key)
    form.call(session, "get", "cart")
    form.call(SessionStore(session.session_key), "delete")

    with pytest.raises(UpdateError):
        form.call(session, "save")


@pytest.mark.parametrize(("old", "new"), [([1], [1, 2]), ([1], [True]), ([1], [1.0])])
def test_a_change_inside_a_value_is_saved(form: Form, old: list[Any], new: list[Any]) -> None:
    """Though Django cannot see it, and even where Python finds both equal."""
    session = SessionStore(saved(form, cart=old).session_key)
    form.call(session, "get", "cart")[:] = new
    assert not session.modified

    form.call(session, "save")

    assert repr(loaded(form, session.session_key)["cart"]) == repr(new)


def test_a_session_marked_as_modified_undoes_nothing(form: Form) -> None:
    """Only keys that differ from what was loaded are stored."""
    session = SessionStore(saved(form, cart=1).session_key)
    form.call(session, "get", "cart")
    wait_for(write, session.session_key, state=b'{"cart":2}')
    session.modified = True

    form.call(session, "save")

    assert loaded(form, session.session_key) == {"cart": 2}


def test_a_second_save_is_compared_with_the_first(form: Form) -> None:
    """What was saved is what another change is measured by, even one back to the beginning."""
    session = SessionStore(saved(form, cart=[1]).session_key)
    form.call(session, "get", "cart").append(2)
    form.call(session, "save")
    form.call(session, "get", "cart").pop()

    form.call(session, "save")

    assert loaded(form, session.session_key) == {"cart": [1]}


# A new key


def test_cycle_key_moves_the_session(form: Form) -> None:
    """One row, under another key, with the same data."""
    session = saved(form, cart=1)
    old_key, session.modified = session.session_key, False

    form.call(session, "cycle_key")

    assert session.modified
    assert session.session_key not in {old_key, None}
    assert loaded(form, old_key) == {}
    assert loaded(form, session.session_key) == {"cart": 1}
    assert wait_for(count) == 1


def test_cycle_key_stores_changes(form: Form) -> None:
    """As Django's own does."""
    session = saved(form, cart=1)
    form.set(session, "cart", 2)

    form.call(session, "cycle_key")

    assert loaded(form, session.session_key) == {"cart": 2}


def test_cycle_key_loads_what_it_moves(form: Form) -> None:
    """A session that was not loaded yet."""
    session = SessionStore(saved(form, cart=1).session_key)

    form.call(session, "cycle_key")

    assert form.call(session, "get", "cart") == 1


@pytest.mark.parametrize("key", [None, "unknown-and-well-formed"])
def test_cycle_key_of_a_new_session_stores_it(form: Form, key: str | None) -> None:
    """There is nothing to move."""
    session = SessionStore(key)
    form.set(session, "cart", 1)

    form.call(session, "cycle_key")

    assert session.session_key not in {key, None}
    assert loaded(form, session.session_key) == {"cart": 1}


def test_cycle_key_revives_nothing(form: Form) -> None:
    """Of a session that was deleted since it was loaded: a logout that came in between stands."""
    session = SessionStore(saved(form, user=1).session_key)
    form.call(session, "get", "user")
    form.call(SessionStore(session.session_key), "delete")

    with pytest.raises(SessionInterrupted):
        form.call(session, "cycle_key")

    assert wait_for(count) == 0


@pytest.mark.parametrize("key", [None, "chosen-by-the-caller"])
def test_cycle_key_revives_nothing_of_its_own(form: Form, key: str | None) -> None:
    """Of a session that this very object has stored."""
    session = SessionStore(key)
    form.call(session, "save", True)
    form.call(SessionStore(session.session_key), "delete")

    with pytest.raises(SessionInterrupted):
        form.call(session, "cycle_key")

    assert wait_for(count) == 0


@pytest.mark.parametrize("key", ["unknown-and-well-formed", "x" * 1_025])
def test_cycle_key_of_a_cleared_session_needs_no_old_one(form: Form, key: str) -> None:
    """What a client claimed doesn't matter where nothing was loaded: the data are new."""
    session = SessionStore(key)
    session.clear()
    form.set(session, "cart", 1)

    form.call(session, "cycle_key")

    assert session.session_key != key
    assert loaded(form, session.session_key) == {"cart": 1}


# Deleting


def test_flush_ends_the_session(form: Form) -> None:
    """Its row, its data and its key."""
    session = saved(form, user=1)
    key = session.session_key

    form.call(session, "flush")

    assert session.session_key is None
    assert form.call(session, "get", "user") is None
    assert not form.call(session, "exists", key)
    assert wait_for(count) == 0


def test_deleting_what_is_not_there_is_fine(form: Form) -> None:
    """With a key or without."""
    form.call(SessionStore(), "delete")
    form.call(SessionStore(), "delete", "unknown-and-well-formed")
    form.call(SessionStore("unknown-and-well-formed"), "delete")


def test_another_session_can_be_deleted(form: Form) -> None:
    """By its key; this one stays."""
    mine, other = saved(form), saved(form)

    form.call(mine, "delete", other.session_key)

    assert form.call(mine, "exists", mine.session_key)
    assert not form.call(mine, "exists", other.session_key)


# Expiry


def test_the_cookies_age_is_the_sessions(form: Form) -> None:
    """``SESSION_COOKIE_AGE``, counted by the database's clock."""
    with override_settings(SESSION_COOKIE_AGE=1_000):
        session = saved(form)

    assert 900 < wait_for(life, session.session_key) <= 1_000


@pytest.mark.parametrize(
    "expiry",
    [500, 499.5, timedelta(seconds=500), timezone.now() + timedelta(hours=24 * 365 * 200), 10**10],
)
def test_an_expiry_of_its_own_counts(form: Form, expiry: Any) -> None:
    """In seconds or as a moment; the longest life is a hundred years."""
    session = SessionStore()
    form.call(session, "set_expiry", expiry)
    form.call(session, "save")

    left = wait_for(life, session.session_key)
    if isinstance(expiry, dt.datetime) or expiry == 10**10:
        assert 36_524 < left / 86_400 <= 36_525
    else:
        assert 400 < left <= 500


def test_zero_lives_as_long_as_the_default(form: Form) -> None:
    """Django's sign for "until the browser closes", which a server cannot see."""
    session = SessionStore()
    form.call(session, "set_expiry", 0)
    with override_settings(SESSION_COOKIE_AGE=1_000):
        form.call(session, "save")

    assert 900 < wait_for(life, session.session_key) <= 1_000


@pytest.mark.parametrize("expiry", [-10, timedelta(seconds=-10)])
def test_an_expiry_in_the_past_ends_the_session(form: Form, expiry: Any) -> None:
    """At once."""
    session = SessionStore()
    form.set(session, "cart", 1)
    form.call(session, "set_expiry", expiry)

    form.call(session, "save")

    assert not form.call(session, "exists", session.session_key)
    assert loaded(form, session.session_key) == {}


def test_clear_expired_leaves_the_living(form: Form) -> None:
    """All expired rows go, and no other."""
    live = saved(form, cart=1)
    for _ in range(3):
        wait_for(write, saved(form).session_key, deadline=1)

    form.call(live, "clear_expired")

    assert wait_for(count) == 1
    assert loaded(form, live.session_key) == {"cart": 1}


def test_the_command_clearsessions_works() -> None:
    """Django's own, with our engine in the settings."""
    session = SessionStore()
    session.save()
    wait_for(write, session.session_key, deadline=1)

    call_command("clearsessions")

    assert wait_for(count) == 0


# What can be stored


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([dt.date(2026, 1, 1)], r"state\['cart'\]\[0\]: date is not a JSON value"),
        ({1: "a"}, r"state\['cart'\]: key of type int; keys are str"),
        (float("nan"), r"state\['cart'\]: float that is not finite"),
    ],
)
def test_a_value_that_json_would_change_is_rejected(form: Form, value: Any, fault: str) -> None:
    """With its path, in a new session as in one that exists, and nothing is stored."""
    session = SessionStore()
    form.set(session, "cart", value)
    with pytest.raises(SerializationError, match=fault):
        form.call(session, "save")
    assert session.session_key is None
    assert wait_for(count) == 0

    session = saved(form, cart="fine")
    form.set(session, "cart", value)
    with pytest.raises(SerializationError, match=fault):
        form.call(session, "save")
    assert loaded(form, session.session_key) == {"cart": "fine"}


def test_the_row_is_the_session_as_json(form: Form) -> None:
    """As the guide shows how to read it."""
    session = saved(form, cart=[7])

    assert bytes(wait_for(stored, session.session_key) or b"") == b'{"cart":[7]}'


def test_what_cannot_be_decoded_is_an_empty_session(
    form: Form, caplog: pytest.LogCaptureFixture
) -> None:
    """As with Django; but it is logged without the key, and the row is not saved over."""
    key = saved(form, cart=1).session_key
    wait_for(write, key, state=b"secret but no JSON")
    session = SessionStore(key)

    with caplog.at_level(logging.WARNING):
        form.set(session, "cart", 2)
    assert session.session_key is None
    form.call(session, "save")

    assert bytes(wait_for(stored, key) or b"") == b"secret but no JSON"
    assert loaded(form, session.session_key) == {"cart": 2}
    assert form.call(session, "exists", key)
    assert "cannot be decoded" in caplog.text
    assert "secret" not in caplog.text
    assert str(key) not in caplog.text


class WithDates(JSONSerializer):
    """A project's own serializer, which knows dates."""

    def dumps(self, obj: Any) -> bytes:
        """Write dates as texts."""
        return json.dumps(obj, default=dt.date.isoformat).encode()

    def loads(self, data: bytes) -> Any:
        """Make dates of the texts that are."""
        return {key: _date_or(value) for key, value in json.loads(data).items()}


def _date_or(value: Any) -> Any:
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        return value


@pytest.fixture
def with_dates(sessions: None) -> Iterator[None]:
    """``SESSION_SERIALIZER`` is the project's own, and a store is opened with it."""
    with override_settings(SESSION_SERIALIZER=f"{__name__}.WithDates"):
        close()
        yield


@pytest.mark.usefixtures("with_dates")
class TestSerializer:
    """A serializer of the project's own."""

    def test_its_values_come_back(self, form: Form) -> None:
        """As it makes them; a change of such a value is saved, too."""
        session = saved(form, day=dt.date(2026, 1, 1))
        assert loaded(form, session.session_key) == {"day": dt.date(2026, 1, 1)}

        session = SessionStore(session.session_key)
        form.set(session, "day", dt.date(2026, 1, 2))
        session.modified = False
        form.call(session, "save")
        assert loaded(form, session.session_key) == {"day": dt.date(2026, 1, 2)}

    def test_its_refusal_is_a_serialization_error(self, form: Form) -> None:
        """With the kind of its error, and none of the values."""
        session = SessionStore()
        form.set(session, "secret", {1j})

        with pytest.raises(SerializationError, match=r"^WithDates raised TypeError$"):
            form.call(session, "save")

    def test_what_it_cannot_read_is_an_empty_session(
        self, form: Form, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As where it was another one that wrote."""
        key = saved(form, cart=1).session_key
        wait_for(write, key, state=b"\xff")

        assert loaded(form, key) == {}
        assert "WithDates raised UnicodeDecodeError" in caplog.text
