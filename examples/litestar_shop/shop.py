"""A small shop on Litestar that stores its sessions in a database.

``make example SHOP=litestar`` starts it. Open http://localhost:8000, fill a cart, and log in: the
cart is kept, and the cookie gets a new id. A second browser, or a private window, has its own
session. "Your devices" lists both, and signs either of them out.

The environment variable ``SHOP_URL`` names the database; default: ``shop.db`` in the current
folder.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from litestar import Litestar, MediaType, Response, get, post, status_codes
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.response import Redirect
from storefront import accounts, pages

from litestar_shop import security, sessions
from litestar_shop.forms import CredentialsForm, PurchaseForm
from litestar_shop.responses import private, see
from litestar_shop.sessions import Customer, Visit, Visitor
from sessionstore_sql import SQLSessionStore, continuously_delete_expired, migrate
from sessionstore_sql.litestar import (
    ReauthenticationRequired,
    SQLSessionConfig,
    SQLSessionPlugin,
    invalidate,
)


@get("/", media_type=MediaType.HTML)
async def show_shop(visitor: Visitor) -> str:
    """Show the items and the cart. Reading creates no session."""
    return pages.shop(visitor.user, visitor.cart)


@post("/cart")
async def add_to_cart(data: PurchaseForm, visitor: Visitor) -> Redirect:
    """Add an item to the cart. No login is needed."""
    if data.item not in pages.ITEMS:
        raise NotFoundException
    visitor.cart.append(data.item)
    return see("/")


@get("/login", media_type=MediaType.HTML)
async def show_login(visitor: Visitor) -> str:
    """Show the login form."""
    return pages.login(visitor.user, failed=False)


@post("/login")
async def log_in(request: Visit, data: CredentialsForm) -> Response[Any]:
    """Check the password and sign the user in under a new id; the cart is kept."""
    if not await asyncio.to_thread(accounts.is_right, data.name, data.password):
        page = pages.login(None, failed=True)
        return private(page, status_codes.HTTP_403_FORBIDDEN)
    sessions.enter(request, data.name, keep=bool(data.keep))
    return see("/account")


@post("/logout")
async def log_out(request: Visit) -> Redirect:
    """End the session, in every tab."""
    invalidate(request)
    return see("/")


@get("/account")
async def show_account(customer: Customer) -> Response[str]:
    """Show a private page."""
    message = customer.take_message()
    return private(pages.account(customer.user, customer.cart, message=message))


def ask_to_log_in(_: Visit, error: Exception) -> Response[Any]:  # noqa: ARG001
    """Redirect a visitor without a login to the login form."""
    return see("/login")


def ask_for_password(_: Visit, error: Exception) -> Response[Any]:  # noqa: ARG001
    """Redirect a user who has to enter their password once more."""
    return see("/confirm")


def create_app() -> Litestar:
    """Return the shop; ``uvicorn --factory`` calls it."""
    url = os.environ.get("SHOP_URL", "sqlite:///shop.db")
    store = SQLSessionStore(url)
    config = SQLSessionConfig(
        store=store,
        max_age=sessions.MAX_AGE,
        lifetime=sessions.LIFETIME,
        max_sessions=sessions.MAX_SESSIONS,
        subject_of=lambda state: state.get("user"),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:  # noqa: ARG001
        # In production, run migrations when you deploy, not when the application starts.
        await migrate.upgrade(url)
        async with store, asyncio.TaskGroup() as tasks:
            purge = tasks.create_task(
                continuously_delete_expired(store, period=timedelta(minutes=10))
            )
            yield
            purge.cancel()

    return Litestar(
        [show_shop, add_to_cart, show_login, log_in, log_out, show_account, security.router],
        dependencies=dict(sessions.DEPENDENCIES),
        plugins=[SQLSessionPlugin(config)],
        lifespan=[lifespan],
        exception_handlers={
            NotAuthorizedException: ask_to_log_in,
            ReauthenticationRequired: ask_for_password,
        },
    )
