"""A small site, for requests that go through Django's own middleware."""

from __future__ import annotations

from django.contrib.auth import alogin, alogout, authenticate, login, logout
from django.http import HttpRequest, HttpResponse
from django.urls import path


def index(request: HttpRequest) -> HttpResponse:
    """Read the session."""
    return HttpResponse(str(request.session.get("cart")))


def add(request: HttpRequest) -> HttpResponse:
    """Write the session."""
    request.session["cart"] = request.GET["item"]
    return HttpResponse()


def overtaken(request: HttpRequest) -> HttpResponse:
    """Write the session, which another request deletes meanwhile."""
    request.session["cart"] = "late"
    type(request.session)(request.session.session_key).delete()
    return HttpResponse()


def rotated_late(request: HttpRequest) -> HttpResponse:
    """Rotate the session, which another request has deleted meanwhile."""
    request.session.get("cart")
    type(request.session)(request.session.session_key).delete()
    request.session.cycle_key()
    return HttpResponse()


def log_in(request: HttpRequest) -> HttpResponse:
    """Log the one user in."""
    user = authenticate(request, username="ada", password="secret")
    login(request, user)
    return HttpResponse()


def log_out(request: HttpRequest) -> HttpResponse:
    """Log out."""
    logout(request)
    return HttpResponse()


def me(request: HttpRequest) -> HttpResponse:
    """Say who is logged in."""
    return HttpResponse(request.user.get_username())


async def index_async(request: HttpRequest) -> HttpResponse:
    """Read the session."""
    return HttpResponse(str(await request.session.aget("cart")))


async def add_async(request: HttpRequest) -> HttpResponse:
    """Write the session."""
    await request.session.aset("cart", request.GET["item"])
    return HttpResponse()


async def log_in_async(request: HttpRequest) -> HttpResponse:
    """Log the one user in."""
    from django.contrib.auth.models import User

    await alogin(request, await User.objects.aget(username="ada"))
    return HttpResponse()


async def log_out_async(request: HttpRequest) -> HttpResponse:
    """Log out."""
    await alogout(request)
    return HttpResponse()


async def me_async(request: HttpRequest) -> HttpResponse:
    """Say who is logged in."""
    return HttpResponse((await request.auser()).get_username())


async def careless(request: HttpRequest) -> HttpResponse:
    """Read the session as a synchronous view would."""
    return HttpResponse(str(request.session.get("cart")))


urlpatterns = [
    path("", index),
    path("add", add),
    path("overtaken", overtaken),
    path("rotated-late", rotated_late),
    path("login", log_in),
    path("logout", log_out),
    path("me", me),
    path("async/", index_async),
    path("async/add", add_async),
    path("async/login", log_in_async),
    path("async/logout", log_out_async),
    path("async/me", me_async),
    path("async/careless", careless),
]
