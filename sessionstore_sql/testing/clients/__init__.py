"""Test clients whose user is signed in, for the tests of applications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from sessionstore_sql.testing.clients import asgi, django, flask
from sessionstore_sql.testing.clients.login import Login

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import timedelta

    from sessionstore_sql.records import JSON


class _AsyncClient(Protocol):
    """``httpx.AsyncClient``."""

    async def aclose(self) -> None: ...


AsyncClientT = TypeVar("AsyncClientT", bound=_AsyncClient)
ClientT = TypeVar("ClientT")


@overload
def signed_in_client(
    client: AsyncClientT,
    subject: object,
    *,
    state: dict[str, Any] | None = None,
    about: dict[str, JSON] | None = None,
    max_age: timedelta | float | None = None,
    app: object = None,
) -> Coroutine[Any, Any, AsyncClientT]: ...


@overload
def signed_in_client(
    client: ClientT,
    subject: object,
    *,
    state: dict[str, Any] | None = None,
    about: dict[str, JSON] | None = None,
    max_age: timedelta | float | None = None,
    app: object = None,
) -> ClientT: ...


def signed_in_client(  # noqa: PLR0913  # options, each by keyword
    client: Any,
    subject: object,
    *,
    state: dict[str, Any] | None = None,
    about: dict[str, JSON] | None = None,
    max_age: timedelta | float | None = None,
    app: object = None,
) -> Any:
    """Sign a user in, give the session to a test client, and return the client.

        client = signed_in_client(TestClient(app, base_url=HTTPS), "ada", state={"user_id": "ada"})
        client = await signed_in_client(httpx.AsyncClient(..), "ada", state={"user_id": "ada"})
        client = signed_in_client(django.test.Client(), user)

    The session is stored as the application's own login would store it, by the options of its
    session middleware. No page of the application is asked, and no password is checked.

    These clients are known: Starlette's and FastAPI's ``TestClient``, ``Client`` and
    ``AsyncClient`` of httpx, Django's ``Client`` and ``AsyncClient``, and the ``test_client()`` of
    Flask. With an ``httpx.AsyncClient``, the call has to be awaited.

    Args:
        client: The client. A session that it has already is left behind.
        subject: The user: the text or number that the application passes to ``sign_in`` or
            returns from ``subject_of``; for Django, a user or the primary key of one.
        state: What the application finds in the session.
        about: What the list of the user's sessions shows about this one. Not for Django.
        max_age: An idle time of the session's own, as for "remember me". Not for Django.
        app: The application, for clients that do not know it: ``httpx.Client`` of a running
            server.

    Raises:
        TypeError: The client is of another kind, its application has no session middleware of
            this package, or an argument is not for it.
        ValueError: ``subject_of`` does not find the user in ``state``; or the client would not
            send the cookie: one that is ``Secure`` needs ``base_url="https://testserver"``.
        DatabaseError: The database failed.
    """
    if django.is_client(client):
        if not (about is None and max_age is None and app is None):
            raise TypeError("about, max_age and app are not for the client of Django")
        return django.sign_in(client, subject, state or {})
    login = Login(subject=subject, state=state or {}, about=about, max_age=max_age)
    if flask.is_client(client):
        if app is not None:
            raise TypeError("app is not for the client of Flask, which knows it")
        return flask.sign_in(client, login)
    if hasattr(client, "aclose"):
        return asgi.sign_in_later(client, login, app)
    return asgi.sign_in(client, login, app)
