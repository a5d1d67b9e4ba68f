"""The two kinds of responses that the shop sends beside plain pages."""

from litestar import MediaType, Response, status_codes
from litestar.response import Redirect


def private(page: str, status_code: int = status_codes.HTTP_200_OK) -> Response[str]:
    """Return a private page, and keep browsers from storing it for the back button."""
    return Response(
        page,
        media_type=MediaType.HTML,
        status_code=status_code,
        headers={"Cache-Control": "no-store"},
    )


def see(path: str) -> Redirect:
    """Redirect to another page, so that reloading it does not submit the form again."""
    return Redirect(path, status_code=status_codes.HTTP_303_SEE_OTHER)
