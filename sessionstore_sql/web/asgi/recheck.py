"""Ends a WebSocket with the session that it belongs to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sessionstore_sql.web.recheck import POLICY_VIOLATION, REASON, wait_until_ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from datetime import timedelta

    from sessionstore_sql.web.request_session import RequestSession

    Message = MutableMapping[str, Any]


class Recheck:
    """Looks from time to time whether the session of a WebSocket is still live.

    When it is not, the WebSocket is closed with 1008. To the application it looks as if the
    client had disconnected.

    Args:
        session: The session of the handshake.
        period: The time between two looks.
        send: Sends a message to the client.
    """

    def __init__(
        self,
        session: RequestSession,
        period: timedelta,
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._session = session
        self._period = period
        self._send = send
        self._ended = asyncio.Event()
        self._message: asyncio.Future[Message] | None = None
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop looking."""
        self._task.cancel()
        if self._message is not None:
            self._message.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def receive(self, receive: Callable[[], Awaitable[Message]]) -> Message:
        """Return the next message from the client, or a disconnect if the session ends first.

        If the caller stops waiting, as with a timeout, the next call returns the message.
        """
        if self._message is None:
            self._message = asyncio.ensure_future(receive())
        ended = asyncio.ensure_future(self._ended.wait())
        either: set[asyncio.Future[Any]] = {self._message, ended}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        if not self._ended.is_set():
            message, self._message = self._message, None
            return message.result()
        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION, "reason": REASON}

    async def send(self, message: Message) -> None:
        """Send a message to the client.

        Raises:
            OSError: The session has ended: as ASGI servers do when the client has disconnected.
        """
        if self._ended.is_set():
            raise OSError(REASON)
        await self._send(message)

    async def _watch(self) -> None:
        await wait_until_ended(self._session, self._period)
        self._ended.set()
        with suppress(OSError, RuntimeError):  # The client or the application closed it already.
            await self._send(
                {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": REASON}
            )
