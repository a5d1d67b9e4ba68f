"""Ends a WebSocket with the session that it belongs to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sessionstore_sql.web.recheck import POLICY_VIOLATION, REASON, wait_until_ended

if TYPE_CHECKING:
    from datetime import timedelta

    from aiohttp import web

    from sessionstore_sql.web.request_session import RequestSession


class Recheck:
    """Closes a WebSocket with 1008 when its session is not live any more.

    To the handler it looks as if it had closed the WebSocket itself.

    Args:
        session: The session of the handshake.
        period: The time between two looks.
        websocket: The WebSocket.
    """

    def __init__(
        self, session: RequestSession, period: timedelta, websocket: web.WebSocketResponse
    ) -> None:
        self._session = session
        self._period = period
        self._websocket = websocket
        self._closes = False
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop looking. If the WebSocket is being closed, wait for that."""
        if not self._closes:
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _watch(self) -> None:
        await wait_until_ended(self._session, self._period)
        self._closes = True
        await self._websocket.close(code=POLICY_VIOLATION, message=REASON.encode())
