"""Counts the database statements of an application between two requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from benchmarks.web.applications import Served

START, STOP = "/-/count", "/-/counted"


class Counting:
    """Counts from a request for ``START`` until one for ``STOP``.

    It counts statements of SQLAlchemy, without ``BEGIN`` and ``COMMIT``, and commands of Redis.
    """

    def __init__(self, served: Served) -> None:
        self._app = served.app
        self._engine = None if served.engine is None else served.engine.sync_engine
        self._redis = served.redis
        self._count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        path = scope.get("path")
        if path not in {START, STOP}:
            await self._app(scope, receive, send)
            return
        if path == START:
            self._start()
        else:
            self._stop()
        body = str(self._count).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _start(self) -> None:
        self._count = 0
        if self._engine is not None:
            event.listen(self._engine, "before_cursor_execute", self._note)
        if self._redis is not None:
            execute = self._redis.execute_command

            async def execute_command(*arguments: Any, **options: Any) -> Any:
                self._count += 1
                return await execute(*arguments, **options)

            self._redis.execute_command = execute_command

    def _stop(self) -> None:
        if self._engine is not None:
            event.remove(self._engine, "before_cursor_execute", self._note)
        if self._redis is not None:
            del self._redis.execute_command

    def _note(self, *_: Any) -> None:
        self._count += 1
