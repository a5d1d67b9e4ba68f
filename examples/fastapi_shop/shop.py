"""A small shop on FastAPI, with its sessions in a database. ``make example`` starts it.

Open http://localhost:8000, fill a cart, and log in: the cart comes along, and the cookie has
another id. A second browser, or a private window, is somebody else. Log out in one tab, and
you are out in the other.

``SHOP_URL`` names the database; ``shop.db`` in the current folder, where it is not set.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException, Request, status
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from storefront import accounts, pages

from sessionstore_sql import SQLSessionStore, continuously_delete_expired, migrate
from sessionstore_sql.fastapi import SessionMiddleware, invalidate, rotate, typed_session


class Visit(BaseModel):
    """The session of anybody; it begins with the first thing that is put into the cart."""

    user: str | None = None
    cart: list[str] = []


class Login(BaseModel):
    """The session of somebody who has logged in."""

    user: str
    cart: list[str] = []


Visitor = Annotated[Visit, Depends(typed_session(Visit))]
Customer = Annotated[Login, Depends(typed_session(Login))]

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/")
async def show_shop(visitor: Visitor) -> str:
    """Show what there is, and the cart. Looking begins no session."""
    return pages.shop(visitor.user, visitor.cart)


@router.post("/cart")
async def add_to_cart(item: Annotated[str, Form()], visitor: Visitor) -> Response:
    """Put something into the cart, whoever it is: logging in can wait."""
    if item not in pages.ITEMS:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    visitor.cart.append(item)
    return see("/")


@router.get("/login")
async def show_login(visitor: Visitor) -> str:
    """Ask who it is."""
    return pages.login(visitor.user, failed=False)


@router.post("/login")
async def log_in(
    request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()]
) -> Response:
    """Let somebody in, under a new id; the cart comes along."""
    if not accounts.is_right(name, password):
        return HTMLResponse(pages.login(None, failed=True), status.HTTP_403_FORBIDDEN)
    rotate(request)
    request.session["user"] = name
    return see("/account")


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """End the session, in every tab."""
    invalidate(request)
    return see("/")


@router.get("/account")
async def show_account(customer: Customer, response: Response) -> str:
    """Show what is nobody else's business, and let no browser keep it for its back button."""
    response.headers["Cache-Control"] = "no-store"
    return pages.account(customer.user, customer.cart)


async def ask_to_log_in(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Answer who has not logged in: to a browser, with the page to do so."""
    return see("/login")


def see(path: str) -> Response:
    """Let the browser look at another page, so that reloading it sends no form again."""
    return RedirectResponse(path, status.HTTP_303_SEE_OTHER)


def create_app() -> FastAPI:
    """Return the shop; ``uvicorn --factory`` calls it."""
    url = os.environ.get("SHOP_URL", "sqlite:///shop.db")
    store = SQLSessionStore(url)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001
        # At every start, as this is an example; where more than one server starts, when you deploy.
        await migrate.upgrade(url)
        async with store, asyncio.TaskGroup() as tasks:
            purge = tasks.create_task(
                continuously_delete_expired(store, period=timedelta(minutes=10))
            )
            yield
            purge.cancel()

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(SessionMiddleware, store=store, max_age=timedelta(hours=2))
    app.include_router(router)
    app.add_exception_handler(status.HTTP_401_UNAUTHORIZED, ask_to_log_in)
    return app
