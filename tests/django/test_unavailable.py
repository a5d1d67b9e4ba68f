"""Requests while the database cannot be reached."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import override_settings

from sessionstore_sql import CreateError, DatabaseError, LoadSessionError
from sessionstore_sql.errors import for_operation
from sessionstore_sql.testing import MemorySessionStore
from tests.django.scripted_site import ask, setting

pytestmark = pytest.mark.usefixtures("no_store")


class Unreachable(MemorySessionStore):
    """A store whose database cannot be reached."""

    transient = True

    async def load_session(self, session_id: Any) -> Any:
        """Fail."""
        raise for_operation(LoadSessionError, DatabaseError("gone", transient=self.transient))

    async def create(self, session_id: Any, record: Any) -> None:
        """Fail."""
        raise for_operation(CreateError, DatabaseError("gone", transient=self.transient))


class Broken(Unreachable):
    """A store whose table is missing."""

    transient = False


@pytest.fixture
def client() -> Any:
    """A browser with a key."""
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "k" * 32
    with override_settings(
        ROOT_URLCONF="tests.django.scripted_site", SESSIONSTORE_SQL={"store": Unreachable}
    ):
        yield client


def test_a_request_that_does_not_use_its_session_succeeds(client: Client) -> None:
    """A static file needs no database. The cookie stays."""
    response = ask(client, lambda _: None)

    assert response.status_code == HTTPStatus.OK
    assert not response.cookies


def test_a_request_that_uses_its_session_can_be_tried_again(client: Client) -> None:
    """The response is 503, and says when."""
    response = ask(client, lambda request: request.session.get("cart"))

    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response["Retry-After"] == "5"
    assert not response.cookies


def test_a_new_session_can_be_tried_again(client: Client) -> None:
    """It is stored when the response starts."""
    client.cookies.clear()

    response = ask(client, setting(cart=1))

    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert not response.cookies


def test_a_view_can_do_without_its_session(client: Client) -> None:
    """Nothing is stored then, and the cookie stays."""

    def view(request: HttpRequest) -> HttpResponse:
        try:
            request.session["cart"] = 1
        except DatabaseError:
            return HttpResponse("no cart today")
        raise AssertionError

    response = ask(client, view)

    assert response.content == b"no cart today"
    assert not response.cookies


@pytest.mark.parametrize("cookies", [True, False])
def test_a_lasting_fault_is_an_error_of_the_server(client: Client, cookies: bool) -> None:
    """Trying again would not help."""
    if not cookies:
        client.cookies.clear()
    with override_settings(SESSIONSTORE_SQL={"store": Broken}):
        response = ask(client, setting(cart=1))

    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
