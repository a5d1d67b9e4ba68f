"""A small shop on Litestar, with its sessions in a database.

``make example SHOP=litestar`` starts it. Open http://localhost:8000, fill a cart, and log in: the
cart comes along, and the cookie has another id. A second browser, or a private window, is
somebody else. Log out in one tab, and you are out in the other.

``SHOP_URL`` names the database; ``shop.db`` in the current folder, where it is not set.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from litestar import Litestar, MediaType, Request, Response, get, post, status_codes
from litestar.connection import ASGIConnection
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.params import Body
from litestar.response import Redirect
from storefront import accounts, pages

from sessionstore_sql import SQLSessionStore, continuously_delete_expired, migrate
from sessionstore_sql.litestar import SQLSessionConfig, invalidate, rotate

Visit = Request[Any, Any, Any]
"""Its session begins with the first thing that is put into the cart."""


@dataclass
class Purchase:
    """What the form of a shelf sends."""

    item: str


@dataclass
class Credentials:
    """What the form of the login sends."""

    name: str
    password: str


AsForm = Body(media_type=RequestEncodingType.URL_ENCODED)


@get("/", media_type=MediaType.HTML)
async def show_shop(request: Visit) -> str:
    """Show what there is, and the cart. Looking begins no session."""
    return pages.shop(request.session.get("user"), request.session.get("cart", []))


@post("/cart")
async def add_to_cart(request: Visit, data: Annotated[Purchase, AsForm]) -> Redirect:
    """Put something into the cart, whoever it is: logging in can wait."""
    if data.item not in pages.ITEMS:
        raise NotFoundException
    request.session.setdefault("cart", []).append(data.item)
    return see("/")


@get("/login", media_type=MediaType.HTML)
async def show_login(request: Visit) -> str:
    """Ask who it is."""
    return pages.login(request.session.get("user"), failed=False)


@post("/login")
async def log_in(request: Visit, data: Annotated[Credentials, AsForm]) -> Response[Any]:
    """Let somebody in, under a new id; the cart comes along."""
    if not accounts.is_right(data.name, data.password):
        page = pages.login(None, failed=True)
        return Response(
            page, media_type=MediaType.HTML, status_code=status_codes.HTTP_403_FORBIDDEN
        )
    rotate(request)
    request.session["user"] = data.name
    return see("/account")


@post("/logout")
async def log_out(request: Visit) -> Redirect:
    """End the session, in every tab."""
    invalidate(request)
    return see("/")


def require_login(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Turn away who has not logged in."""
    if "user" not in connection.session:
        raise NotAuthorizedException


@get("/account", guards=[require_login], media_type=MediaType.HTML)
async def show_account(request: Visit) -> Response[str]:
    """Show what is nobody else's business, and let no browser keep it for its back button."""
    page = pages.account(request.session["user"], request.session.get("cart", []))
    return Response(page, headers={"Cache-Control": "no-store"})


def ask_to_log_in(_: Visit, error: NotAuthorizedException) -> Response[Any]:  # noqa: ARG001
    """Answer who has not logged in: to a browser, with the page to do so."""
    return see("/login")


def see(path: str) -> Redirect:
    """Let the browser look at another page, so that reloading it sends no form again."""
    return Redirect(path, status_code=status_codes.HTTP_303_SEE_OTHER)


def create_app() -> Litestar:
    """Return the shop; ``uvicorn --factory`` calls it."""
    url = os.environ.get("SHOP_URL", "sqlite:///shop.db")
    store = SQLSessionStore(url)
    sessions = SQLSessionConfig(store=store, max_age=2 * 60 * 60)

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:  # noqa: ARG001
        # At every start, as this is an example; where more than one server starts, when you deploy.
        await migrate.upgrade(url)
        async with store, asyncio.TaskGroup() as tasks:
            purge = tasks.create_task(
                continuously_delete_expired(store, period=timedelta(minutes=10))
            )
            yield
            purge.cancel()

    return Litestar(
        [show_shop, add_to_cart, show_login, log_in, log_out, show_account],
        middleware=[sessions.middleware],
        lifespan=[lifespan],
        exception_handlers={NotAuthorizedException: ask_to_log_in},
    )
