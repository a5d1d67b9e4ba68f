"""Connections that end while they are idle: the next call of every operation succeeds."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from sessionstore_sql import SQLSessionStore, migrate
from tests.reliability.history import Outcome, Recorder, read_history
from tests.reliability.recorded import Loaded, RecordedStore
from tests.reliability.scenarios.loads import targets
from tests.reliability.servers.server import Server
from tests.reliability.stage import Fault, Stage
from tests.reliability.workers import Target

_CONNECTIONS = 3
_HOUR = timedelta(hours=1)
_OPERATIONS = (
    *("create", "load", "update", "update_ttl", "change_id", "delete", "delete_expired"),
    *("sign_in", "load_session", "update_if", "replace", "sessions_of", "sign_out", "revoke"),
)


async def end_idle_connections(stage: Stage, server: Server) -> None:
    """Before each call, the administrator ends every connection in the pool."""
    stage.stop_at_end(server.stop)
    await server.create()
    await migrate.upgrade(server.url)
    path = stage.folder / "idle.history"
    recorder = Recorder(path)
    for number, target in enumerate(targets(server.url, *server.drivers)):
        await _call_after_each_end(stage, server, target, recorder, f"idle-{number}")
    recorder.close()
    stage.operations += read_history(path)


async def _call_after_each_end(
    stage: Stage, server: Server, target: Target, recorder: Recorder, name: str
) -> None:
    async with SQLSessionStore(target.url, **target.options) as store:
        recorded = RecordedStore(store, recorder)
        for operation in _OPERATIONS:
            session_id = f"{name}/{operation}"
            await recorded.sign_in(None, session_id, f"{name}-1", _HOUR, subject=session_id)
            loaded = await recorded.load_session(session_id)
            assert loaded is not None
            await _fill_pool(store)
            await server.end_connections()
            began = time.monotonic_ns()
            outcome = await _call(recorded, operation, session_id, loaded)
            stage.faults.append(Fault("idle connections ended", began, began, began))
            if outcome is not Outcome.DONE:
                stage.complaints.append(f"{target.url}: {operation}: {outcome.value}")


async def _fill_pool(store: SQLSessionStore) -> None:
    connections = [await store.engine.connect() for _ in range(_CONNECTIONS)]
    await asyncio.gather(*(each.close() for each in connections))


async def _call(  # noqa: C901, PLR0912  # one case for each operation
    store: RecordedStore, operation: str, session_id: str, loaded: Loaded
) -> Outcome:
    new_id, state, user = f"{session_id}/new", f"{session_id}-2", session_id
    match operation:
        case "create":
            return await store.create(new_id, state, _HOUR)
        case "load":
            return _found(await store.load(session_id))
        case "update":
            return await store.update(session_id, state, _HOUR)
        case "update_ttl":
            return await store.update_ttl(session_id, 2 * _HOUR)
        case "change_id":
            return await store.change_id(session_id, new_id)
        case "delete":
            return await store.delete(session_id)
        case "sign_in":
            return await store.sign_in(session_id, new_id, state, _HOUR, subject=user)
        case "load_session":
            return _found(await store.load_session(session_id))
        case "update_if":
            return await store.update_if(session_id, state, _HOUR, loaded.state)
        case "replace":
            return await store.replace(session_id, new_id, state, _HOUR, loaded.state)
        case "sessions_of":
            return _found(await store.sessions_of(user) or None)
        case "sign_out":
            return await store.sign_out(session_id, loaded.session)
        case "revoke":
            return await store.revoke(user)
        case _:
            return await store.delete_expired()


def _found(what: object) -> Outcome:
    return Outcome.FAILED if what is None else Outcome.DONE
