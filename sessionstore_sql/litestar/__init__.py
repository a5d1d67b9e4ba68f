"""Litestar: a store for caches and rate limits, and server-side sessions.

Needs the extra ``litestar``: ``pip install 'sessionstore-sql[litestar]'``.
"""

from importlib.util import find_spec

if find_spec("litestar") is None:
    raise ModuleNotFoundError(
        "litestar is not installed: pip install 'sessionstore-sql[litestar]'", name="litestar"
    )

from sessionstore_sql.litestar.sessions import (
    SQLSessionBackend,
    SQLSessionConfig,
    invalidate,
    rotate,
)
from sessionstore_sql.litestar.stores import SQLStore
from sessionstore_sql.visits import SessionClosedError

__all__ = [
    "SQLSessionBackend",
    "SQLSessionConfig",
    "SQLStore",
    "SessionClosedError",
    "invalidate",
    "rotate",
]
