"""What poolers report with one code for everything: the text tells what may pass and what may not.

PgBouncer's code is 08P01, Supavisor's XX000, and pgcat's 58000. Unlike those of servers, their
texts are not translated.
"""

from __future__ import annotations

MISSING_DATABASE = "no such database: "
"""What PgBouncer says of a database that its configuration does not have."""

STATEMENT_POOLING = "not allowed in statement pooling mode"
"""What PgBouncer says of a transaction, which SQLAlchemy and the migrations need."""

PERMANENT_TEXTS = (
    STATEMENT_POOLING,
    "authentication failed",
    # PgBouncer
    "no such user",
    "login rejected",
    "no authentication method",
    "bouncer config error",
    "SSL required",
    "TLS connection required",
    "TLS client certificate required",
    # Supavisor
    "enant or user not found",
    "tenant/user",
    "SSL connection is required",
    # pgcat
    "No pool configured for database",
)
"""What remains until someone changes the URL or the configuration of the pooler."""

_CODES = ("08", "58000", "XX000")
"""The class 08 has more than PgBouncer's code: asyncpg reports a closed connection, and the reason
that PgBouncer gave, as 08003."""


def is_rejection(code: str, message: str) -> bool:
    """Return whether a pooler has rejected the client, for a reason that remains."""
    return code.startswith(_CODES) and any(each in message for each in PERMANENT_TEXTS)


def advice(message: str) -> str | None:
    """Return what has to be changed, where the text does not say it."""
    if STATEMENT_POOLING in message:
        return "PgBouncer's pool_mode has to be transaction or session"
    return None
