"""Requests through Django's own middleware and authentication."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import SynchronousOnlyOperation
from django.test import AsyncClient, Client
from django.test.utils import override_settings

from sessionstore_sql.django import SessionStore
from sessionstore_sql.django.process import wait_for
from tests.django.rows import count, life, statements, stored, write

pytestmark = pytest.mark.usefixtures("sessions")


def key_of(client: Any) -> str | None:
    """Return the session key in the client's cookies."""
    cookie = client.cookies.get("sessionid")
    return cookie.value if cookie else None


def test_a_session_lasts_from_request_to_request() -> None:
    """In the cookie there is its key, and nothing else."""
    client = Client()
    assert client.get("/add", {"item": "tea"}).status_code == HTTPStatus.OK

    assert client.get("/").content == b"tea"
    assert stored_of(client) == b'{"cart":"tea"}'
    assert len(key_of(client) or "") == 32


def stored_of(client: Client) -> bytes:
    """Return what is stored of the client's session."""
    return bytes(wait_for(stored, key_of(client)) or b"")


def test_a_visitor_who_only_looks_has_no_session() -> None:
    """No row, no cookie."""
    client = Client()

    response = client.get("/")

    assert wait_for(count) == 0
    assert not response.cookies


def test_a_request_that_only_reads_is_one_statement() -> None:
    """It loads."""
    client = Client()
    client.get("/add", {"item": "tea"})
    seen = wait_for(statements)

    client.get("/")

    assert len(seen) == 1


def test_saving_on_every_request_extends() -> None:
    """An unchanged session is extended without writing its state."""
    client = Client()
    client.get("/add", {"item": "tea"})
    wait_for(write, key_of(client), deadline=2**60)
    seen = wait_for(statements)
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True, SESSION_COOKIE_AGE=1_000):
        client.get("/")

    assert len(seen) == 2
    assert wait_for(life, key_of(client)) <= 1_000


def test_a_key_from_an_attacker_is_not_adopted(user: User) -> None:
    """Nor is one from before the login of any use after it: session fixation."""
    client = Client()
    client.cookies["sessionid"] = "planted-by-an-attacker"
    client.get("/add", {"item": "tea"})
    before = key_of(client)
    assert before != "planted-by-an-attacker"

    client.get("/login")

    assert key_of(client) != before
    assert client.get("/me").content == b"ada"
    assert client.get("/").content == b"tea"
    attacker = Client()
    attacker.cookies["sessionid"] = before or ""
    assert attacker.get("/me").content == b""
    assert wait_for(count) == 1


def test_a_logged_out_session_is_gone(user: User) -> None:
    """A kept key is useless after the logout."""
    client = Client()
    client.get("/login")
    key = key_of(client)

    client.get("/logout")

    assert key_of(client) == ""
    assert wait_for(count) == 0
    client.cookies["sessionid"] = key or ""
    assert client.get("/me").content == b""


@pytest.mark.parametrize("page", ["/overtaken", "/rotated-late"])
def test_a_request_that_a_logout_overtook_is_a_bad_request(page: str) -> None:
    """Django's answer to an interrupted session; nothing is revived."""
    client = Client()
    client.get("/add", {"item": "tea"})

    assert client.get(page).status_code == HTTPStatus.BAD_REQUEST
    assert wait_for(count) == 0


def test_asynchronous_views_have_the_same_sessions(user: User) -> None:
    """Login, rotation and logout, each request in an event loop of its own."""
    client: Any = AsyncClient()

    def get(url: str, **query: str) -> Any:
        return asyncio.run(client.get(url, query))

    get("/async/add", item="tea")
    before = key_of(client)
    get("/async/login")
    assert key_of(client) != before
    assert get("/async/").content == b"tea"
    assert get("/async/me").content == b"ada"
    assert get("/").content == b"tea"
    assert not SessionStore().exists(before or "")

    get("/async/logout")
    assert get("/async/me").content == b""
    assert wait_for(count) == 0


def test_a_synchronous_access_in_an_event_loop_is_rejected() -> None:
    """The error is that of Django's ORM, and the message says what to do."""
    client: Any = AsyncClient()
    asyncio.run(client.get("/async/add", {"item": "tea"}))

    with pytest.raises(SynchronousOnlyOperation, match="aget"):
        asyncio.run(client.get("/async/careless"))
