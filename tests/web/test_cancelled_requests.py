"""Requests that are cancelled while their session is being stored, as when a client disconnects."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from sessionstore_sql import DatabaseError, SessionId, UpdateIfError
from sessionstore_sql.errors import for_operation
from sessionstore_sql.web import SessionClosedError, saving
from sessionstore_sql.web.asgi import SessionMiddleware
from sessionstore_sql.web.request_session import RequestSession
from sessionstore_sql.web.sessions import Sessions
from tests.web.stores import AnyStore, ScriptedStore, begin, number_of_rows, state_of, stored

pytestmark = pytest.mark.anyio


class Halt:
    """Stops a request after an operation of the store, until the request was cancelled."""

    def __init__(self, store: AnyStore, operation: str) -> None:
        self._reached = asyncio.Event()
        self._goes_on = asyncio.Event()
        store.script.after[operation] = [self._stop]

    async def cancel(self, session: RequestSession, state: dict[str, Any]) -> None:
        """Finish a session, cancel that, and wait for what goes on afterwards."""
        request = asyncio.create_task(session.finish(state))
        await self._reached.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        self._goes_on.set()
        await asyncio.gather(*saving._running, return_exceptions=True)

    async def _stop(self) -> None:
        self._reached.set()
        await self._goes_on.wait()


async def test_a_logout_is_not_done_by_half(any_store: AnyStore) -> None:
    """The old session ends, although the cancellation came after the new one was stored."""
    session_id = await stored(any_store, {"user": "ada"})
    session, _ = await begin(Sessions(any_store), session_id)
    session.invalidate()

    await Halt(any_store, "create").cancel(session, {"flash": "Goodbye."})

    assert await state_of(any_store, session_id) is None


@pytest.mark.parametrize("operation", ["create", "replace"])
async def test_a_rotation_is_not_done_by_half(store: ScriptedStore, operation: str) -> None:
    """The session has its new id, and the tombstone of the old one is in its place."""
    session_id = await stored(store, {"cart": "tea"})
    session, state = await begin(Sessions(store), session_id)
    session.rotate()

    await Halt(store, operation).cancel(session, {**state, "user": "ada"})

    assert await state_of(store, session_id) is None
    late, late_state = await begin(Sessions(store), session_id)
    assert (await late.finish({**late_state, "color": "blue"})).session_id is None
    assert number_of_rows(store) == 2  # the session and the tombstone


async def test_a_failure_after_the_cancellation_is_logged(
    store: ScriptedStore, caplog: pytest.LogCaptureFixture
) -> None:
    """No response can report it."""
    caplog.set_level(logging.ERROR)
    session_id = await stored(store, {"color": "red"})
    session, state = await begin(Sessions(store), session_id)
    halt = Halt(store, "update_if")

    async def fail() -> None:
        raise for_operation(UpdateIfError, DatabaseError("connection failed", transient=False))

    store.script.after["update_if"].append(fail)
    await halt.cancel(session, {**state, "color": "blue"})

    assert "a request that was cancelled was not stored" in caplog.text
    assert session_id.value not in caplog.text


async def test_a_request_without_a_response_is_stored_if_its_client_is_gone(
    store: ScriptedStore,
) -> None:
    """Frameworks do not start to stream a response that no client receives."""
    session_id = await stored(store, {"color": "red"})

    await _without_a_response(store, session_id, {"type": "http.disconnect"})

    assert await state_of(store, session_id) == {"color": "blue"}


async def test_a_request_without_a_response_is_an_error_otherwise(store: ScriptedStore) -> None:
    """Nothing is stored."""
    session_id = await stored(store, {"color": "red"})

    with pytest.raises(SessionClosedError):
        await _without_a_response(store, session_id, {"type": "http.request"})

    assert await state_of(store, session_id) == {"color": "red"}


async def _without_a_response(
    store: ScriptedStore, session_id: SessionId, message: dict[str, Any]
) -> None:
    """Run an application that receives a message, changes its session, and returns."""

    async def app(scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        scope["session"]["color"] = "blue"

    async def receive() -> dict[str, Any]:
        return message

    async def send(message: Any) -> None:
        raise AssertionError(message)

    headers = [(b"cookie", f"__Host-session={session_id.value}".encode())]
    scope = {"type": "http", "path": "/", "headers": headers}
    await SessionMiddleware(app, store)(scope, receive, send)
