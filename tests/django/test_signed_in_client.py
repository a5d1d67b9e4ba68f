"""Django's test clients, signed in without a login page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.test.utils import override_settings

from sessionstore_sql.django import BearerToken
from sessionstore_sql.testing import signed_in_client

pytestmark = [pytest.mark.usefixtures("sessions"), pytest.mark.sqlite_only]


@pytest.fixture
def user(orm: None) -> Iterator[User]:
    """The one user."""
    yield User.objects.create_user("ada", password="secret")
    User.objects.all().delete()


def test_a_user_is_signed_in(user: User) -> None:
    """The application sees the user and the state."""
    client = signed_in_client(Client(), user, state={"cart": "tea"})

    assert client.get("/me").content == b"ada"
    assert client.get("/").content == b"tea"


def test_a_user_can_be_given_by_primary_key(user: User) -> None:
    """As in other frameworks, an id is enough."""
    client = signed_in_client(Client(), user.pk)

    assert client.get("/me").content == b"ada"


def test_an_earlier_session_is_left_behind(user: User) -> None:
    """Its content is not the user's."""
    client = Client()
    client.get("/add", {"item": "tea"})

    signed_in_client(client, user)

    assert client.get("/me").content == b"ada"
    assert client.get("/").content == b"None"


def test_an_asynchronous_client(user: User) -> None:
    """It is signed in by the same call."""
    assert signed_in_client(AsyncClient(), user).cookies["sessionid"].value != ""


async def _name_of(client: AsyncClient) -> bytes:
    content: bytes = (await client.get("/async/me")).content
    return content


def test_a_bearer_token(user: User) -> None:
    """The client sends it in a header, and no cookie."""
    with override_settings(SESSIONSTORE_SQL={**settings.SESSIONSTORE_SQL, "bearer": BearerToken()}):
        client = signed_in_client(Client(), user, state={"cart": "tea"})
        asynchronous = signed_in_client(AsyncClient(), user)

        assert (client.get("/me").content, client.get("/").content) == (b"ada", b"tea")
        assert async_to_sync(_name_of)(asynchronous) == b"ada"
        assert not client.cookies
        assert not asynchronous.cookies


@pytest.mark.parametrize(
    "options",
    [{"about": {}}, {"max_age": 60}, {"app": object()}],
    ids=lambda each: next(iter(each)),
)
def test_what_is_not_for_django(user: User, options: dict[str, object]) -> None:
    """Options without an effect are errors."""
    with pytest.raises(TypeError, match="not for the client of Django"):
        signed_in_client(Client(), user, **options)  # type: ignore[call-overload]
