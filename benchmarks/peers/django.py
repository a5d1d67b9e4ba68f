"""Django's database sessions, as threads of a WSGI server run them."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from datetime import UTC, datetime
from importlib.metadata import version
from queue import SimpleQueue
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.databases import one_line
from benchmarks.peer import NotRunError, Peer, Sessions, Slice, slice_of
from benchmarks.workload import STATE, TTL, TTL_SECONDS, Operation, session_id

if TYPE_CHECKING:
    from collections.abc import Callable

_ENGINES = {
    "postgresql": ("postgresql", "psycopg"),
    "mysql": ("mysql", "MySQLdb"),
    "mariadb": ("mysql", "MySQLdb"),
    "sqlite": ("sqlite3", "sqlite3"),
}


class DjangoPeer(Peer):
    """Django in as many threads as other peers have connections, each with its own connection.

    It does not use the asynchronous interface, which runs every statement in one thread. If there
    are more callers than threads, they wait in a queue, and their latency includes the wait.
    """

    name = "Django sessions"
    databases = frozenset(_ENGINES)
    description = "sync, a thread to a connection, CONN_MAX_AGE=None; a touch is load and save"

    async def open(self) -> None:
        """Configure Django, migrate and fill the table."""
        try:
            await asyncio.to_thread(self._open)
        except ImportError as error:
            raise NotRunError(f"{error.name} is not installed") from None
        except Exception as error:
            if type(error).__name__ == "ImproperlyConfigured":
                raise NotRunError(one_line(error)) from error
            raise

    def _open(self) -> None:
        import django
        from django.conf import settings

        engine, driver = _ENGINES[self.target.database]
        __import__(driver)
        database = self._database(engine)
        if not settings.configured:
            settings.configure(
                SECRET_KEY="for benchmarks only",  # noqa: S106  # not a secret
                DATABASES={"default": database},
                INSTALLED_APPS=["django.contrib.sessions"],
                SESSION_COOKIE_AGE=TTL_SECONDS,
                USE_TZ=True,
            )
            django.setup()
        from django.db import connections

        # One process serves one database after another.
        connections.settings["default"] = connections.configure_settings({"default": database})[
            "default"
        ]
        from django.contrib.sessions.backends.db import SessionStore
        from django.contrib.sessions.models import Session
        from django.core.management import call_command

        self.session_store: Any = SessionStore
        try:
            call_command("migrate", verbosity=0)
            expires, data = datetime.now(UTC) + TTL, SessionStore().encode(STATE)
            Session.objects.bulk_create(
                (
                    Session(session_key=session_id(number), session_data=data, expire_date=expires)
                    for number in range(self.target.sessions)
                ),
                batch_size=1_000,
            )
        finally:
            _forget_connections()
        self.ids = Sessions(self.target.sessions).all()

    def _database(self, engine: str) -> dict[str, Any]:
        url = self.target.url
        database: dict[str, Any] = {
            "ENGINE": f"django.db.backends.{engine}",
            "NAME": url.database,
            "CONN_MAX_AGE": None,
        }
        if engine == "sqlite3":
            # As Django's documentation recommends for production, without synchronous=NORMAL.
            options = {
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL",
            }
            return {**database, "OPTIONS": options}
        host = {"HOST": url.host, "PORT": url.port or "", "USER": url.username or ""}
        return {**database, **host, "PASSWORD": url.password or ""}

    async def close(self) -> None:
        """Do nothing: the threads close their connections."""

    async def describe(self) -> dict[str, str]:
        """Return the version."""
        return {"django": version("django")}

    async def verify(self) -> None:
        """Raise unless sessions are found."""
        operations = self._operations()
        await asyncio.to_thread(self._try, operations)

    def _try(self, operations: dict[Operation, Callable[[int], None]]) -> None:
        try:
            for operation in operations.values():
                operation(0)
            assert self.session_store(self.ids[0]).load() == STATE
        finally:
            _forget_connections()

    async def measure(self, operation: Operation, callers: int, seconds: float) -> Slice:
        """Let threads serve callers that repeat their call when it returns."""
        return await asyncio.to_thread(self._measure, operation, callers, seconds)

    def _measure(self, operation: Operation, callers: int, seconds: float) -> Slice:
        act = self._operations()[operation]
        clock = time.perf_counter
        threads = min(callers, self.target.pool)
        waiting: SimpleQueue[tuple[int, float]] = SimpleQueue()
        latencies: list[float] = []
        failures: list[BaseException] = []
        ready = threading.Barrier(threads + 1)
        done = threading.Barrier(threads + 1)
        end = float("inf")

        def serve() -> None:
            from django.db import connection

            connection.ensure_connection()
            ready.wait()
            try:
                while clock() < end:
                    caller, since = waiting.get()
                    act(caller)
                    now = clock()
                    latencies.append(now - since)
                    waiting.put((caller, now))
            except Exception as error:  # noqa: BLE001  # raised below, in the calling thread
                failures.append(error)
            done.wait()
            connection.close()

        workers = [threading.Thread(target=serve, daemon=True) for _ in range(threads)]
        for worker in workers:
            worker.start()
        ready.wait()
        gc.collect()
        cpu, started = time.process_time(), clock()
        end = started + seconds
        for caller in range(callers):
            waiting.put((caller, started))
        done.wait()
        result = slice_of(latencies, clock() - started, time.process_time() - cpu)
        for worker in workers:
            worker.join()
        if failures:
            raise failures[0]
        return result

    def _operations(self) -> dict[Operation, Callable[[int], None]]:
        """Return the call of a caller, by its number."""
        store, ids, random = self.session_store, self.ids, Random()
        size, stride = len(ids), 256

        def any_session() -> Any:
            return store(ids[int(random.random() * size)])

        def load(_caller: int) -> None:
            assert any_session().load()

        def touch(_caller: int) -> None:
            any_session().save()

        def update(_caller: int) -> None:
            session = any_session()
            session._session_cache = dict(STATE)  # noqa: SLF001  # avoids a load
            session.save()

        def request(_caller: int) -> None:
            session = any_session()
            assert session["user_id"]
            session.save()

        def create(_caller: int) -> None:
            session = store()
            session.update(STATE)
            session.save()

        def rotate(caller: int) -> None:
            mine = range(caller % size, size, stride)
            index = mine[int(random.random() * len(mine))]
            session = store(ids[index])
            session._session_cache = dict(STATE)  # noqa: SLF001  # avoids a load
            session.cycle_key()
            ids[index] = session.session_key

        return {
            Operation.LOAD: load,
            Operation.TOUCH: touch,
            Operation.UPDATE: update,
            Operation.REQUEST: request,
            Operation.CREATE: create,
            Operation.ROTATE: rotate,
        }


def _forget_connections() -> None:
    """Close the connection of this thread; the next one uses the current settings."""
    from django.db import connections

    connections.close_all()
    del connections["default"]
