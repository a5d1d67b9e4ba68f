"""A site whose views are written by the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.test import Client
from django.urls import path

View = Callable[[HttpRequest], Any]

_views: list[View] = []


def ask(client: Client, view: View, **options: Any) -> Any:
    """Send a request that a view answers; what it returns becomes JSON, and ``None`` empty."""
    _views.append(view)
    return client.get("/", **options)


def in_browser_of(client: Client) -> Client:
    """Return another client with the same cookies: a request that is in flight beside others."""
    other = Client(raise_request_exception=client.raise_request_exception)
    other.cookies.load(client.cookies.output(attrs=[], header="", sep=";"))
    return other


def key_in(client: Client) -> str:
    """Return the session key in the cookies of a client, or an empty string."""
    cookie = client.cookies.get("sessionid")
    return "" if cookie is None else cookie.value


def content_of(client: Client) -> dict[str, Any]:
    """Return what the next request finds in the session, without what ``login`` put there."""
    found: dict[str, Any] = ask(client, lambda request: dict(request.session.items())).json()
    return {key: value for key, value in found.items() if not key.startswith("_auth_user_")}


def user_of(client: Client) -> str:
    """Return who the next request finds logged in."""
    name: str = ask(client, lambda request: {"name": request.user.get_username()}).json()["name"]
    return name


def setting(**values: Any) -> View:
    """Return a view that sets values."""
    return lambda request: request.session.update(values)


def logging_in(request: HttpRequest) -> None:
    """Log the one user in."""
    from django.contrib.auth import login

    login(request, User.objects.get())


def run(request: HttpRequest) -> HttpResponseBase:
    """Run the view of a test."""
    result = _views.pop()(request)
    if isinstance(result, HttpResponseBase):
        return result
    return HttpResponse() if result is None else JsonResponse(result, safe=False)


urlpatterns = [path("", run)]
