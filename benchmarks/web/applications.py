"""The same small application with each peer's sessions.

``POST /start`` begins a session with the state of the workload, ``GET /read`` answers with the
user in it, and ``POST /write`` puts something else into it. Each peer is configured as its
documentation recommends, with the lifetime and the number of connections that all have.
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
    """An application, and whom it asks for sessions."""

    app: Any
    engine: AsyncEngine | None = None
    redis: Any = None


@dataclass(frozen=True, slots=True)
class Application:
    """A peer."""

    name: str
    description: str
    framework: str
    function: str
    """In the module of that framework, which is imported where it is served."""

    @property
    def floor(self) -> str:
        """The application of the same framework without sessions."""
        return f"no sessions, {self.framework}"

    def serve(self, target: Target) -> AbstractAsyncContextManager[Served]:
        """Make it, and clean up after it."""
        module = import_module(f"benchmarks.web.on_{self.framework.lower()}")
        served: AbstractAsyncContextManager[Served] = getattr(module, self.function)(target)
        return served


def _floor(framework: str) -> Application:
    return Application(f"no sessions, {framework}", "the application alone", framework, "alone")


APPLICATIONS = (
    Application(
        "sessionstore_sql",
        "sessionstore_sql.starlette.SessionMiddleware as it comes: extends when a fifth has passed",
        "Starlette",
        "ours",
    ),
    Application(
        "sessionstore_sql, extending",
        "the same with renewal_threshold=1: each request extends",
        "Starlette",
        "ours_extending",
    ),
    Application(
        "signed cookies",
        "Starlette's SessionMiddleware: nothing on the server, all of it in each request",
        "Starlette",
        "signed_cookies",
    ),
    Application(
        "starsessions on Redis",
        "RedisStore, autoloaded; writes with each response, as it does",
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
        "SessionManager on DatabaseStore in a dependency, without CSRF tokens and the user",
        "FastAPI",
        "crudauth",
    ),
    Application(
        "Litestar on Redis",
        "ServerSideSessionConfig on RedisStore; writes with each response, as it does",
        "Litestar",
        "on_redis",
    ),
    _floor("Starlette"),
    _floor("FastAPI"),
    _floor("Litestar"),
)
BASELINE = APPLICATIONS[0]
