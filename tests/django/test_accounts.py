"""Account functions through Django's own login, logout and middleware."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client
from django.test.utils import override_settings

from sessionstore_sql.django import (
    NotAuthenticated,
    SessionStore,
    accounts,
    arequire_fresh,
    current_handle,
    fresh_required,
    require_fresh,
    revoke,
    sessions_of,
    set_max_age,
    sign_in,
    sign_out_everywhere,
)
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

pytestmark = pytest.mark.usefixtures("account_sessions", "user")

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def scripted() -> Any:
    """The views are those of the tests."""
    with override_settings(ROOT_URLCONF="tests.django.scripted_site"):
        yield


def logged_in() -> Client:
    """Return a browser whose visitor has logged in."""
    client = Client()
    ask(client, logging_in)
    return client


def handles_of(client: Client) -> list[str]:
    """Return the handles in the list of the user's sessions."""
    handles: list[str] = ask(
        client, lambda request: [each.handle.value for each in sessions_of(request)]
    ).json()
    return handles


def handle_of(client: Client) -> str:
    """Return the handle of the session of a browser."""

    def view(request: HttpRequest) -> Any:
        handle = current_handle(request)
        return None if handle is None else handle.value

    handle: str = ask(client, view).json()
    return handle


def test_a_login_is_in_the_list_of_sessions() -> None:
    """Without any setting."""
    phone, laptop = logged_in(), logged_in()

    assert sorted(handles_of(phone)) == sorted([handle_of(phone), handle_of(laptop)])


def test_a_visitor_has_no_list() -> None:
    """There is no user whose sessions it could be."""
    client = Client()
    ask(client, setting(cart=1))

    assert handles_of(client) == []
    assert ask(client, lambda request: {"ended": sign_out_everywhere(request)}).json()["ended"] == 0


def test_a_login_can_say_more() -> None:
    """What the list shows about the device."""
    client = Client()

    def view(request: HttpRequest) -> None:
        logging_in(request)
        sign_in(request, about={"device": "phone"}, lifetime=60, max_sessions=1)

    ask(client, view)

    found = ask(client, lambda r: [(each.about, each.ends is None) for each in sessions_of(r)])
    assert found.json() == [[{"device": "phone"}, False]]


def test_more_needs_a_user() -> None:
    """There is nothing to say about a visitor."""
    with pytest.raises(NotAuthenticated):
        accounts.sign_in(_request())


def _request() -> HttpRequest:
    request = HttpRequest()
    request.session = SessionStore()
    return request


def test_a_request_without_a_session_of_this_engine_is_an_error() -> None:
    """The message says which settings are missing."""
    with pytest.raises(RuntimeError, match="SESSION_ENGINE"):
        sign_in(HttpRequest())


def test_a_login_without_the_function_rotates_the_key() -> None:
    """A user's id in the state is enough: no login can forget it."""
    client = Client()
    ask(client, setting(cart=1))
    before = key_in(client)

    ask(client, setting(_auth_user_id=str(User.objects.get().pk)))

    assert key_in(client) != before
    assert not SessionStore().exists(before)
    assert len(handles_of(client)) == 1


def test_a_handle_stays_when_the_user_logs_in_again() -> None:
    """It is the same session of the same user, who has authenticated anew."""
    client = logged_in()
    before = handle_of(client)

    ask(client, logging_in)

    assert handles_of(client) == [before]


def test_another_user_gets_another_session() -> None:
    """Nothing of the first user's is in it."""
    client = logged_in()
    ask(client, setting(cart=1))
    before = in_browser_of(client)
    handle = handle_of(client)
    other = User.objects.create_user("bob")

    def view(request: HttpRequest) -> None:
        from django.contrib.auth import login

        login(request, other)

    ask(client, view)

    assert user_of(client) == "bob"
    assert content_of(client) == {}
    assert handles_of(client) != [handle]
    assert user_of(before) == ""


def test_a_password_change_keeps_the_session() -> None:
    """It gets a new key; the other sessions of the user are useless."""
    client, other = logged_in(), logged_in()
    before, handle = key_in(client), handle_of(client)

    def view(request: HttpRequest) -> None:
        user: Any = request.user
        user.set_password("another secret")
        user.save()
        update_session_auth_hash(request, user)
        assert sign_out_everywhere(request) == 1

    ask(client, view)

    assert key_in(client) != before
    assert handles_of(client) == [handle]
    assert user_of(client) == "ada"
    assert user_of(other) == ""


def test_a_session_can_be_ended_elsewhere() -> None:
    """The other browser is logged out, this one is not."""
    phone, laptop = logged_in(), logged_in()
    handle = handle_of(phone)

    assert ask(laptop, lambda request: {"ended": revoke(request, handle)}).json() == {"ended": True}
    assert ask(laptop, lambda request: {"ended": revoke(request, handle)}).json() == {
        "ended": False
    }

    assert user_of(phone) == ""
    assert user_of(laptop) == "ada"


def test_another_users_session_cannot_be_ended() -> None:
    """A handle is useless without its user."""
    client = logged_in()
    handle = handle_of(client)
    stranger = Client()
    ask(stranger, setting(_auth_user_id="another"))

    ask(stranger, lambda request: revoke(request, handle))

    assert user_of(client) == "ada"


@pytest.mark.parametrize(
    "end",
    [
        lambda request: revoke(request, current_handle(request) or ""),
        lambda request: sign_out_everywhere(request, keep_this=False),
        logout,
    ],
)
def test_a_session_can_end_itself(end: Callable[[HttpRequest], object]) -> None:
    """The response removes the cookie."""
    client = logged_in()
    kept = in_browser_of(client)

    ask(client, end)

    assert key_in(client) == ""
    assert user_of(kept) == ""


def test_signing_out_everywhere_keeps_this_session() -> None:
    """All others are ended."""
    browsers = [logged_in() for _ in range(3)]

    response = ask(browsers[0], lambda request: {"ended": sign_out_everywhere(request)})

    assert response.json() == {"ended": 2}
    assert [user_of(each) for each in browsers] == ["ada", "", ""]


def test_a_session_can_be_remembered() -> None:
    """For as long as it is used at least once in this time."""
    client = Client()

    def view(request: HttpRequest) -> None:
        logging_in(request)
        set_max_age(request, timedelta(days=90))

    response = ask(client, view)

    assert response.cookies["sessionid"]["max-age"] == 90 * 24 * 60 * 60
    assert ask(client, lambda request: set_max_age(request, None)).cookies["sessionid"][
        "max-age"
    ] == (14 * 24 * 60 * 60)


@fresh_required(HOUR)
def delete_account(_request: HttpRequest) -> None:
    """Do what only the user may do."""


def test_a_fresh_login_is_required() -> None:
    """The response says whether another login helps."""
    response = ask(Client(), delete_account)
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert response.json()["reason"] == "not_authenticated"
    assert response["WWW-Authenticate"] == "Cookie"

    assert ask(logged_in(), delete_account).status_code == HTTPStatus.OK


def test_an_old_login_is_not_fresh() -> None:
    """Logging in again helps."""
    clock = ManualClock()
    store = MemorySessionStore(clock=clock)
    with override_settings(SESSIONSTORE_SQL={"store": lambda: store}):
        accounts_close()
        client = logged_in()
        clock.advance(2 * HOUR)

        response = ask(client, delete_account)
        assert response.status_code == HTTPStatus.FORBIDDEN
        assert response.json() == {
            "reason": "reauthentication_required",
            "message": "Sign in again to do this.",
            "within_seconds": 3600,
        }

        ask(client, logging_in)
        assert ask(client, delete_account).status_code == HTTPStatus.OK


def accounts_close() -> None:
    """Let the next session open the store that the settings name now."""
    from sessionstore_sql.django import close

    close()


def test_functions_are_asynchronous_as_well() -> None:
    """For asynchronous views."""
    client = logged_in()
    handle = handle_of(client)

    async def use(session: SessionStore) -> None:
        request = HttpRequest()
        request.session = session
        assert [each.handle.value for each in await accounts.asessions_of(request)] == [handle]
        found = await accounts.acurrent_handle(request)
        assert found is not None
        assert found.value == handle
        await arequire_fresh(request, within=HOUR)
        assert not await accounts.arevoke(request, "A" * 22)
        await accounts.aset_max_age(request, HOUR)
        await accounts.asign_in(request, about={"device": "phone"})
        await session.asave()
        await fresh_required(HOUR)(delete_account_asynchronously)(request)
        assert await accounts.asign_out_everywhere(request, keep_this=False) == 1

    asyncio.run(use(SessionStore(key_in(client))))

    assert user_of(client) == ""


async def delete_account_asynchronously(_request: HttpRequest) -> None:
    """Do what only the user may do."""


def test_the_test_client_can_log_in() -> None:
    """Django's own ``login``, ``force_login`` and ``logout`` of its client."""
    client = Client()
    assert client.login(username="ada", password="secret")
    assert user_of(client) == "ada"
    assert len(handles_of(client)) == 1

    client.logout()
    client.force_login(User.objects.get())
    assert user_of(client) == "ada"
    assert len(handles_of(client)) == 1


@pytest.mark.parametrize("within", [0, -1, "soon"])
def test_a_period_is_checked(within: Any) -> None:
    """Before anything is done."""
    with pytest.raises((TypeError, ValueError), match="within"):
        fresh_required(within)
    with pytest.raises((TypeError, ValueError), match="within"):
        require_fresh(_request(), within=within)
