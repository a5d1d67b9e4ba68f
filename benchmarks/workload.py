"""The workload of every store: sessions, operations and states."""

from __future__ import annotations

import enum
import hashlib
import secrets
from datetime import timedelta
from typing import Any

TTL = timedelta(days=14)
TTL_SECONDS = int(TTL.total_seconds())
TTL_MICROSECONDS = TTL_SECONDS * 1_000_000


class Operation(enum.Enum):
    """The operation that a caller repeats."""

    LOAD = "load"
    """Load a session and decode its state."""
    TOUCH = "touch"
    """Extend a session without changing its state."""
    UPDATE = "update"
    """Replace state and deadline."""
    REQUEST = "request"
    """Load, then touch, as a web request does."""
    ROTATE = "rotate"
    """Give a session a new id, as at a login."""
    CREATE = "create"
    """Store a new session. Measured last, because it makes the table grow."""


USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)

STATE: dict[str, Any] = {
    "user_id": 184_467,
    "ip_address": "203.0.113.195",
    "user_agent": USER_AGENT,
    "csrf_token": "Zm9yIGV4YW1wbGUgb25seSwgbm90IGEgc2VjcmV0",
    "locale": "de_DE",
    "roles": ["customer", "editor"],
    "cart": [
        {"sku": "A-1042", "quantity": 2, "price": "19.90"},
        {"sku": "B-77", "quantity": 1, "price": "249.00"},
    ],
    "flash": ["Your order has been sent."],
}
"""About 420 bytes of JSON."""


def session_id(number: int) -> str:
    """Return the id of the session with this number.

    The ids are as unordered as random ones, and each database can compute them in SQL.
    """
    return hashlib.sha256(f"session-{number}".encode()).hexdigest()[:32]


def new_session_id() -> str:
    """Return a random id of the same length."""
    return secrets.token_hex(16)
