"""Log lines that would repeat with every request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

_PERIOD = 60.0
"""Seconds in which one line is logged at most once."""


class RateLimitedWarning:
    """A warning that is logged at most once a minute, however often it applies."""

    def __init__(self, logger: logging.Logger, message: str, *arguments: object) -> None:
        self._logger = logger
        self._message = message
        self._arguments = arguments
        self._silent_until = 0.0

    def log(self, *arguments: object) -> None:
        """Log it, unless it was logged within the last minute.

        Args:
            arguments: In the place of those that it was made with.
        """
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _PERIOD
            self._logger.warning(self._message, *(arguments or self._arguments))
