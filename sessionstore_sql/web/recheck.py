"""Finds out when the session of an open connection ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sessionstore_sql.errors import SessionStoreError

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.web.request_session import RequestSession

logger = logging.getLogger("sessionstore_sql.lifecycle")

POLICY_VIOLATION = 1008
"""The code with which a WebSocket is closed: RFC 6455, 7.4.1."""

REASON = "the session has ended"


async def wait_until_ended(session: RequestSession, period: timedelta) -> None:
    """Return when the session is not live any more.

    While the database cannot tell, the session counts as live.

    Args:
        session: The session.
        period: The time between two looks.
    """
    while True:
        await asyncio.sleep(period.total_seconds())
        if not await _is_live(session):
            return


async def _is_live(session: RequestSession) -> bool:
    try:
        return await session.is_live()
    except SessionStoreError as error:
        logger.warning("the session of a WebSocket was not checked; it stays open: %s", error)
        return True
