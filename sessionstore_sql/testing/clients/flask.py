"""Signs a user in for Flask's test client, which opens and stores sessions itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessionstore_sql.testing.clients.login import Login, require_user
from sessionstore_sql.web.asked_session import AskedSession

if TYPE_CHECKING:
    from flask.testing import FlaskClient


def is_client(client: object) -> bool:
    """Return whether it is Flask's ``FlaskClient``. Nothing is imported."""
    return any(
        each.__module__ == "flask.testing" and each.__name__ == "FlaskClient"
        for each in type(client).__mro__
    )


def sign_in(client: FlaskClient, login: Login) -> FlaskClient:
    """Sign a user in, and return the client.

    Raises:
        TypeError: The application has no ``SQLSessionInterface``.
        ValueError: ``subject_of`` does not find the user in the state.
    """
    app = client.application
    settings: Any = app.session_interface
    if getattr(settings, "bearer", None) is not None:
        return _give_token(client, login, settings)
    name, path = settings.get_cookie_name(app), settings.get_cookie_path(app)
    with app.test_request_context() as context:
        host = context.request.host.partition(":")[0]
    client.delete_cookie(name, domain=settings.get_cookie_domain(app) or host, path=path)
    with client.session_transaction() as session:
        _put(login, session)
    return client


def _give_token(client: FlaskClient, login: Login, settings: Any) -> FlaskClient:
    app = client.application
    with app.test_request_context() as context:
        session = settings.open_session(app, context.request)
        _put(login, session)
        response = app.response_class()
        settings.save_session(app, session, response)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {response.headers[settings.bearer.name]}"
    return client


def _put(login: Login, session: Any) -> None:
    request_session = getattr(session, "request_session", None)
    if not isinstance(request_session, AskedSession):
        raise TypeError("the application has no SQLSessionInterface of sessionstore_sql")
    require_user(request_session.options, login.state)
    login.ask(request_session)
    session.update(login.state)
