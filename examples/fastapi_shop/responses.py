"""The two kinds of responses that the shop sends beside plain pages."""

from fastapi import status
from fastapi.responses import HTMLResponse, RedirectResponse, Response


def private(page: str, status_code: int = status.HTTP_200_OK) -> Response:
    """Return a private page, and keep browsers from storing it for the back button."""
    return HTMLResponse(page, status_code, {"Cache-Control": "no-store"})


def see(path: str) -> Response:
    """Redirect to another page, so that reloading it does not submit the form again."""
    return RedirectResponse(path, status.HTTP_303_SEE_OTHER)
