"""The same small application with each peer's sessions.

``POST /start`` creates a session with the state of the workload. ``GET /read`` returns the user in
it, and ``POST /write`` changes it. Each peer is configured as its documentation recommends. All
have the same lifetime and number of connections.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy.ext.asyncio import AsyncEngine

    from benchmarks.databases import Target


@dataclass(frozen=True, slots=True)
class Served:
    """An application, and the package that provides its sessions."""

    app: Any
    engine: AsyncEngine | None = None
    redis: Any = None


@dataclass(frozen=True, slots=True)
class Application:
    """Name of the peer."""

    name: str
    description: str
    framework: str
    function: str
    """Factory in the module of the framework, which only the server process imports."""

    @property
    def floor(self) -> str:
        """Name of the application of the same framework without sessions."""
        return f"no sessions, {self.framework}"

    def serve(self, target: Target) -> AbstractAsyncContextManager[Served]:
        """Create the application, and release its resources afterwards."""
        module = import_module(f"benchmarks.web.on_{self.framework.lower()}")
        served: AbstractAsyncContextManager[Served] = getattr(module, self.function)(target)
        return served


def _floor(framework: str) -> Application:
    return Application(f"no sessions, {framework}", "the application alone", framework, "alone")


APPLICATIONS = (
    Application(
        "sessionstore_sql",
        "sessionstore_sql.starlette.SessionMiddleware; extends when a fifth of max_age has passed",
        "Starlette",
        "ours",
    ),
    Application(
        "sessionstore_sql, extending",
        "the same with renewal_threshold=1: every request extends",
        "Starlette",
        "ours_extending",
    ),
    Application(
        "sessionstore_sql, signed in",
        "the same with subject_of: every session belongs to a user",
        "Starlette",
        "ours_signed_in",
    ),
    Application(
        "sessionstore_sql on Litestar",
        "sessionstore_sql.litestar.SQLSessionConfig",
        "Litestar",
        "ours",
    ),
    Application(
        "signed cookies",
        "Starlette's SessionMiddleware: the whole session is in the cookie",
        "Starlette",
        "signed_cookies",
    ),
    Application(
        "starsessions on Redis",
        "RedisStore, autoloaded; writes with each response by default",
        "Starlette",
        "starsessions_on_redis",
    ),
    Application(
        "starsessions on sessionstore_sql",
        "SQLStore, autoloaded; writes with each response",
        "Starlette",
        "starsessions_on_ours",
    ),
    Application(
        "crudauth",
        "SessionManager on DatabaseStore, without CSRF tokens and the query for the user",
        "FastAPI",
        "crudauth",
    ),
    Application(
        "Litestar on Redis",
        "ServerSideSessionConfig on RedisStore; writes with each response by default",
        "Litestar",
        "on_redis",
    ),
    _floor("Starlette"),
    _floor("FastAPI"),
    _floor("Litestar"),
)
BASELINE = APPLICATIONS[0]
