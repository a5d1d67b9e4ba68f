"""Streams, whose sessions are stored before they start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart.wrappers.response import IterableBody, Response, ResponseBody

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from werkzeug.wrappers import Response as WerkzeugResponse

    from sessionstore_sql.flask.session import Session


def watch_stream(response: Response | WerkzeugResponse, session: Session) -> None:
    """If a response is a stream, let changes of its session be logged that come too late."""
    if isinstance(response, Response) and isinstance(response.response, IterableBody):
        response.response = _WatchedBody(response.response, session)


class _WatchedBody(ResponseBody):
    def __init__(self, body: ResponseBody, session: Session) -> None:
        self._body = body
        self._session = session

    async def __aenter__(self) -> AsyncIterable[Any]:
        return await self._body.__aenter__()

    async def __aexit__(self, *error: Any) -> None:  # noqa: PYI036  # as Quart's
        await self._body.__aexit__(*error)
        self._session.log_late_changes()
