"""Commands of ``manage.py``."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from django.test.utils import override_settings
from django.utils import timezone

from sessionstore_sql.django import SessionStore, close
from sessionstore_sql.testing import ManualClock, MemorySessionStore
from tests.django.scripted_site import (
    ask,
    content_of,
    in_browser_of,
    key_in,
    logging_in,
    setting,
    user_of,
)


@pytest.fixture(autouse=True)
def scripted() -> Any:
    """The views are those of the tests."""
    with override_settings(ROOT_URLCONF="tests.django.scripted_site"):
        yield


def run(command: str, *arguments: str, **options: Any) -> str:
    """Return what a command prints."""
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, **options)
    return out.getvalue()


def logged_in(name: str = "ada") -> Client:
    """Return a browser whose visitor has logged in."""
    user, _ = User.objects.get_or_create(username=name)
    client = Client()
    client.force_login(user)
    return client


def id_of(name: str) -> str:
    """Return the primary key of a user."""
    return str(User.objects.get(username=name).pk)


@pytest.mark.usefixtures("account_sessions", "user")
class TestRevoke:
    """``revoke_sessions``."""

    def test_named_users_are_signed_out(self) -> None:
        """All others stay."""
        ada, bob = [logged_in(), logged_in()], logged_in("bob")

        printed = run("revoke_sessions", id_of("ada"))

        assert printed == "Ended 2 sessions of 1 user.\n"
        assert [user_of(each) for each in (*ada, bob)] == ["", "", "bob"]

    def test_ids_are_read_from_the_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Arguments are visible to other users of the machine."""
        ada, bob = logged_in(), logged_in("bob")
        lines = f"{id_of('ada')}\n\n 0{id_of('ada')} \n{id_of('bob')}"
        monkeypatch.setattr("sys.stdin", io.StringIO(lines))

        assert run("revoke_sessions", "-") == "Ended 2 sessions of 2 users.\n"

        assert [user_of(ada), user_of(bob)] == ["", ""]

    def test_a_wrong_id_ends_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The message has its position, and not the id."""
        ada = logged_in()
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{id_of('ada')}\nada@example.org\n"))

        with pytest.raises(CommandError, match="number 2 of") as caught:
            run("revoke_sessions", "-")

        assert "example" not in str(caught.value)
        assert user_of(ada) == "ada"

    @pytest.mark.parametrize("arguments", [(), ("1", "--everybody")])
    def test_it_has_to_be_said_whose(self, arguments: tuple[str, ...]) -> None:
        """No argument must not mean all users."""
        with pytest.raises(CommandError, match="--everybody"):
            run("revoke_sessions", *arguments, interactive=False)

    @pytest.mark.parametrize("answer", ["", "n", "y", "yes"])
    def test_all_users_can_be_signed_out(
        self, monkeypatch: pytest.MonkeyPatch, answer: str
    ) -> None:
        """After a question. Visitors without a user keep their carts."""
        ada, guest = logged_in(), Client()
        ask(guest, setting(cart=1))
        monkeypatch.setattr("builtins.input", lambda _: answer)

        if answer.startswith("y"):
            assert run("revoke_sessions", "--everybody") == "Ended 1 session of 1 user.\n"
        else:
            with pytest.raises(CommandError, match="Nothing was ended"):
                run("revoke_sessions", "--everybody")

        assert user_of(ada) == ("" if answer.startswith("y") else "ada")
        assert content_of(guest) == {"cart": 1}

    @pytest.mark.parametrize("age", ["soon", "30", "-1d", "1y"])
    def test_an_age_has_a_unit(self, age: str) -> None:
        """Otherwise, the message shows how it is written."""
        with pytest.raises(CommandError, match="30d"):
            run("revoke_sessions", f"--older-than={age}", interactive=False)

    @pytest.mark.parametrize("age", ["9999999d", "9999999999999d", f"{'9' * 5000}d"])
    def test_an_age_is_one_that_there_can_be(self, age: str) -> None:
        """Not before the first year."""
        with pytest.raises(CommandError, match="longer ago than there are dates"):
            run("revoke_sessions", f"--older-than={age}", interactive=False)

    def test_the_number_can_be_left_out(self) -> None:
        """As with all commands of Django."""
        assert run("revoke_sessions", id_of("ada"), verbosity=0) == ""


def test_old_sessions_can_be_ended(no_store: None, user: User) -> None:
    """Of all users, or of those that are named."""
    clock = ManualClock(timezone.now() - timedelta(days=8))
    store = MemorySessionStore(clock=clock)
    with override_settings(SESSIONSTORE_SQL={"store": lambda: store}):
        old, bobs = logged_in(), logged_in("bob")
        clock.advance(timedelta(days=8))
        new = logged_in()

        assert "Ended 1 " in run("revoke_sessions", id_of("ada"), "--older-than=1w")
        assert [user_of(each) for each in (old, new, bobs)] == ["", "ada", "bob"]
        assert "Ended 1 " in run("revoke_sessions", "--older-than=7d", interactive=False)
        assert [user_of(each) for each in (old, new, bobs)] == ["", "ada", ""]


@pytest.mark.usefixtures("account_sessions")
class TestPurge:
    """``purge_sessions``."""

    def test_expired_sessions_are_deleted(self) -> None:
        """And counted. Others stay."""
        for _ in range(2):
            expired = SessionStore()
            expired.set_expiry(-1)
            expired.save()
        session = SessionStore()
        session.save()

        assert run("purge_sessions", "--batch-size=1").startswith("Deleted 2 expired sessions: ")

        assert session.exists(session.session_key or "")
        assert run("purge_sessions", verbosity=0) == ""

    @pytest.mark.parametrize("option", ["--batch-size=0", "--max-seconds=-1"])
    def test_a_wrong_number_is_an_error(self, option: str) -> None:
        """Nothing was deleted then."""
        with pytest.raises(CommandError, match=r"batch_size|max_time"):
            run("purge_sessions", option)


@pytest.fixture
def djangos_sessions(user: User) -> Any:
    """Django's own table, with the session of a user, whose key it returns."""
    Session.objects.all().delete()
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db"):
        client = Client()
        ask(client, setting(cart=["tea"]))
        ask(client, logging_in)
    yield in_browser_of(client)  # Django's client keeps its engine.
    Session.objects.all().delete()


@pytest.mark.usefixtures("account_sessions")
class TestCarryOver:
    """``carry_over_sessions``."""

    def test_no_user_is_logged_out(self, djangos_sessions: Client) -> None:
        """The cookie stays valid, and the session is in the list of its user."""
        printed = run("carry_over_sessions")

        assert printed == "Copied 1 session; 0 were there already, 0 cannot be stored.\n"
        assert user_of(djangos_sessions) == "ada"
        assert content_of(djangos_sessions) == {"cart": ["tea"]}
        assert "Ended 1 " in run("revoke_sessions", id_of("ada"))

    def test_it_can_be_repeated(self, djangos_sessions: Client) -> None:
        """What was changed since is kept."""
        run("carry_over_sessions")
        ask(djangos_sessions, setting(cart=[]))

        assert run("carry_over_sessions").startswith("Copied 0 sessions; 1 were there already")

        assert content_of(djangos_sessions) == {"cart": []}

    def test_sessions_of_guests_are_copied(self, djangos_sessions: Client) -> None:
        """Also without content: carts of guests are found by their key."""
        guest, empty = db.SessionStore(), db.SessionStore()
        guest["cart"] = ["milk"]
        guest.set_expiry(100)
        guest.save()
        empty.save()

        assert run("carry_over_sessions").startswith("Copied 3 sessions")

        found = SessionStore(guest.session_key)
        assert found["cart"] == ["milk"]
        assert found.get_expiry_age() == 100
        assert found.exists(empty.session_key or "")

    def test_others_are_not(self, djangos_sessions: Client) -> None:
        """Expired sessions stay expired, and what Django cannot read is counted."""
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
        later = timezone.now() + timedelta(days=1)
        Session.objects.create(session_key="k" * 32, session_data="nonsense", expire_date=later)

        printed = run("carry_over_sessions")

        assert printed == "Copied 0 sessions; 0 were there already, 1 cannot be stored.\n"
        assert user_of(djangos_sessions) == ""
        assert key_in(djangos_sessions) != ""

    @pytest.mark.parametrize("engine", ["nowhere", "django.contrib.sessions.backends.cache"])
    def test_an_engine_without_a_table_is_an_error(self, engine: str) -> None:
        """There is nothing to read."""
        with pytest.raises(CommandError, match="no session engine"):
            run("carry_over_sessions", f"--from={engine}")


def test_a_store_without_users_revokes_nothing(no_store: None, user: User) -> None:
    """The message says why."""
    from tests.unit.memory_backend import MemoryBackend

    class Plain(MemoryBackend):
        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *_: object) -> None:
            return None

    with override_settings(SESSIONSTORE_SQL={"store": Plain}):
        close()
        with pytest.raises(CommandError, match="does not know users"):
            run("revoke_sessions", id_of("ada"))
