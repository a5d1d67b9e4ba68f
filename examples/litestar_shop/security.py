"""The routes with which users look after their sessions and their password."""

import asyncio
from typing import Any

from litestar import Response, Router, get, post, status_codes
from storefront import accounts, security_pages

from litestar_shop.forms import DeviceForm, PasswordForm
from litestar_shop.responses import private, see
from litestar_shop.sessions import NEEDS_PASSWORD, Customer, Visit
from sessionstore_sql.litestar import (
    current_handle,
    revoke,
    sessions_of,
    sign_in,
    sign_out_everywhere,
)


@get("/devices")
async def show_devices(request: Visit, customer: Customer) -> Response[str]:
    """List where the user is signed in."""
    message, this = customer.take_message(), current_handle(request)
    sessions = await sessions_of(request)
    return private(security_pages.devices(customer.user, sessions, this, message=message))


@post("/devices/sign-out")
async def sign_out(request: Visit, data: DeviceForm, customer: Customer) -> Response[Any]:
    """Sign one device of the user out: another one, or this one."""
    try:
        ended = await revoke(request, data.handle)
    except ValueError:  # Not the text of a handle.
        ended = False
    customer.message = "The device is signed out." if ended else "It was signed out already."
    return see("/devices")


@post("/devices/sign-out-others")
async def sign_out_others(request: Visit, customer: Customer) -> Response[Any]:
    """Sign the user out everywhere else."""
    count = await sign_out_everywhere(request)
    customer.message = f"You are signed out on {count} other device{'' if count == 1 else 's'}."
    return see("/devices")


@get("/confirm")
async def show_confirm(customer: Customer) -> Response[str]:
    """Show the form that asks for the password once more."""
    return private(security_pages.confirm(customer.user, failed=False))


@post("/confirm")
async def confirm(request: Visit, data: PasswordForm, customer: Customer) -> Response[Any]:
    """Check the password, and note in the session that the user has just entered it."""
    if not await asyncio.to_thread(accounts.is_right, customer.user, data.password):
        page = security_pages.confirm(customer.user, failed=True)
        return private(page, status_codes.HTTP_403_FORBIDDEN)
    sign_in(request, customer.user)
    return see("/password")


@get("/password", guards=NEEDS_PASSWORD)
async def show_password(customer: Customer) -> Response[str]:
    """Show the form for a new password."""
    least = accounts.MIN_PASSWORD_LENGTH
    return private(security_pages.password(customer.user, least=least, failed=False))


@post("/password", guards=NEEDS_PASSWORD)
async def change_password(request: Visit, data: PasswordForm, customer: Customer) -> Response[Any]:
    """Change the password, and sign the user out everywhere else."""
    try:
        await asyncio.to_thread(accounts.set_password, customer.user, data.password)
    except ValueError:
        least = accounts.MIN_PASSWORD_LENGTH
        page = security_pages.password(customer.user, least=least, failed=True)
        return private(page, status_codes.HTTP_400_BAD_REQUEST)
    await sign_out_everywhere(request)
    sign_in(request, customer.user)  # a new id: anyone who has copied the cookie is out
    customer.message = "Your password is changed, and you are signed out on all other devices."
    return see("/account")


router = Router(
    "/",
    route_handlers=[
        *(show_devices, sign_out, sign_out_others),
        *(show_confirm, confirm, show_password, change_password),
    ],
)
