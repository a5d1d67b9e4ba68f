"""The routes with which users look after their sessions and their password."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request, status
from fastapi.responses import HTMLResponse, Response
from storefront import accounts, security_pages

from fastapi_shop.responses import private, see
from fastapi_shop.sessions import NEEDS_PASSWORD, Customer
from sessionstore_sql.fastapi import (
    current_handle,
    revoke,
    sessions_of,
    sign_in,
    sign_out_everywhere,
)

router = APIRouter(default_response_class=HTMLResponse)


@router.get("/devices")
async def show_devices(request: Request, customer: Customer) -> Response:
    """List where the user is signed in."""
    message, customer.message = customer.message, None
    sessions, this = await sessions_of(request), current_handle(request)
    return private(security_pages.devices(customer.user, sessions, this, message=message))


@router.post("/devices/sign-out")
async def sign_out(
    request: Request, handle: Annotated[str, Form()], customer: Customer
) -> Response:
    """Sign one device of the user out: another one, or this one."""
    try:
        ended = await revoke(request, handle)
    except ValueError:  # Not the text of a handle.
        ended = False
    customer.message = "The device is signed out." if ended else "It was signed out already."
    return see("/devices")


@router.post("/devices/sign-out-others")
async def sign_out_others(request: Request, customer: Customer) -> Response:
    """Sign the user out everywhere else."""
    count = await sign_out_everywhere(request)
    customer.message = f"You are signed out on {count} other device{'' if count == 1 else 's'}."
    return see("/devices")


@router.get("/confirm")
async def show_confirm(customer: Customer) -> Response:
    """Show the form that asks for the password once more."""
    return private(security_pages.confirm(customer.user, failed=False))


@router.post("/confirm")
async def confirm(
    request: Request, password: Annotated[str, Form()], customer: Customer
) -> Response:
    """Check the password, and note in the session that the user has just entered it."""
    if not await asyncio.to_thread(accounts.is_right, customer.user, password):
        page = security_pages.confirm(customer.user, failed=True)
        return private(page, status.HTTP_403_FORBIDDEN)
    sign_in(request, customer.user)
    return see("/password")


@router.get("/password", dependencies=NEEDS_PASSWORD)
async def show_password(customer: Customer) -> Response:
    """Show the form for a new password."""
    least = accounts.MIN_PASSWORD_LENGTH
    return private(security_pages.password(customer.user, least=least, failed=False))


@router.post("/password", dependencies=NEEDS_PASSWORD)
async def change_password(
    request: Request, password: Annotated[str, Form()], customer: Customer
) -> Response:
    """Change the password, and sign the user out everywhere else."""
    try:
        await asyncio.to_thread(accounts.set_password, customer.user, password)
    except ValueError:
        least = accounts.MIN_PASSWORD_LENGTH
        page = security_pages.password(customer.user, least=least, failed=True)
        return private(page, status.HTTP_400_BAD_REQUEST)
    await sign_out_everywhere(request)
    sign_in(request, customer.user)  # a new id: anyone who has copied the cookie is out
    customer.message = "Your password is changed, and you are signed out on all other devices."
    return see("/account")
