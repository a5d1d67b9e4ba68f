"""A small shop on FastAPI that stores its sessions in a database. ``make example`` starts it.

Open http://localhost:8000, fill a cart, and log in: the cart is kept, and the cookie gets a new id.
A second browser, or a private window, has its own session. "Your devices" lists both, and signs
either of them out.

The environment variable ``SHOP_URL`` names the database; default: ``shop.db`` in the current
folder.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, FastAPI, Form, HTTPException, Request, status
from fastapi.responses import HTMLResponse, Response
from storefront import accounts, pages

from fastapi_shop import security, sessions
from fastapi_shop.responses import private, see
from fastapi_shop.sessions import Customer, Visitor
from sessionstore_sql import SQLSessionStore, continuously_delete_expired, migrate
from sessionstore_sql.fastapi import ReauthenticationRequired, SessionMiddleware, invalidate

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/")
async def show_shop(visitor: Visitor) -> str:
    """Show the items and the cart. Reading creates no session."""
    return pages.shop(visitor.user, visitor.cart)


@router.post("/cart")
async def add_to_cart(item: Annotated[str, Form()], visitor: Visitor) -> Response:
    """Add an item to the cart. No login is needed."""
    if item not in pages.ITEMS:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    visitor.cart.append(item)
    return see("/")


@router.get("/login")
async def show_login(visitor: Visitor) -> str:
    """Show the login form."""
    return pages.login(visitor.user, failed=False)


@router.post("/login")
async def log_in(
    request: Request,
    name: Annotated[str, Form()],
    password: Annotated[str, Form()],
    keep: Annotated[bool, Form()] = False,
) -> Response:
    """Check the password and sign the user in under a new id; the cart is kept."""
    if not await asyncio.to_thread(accounts.is_right, name, password):
        return HTMLResponse(pages.login(None, failed=True), status.HTTP_403_FORBIDDEN)
    sessions.enter(request, name, keep=keep)
    return see("/account")


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session, in every tab."""
    invalidate(request)
    return see("/")


@router.get("/account")
async def show_account(customer: Customer) -> Response:
    """Show a private page."""
    message, customer.message = customer.message, None
    return private(pages.account(customer.user, customer.cart, message=message))


async def ask_to_log_in(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Redirect a visitor without a login to the login form."""
    return see("/login")


async def ask_for_password(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Redirect a user who has to enter their password once more."""
    return see("/confirm")


def create_app() -> FastAPI:
    """Return the shop; ``uvicorn --factory`` calls it."""
    url = os.environ.get("SHOP_URL", "sqlite:///shop.db")
    store = SQLSessionStore(url)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001
        # In production, run migrations when you deploy, not when the application starts.
        await migrate.upgrade(url)
        async with store, asyncio.TaskGroup() as tasks:
            purge = tasks.create_task(
                continuously_delete_expired(store, period=timedelta(minutes=10))
            )
            yield
            purge.cancel()

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(
        SessionMiddleware,
        store=store,
        max_age=sessions.MAX_AGE,
        lifetime=sessions.LIFETIME,
        max_sessions=sessions.MAX_SESSIONS,
        subject_of=lambda state: state.get("user"),
    )
    app.include_router(router)
    app.include_router(security.router)
    app.add_exception_handler(status.HTTP_401_UNAUTHORIZED, ask_to_log_in)
    app.add_exception_handler(ReauthenticationRequired, ask_for_password)
    return app
