"""Browsers, their requests and a store, with every step in an order that a test chooses."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sessionstore_sql import SessionId
from sessionstore_sql.testing import MemorySessionStore
from sessionstore_sql.web import tombstones
from sessionstore_sql.web.options import SessionOptions
from sessionstore_sql.web.presented import ids_in
from sessionstore_sql.web.request_session import RequestSession
from sessionstore_sql.web.sessions import Sessions
from sessionstore_sql.web.work import Outcome
from tests.unit.memory_backend import MemoryBackend
from tests.web.stores import OPERATIONS

current_request: ContextVar[Request | None] = ContextVar("request", default=None)
"""The request that runs in this context."""


class Readable:
    """Something that Hypothesis shows by its ``repr``."""

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(eq=False, repr=False)
class Turn(Readable):
    """A step that a request waits to make."""

    request: Request
    what: str
    done: asyncio.Future[None]

    def __repr__(self) -> str:
        return f"{self.request} {self.what}"


class Gate:
    """Lets requests make one step at a time."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    async def wait(self, what: str) -> None:
        """Wait until the test lets this request go on. Other code does not wait."""
        request = current_request.get()
        if request is not None and request.crashed:
            raise asyncio.CancelledError
        if request is not None:
            turn = Turn(request, what, asyncio.get_running_loop().create_future())
            self.turns.append(turn)
            await turn.done

    async def sleep(self, _seconds: float) -> None:
        """Wait for time to pass."""
        await self.wait("sleep")

    def ready(self) -> list[Turn]:
        """Return the turns that may be taken: time passes while nothing else can happen."""
        awake = [turn for turn in self.turns if turn.what != "sleep"]
        return awake or self.turns

    def take(self, turn: Turn) -> None:
        """Let a request make its step."""
        self.turns.remove(turn)
        turn.done.set_result(None)


class GatedStore(MemorySessionStore):
    """A store that knows users, whose operations wait for their turn."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def all_rows(self) -> dict[SessionId, tuple[object, dict[str, Any]]]:
        """Return each live row, as an object that stays the same, and its state."""
        now = self._table._now()
        return {
            key: (row, json.loads(row.state))
            for key, row in self._table._rows.items()
            if row.deadline > now
        }


class GatedBackend(MemoryBackend):
    """The seven operations, which wait for their turn."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    def all_rows(self) -> dict[SessionId, tuple[object, dict[str, Any]]]:
        """Return each live row and its state."""
        return {
            key: (key, json.loads(data))
            for key, (data, _) in self.rows.items()
            if self.is_live(key)
        }


def _gated(parent: type, name: str) -> Callable[..., Awaitable[Any]]:
    operation = getattr(parent, name)

    async def gated(self: Any, *args: Any, **kwargs: Any) -> Any:
        await self.gate.wait(name)
        return await operation(self, *args, **kwargs)

    return gated


for _name in OPERATIONS:
    setattr(GatedStore, _name, _gated(MemorySessionStore, _name))
    if hasattr(MemoryBackend, _name):
        setattr(GatedBackend, _name, _gated(MemoryBackend, _name))


@dataclass(eq=False, repr=False)
class Request(Readable):
    """A request in flight, or one whose response is on its way."""

    number: int
    browser: Browser
    kind: str
    presented: SessionId | None
    loaded: dict[str, Any] = field(default_factory=dict)
    session: RequestSession | None = None
    outcome: Outcome | None = None
    task: asyncio.Task[None] | None = None
    crashed: bool = False

    def __repr__(self) -> str:
        return f"<{self.number}: {self.kind} of {self.browser.user}>"


@dataclass(eq=False, repr=False)
class Browser(Readable):
    """A visitor's browser, with the one cookie that matters."""

    user: str
    cookie: SessionId | None = None
    in_flight: list[Request] = field(default_factory=list)
    on_their_way: list[Request] = field(default_factory=list)
    disturbed: bool = False
    """Whether something happened since all was quiet that may change who is logged in."""

    def __repr__(self) -> str:
        return f"<{self.user}'s browser>"


class Site:
    """An application, its store, and the requests of its visitors.

    Args:
        kind: How it signs users in: ``accounts`` by ``sign_in``, ``noticed`` by ``subject_of``,
            ``plain`` by ``rotate``, on a backend that knows no users.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.gate = Gate()
        self.loop = asyncio.new_event_loop()
        self.store = GatedBackend(self.gate) if kind == "plain" else GatedStore(self.gate)
        options = SessionOptions()
        if kind == "noticed":
            options = SessionOptions(subject_of=lambda state: state.get("user"))
        self.sessions = Sessions(self.store, options)
        self.numbers = itertools.count(1)

    def close(self) -> None:
        """End what is still in flight."""
        for turn in list(self.gate.turns):
            self.crash(turn)
        self.loop.close()

    def send(self, browser: Browser, kind: str) -> Request:
        """Start a request with the cookie that the browser has now."""
        request = Request(next(self.numbers), browser, kind, browser.cookie)
        browser.in_flight.append(request)
        request.task = self.loop.create_task(self._run(request))
        self._settle()
        return request

    def step(self, turn: Turn) -> None:
        """Let a request make a step."""
        self.gate.take(turn)
        self._settle()

    def crash(self, turn: Turn) -> None:
        """Let the process that handles a request die before its next step."""
        self.gate.turns.remove(turn)
        assert turn.request.task is not None
        turn.request.crashed = True
        turn.done.cancel()
        turn.request.task.cancel()
        self._settle()
        turn.request.browser.in_flight.remove(turn.request)

    def finish(self, request: Request) -> None:
        """Let a request make all of its steps, one after the other."""
        while request.outcome is None:
            (turn,) = [each for each in self.gate.turns if each.request is request]
            self.step(turn)

    def at_once(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Do something outside of any request, in one step."""
        return self.loop.run_until_complete(call)

    def deliver(self, request: Request, *, for_good: bool = True) -> None:
        """Let the browser read a response, and keep it for another time unless ``for_good``."""
        outcome, browser = request.outcome, request.browser
        assert outcome is not None
        if for_good:
            browser.on_their_way.remove(request)
        if outcome.session_id is not None:
            browser.cookie = outcome.session_id
        elif outcome.cookie.name == "REMOVE":
            browser.cookie = None

    def row_of(self, session_id: SessionId | None) -> dict[str, Any] | None:
        """Return the state under an id."""
        if session_id is None:
            return None
        found = self.store.all_rows().get(session_id)
        return None if found is None else found[1]

    async def _run(self, request: Request) -> None:
        current_request.set(request)
        presented = [] if request.presented is None else [request.presented.value.encode()]
        session = request.session = await self.sessions.begin(ids_in(presented))
        state = session.state
        request.loaded = dict(state)
        await self.gate.wait("work")
        state = self._work(request, session, state)
        request.outcome = await session.finish(state)
        request.browser.in_flight.remove(request)
        request.browser.on_their_way.append(request)

    def _work(
        self, request: Request, session: RequestSession, state: dict[str, Any]
    ) -> dict[str, Any]:
        """Do what the application does in a request, and return the state that it leaves."""
        if request.kind == "set":
            state[f"key {request.number}"] = True
        elif request.kind == "login":
            if self.kind == "accounts":
                session.sign_in(request.browser.user)
            elif self.kind == "plain":
                session.rotate()
            state |= {"user": request.browser.user, "login": request.number}
        elif request.kind == "rotate":
            session.rotate()
        elif request.kind == "logout":
            session.invalidate()
            return {}
        elif request.kind == "logout with a message":
            session.invalidate()
            return {"message": "Goodbye."}
        elif request.kind == "logout by deletion":
            state.pop("user", None)
            state.pop("login", None)
        elif request.kind == "logout by emptying":
            state.clear()
        return state

    def _settle(self) -> None:
        """Let every request run until it waits for its next turn."""

        async def spin() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(spin())


@contextmanager
def virtual_time(gate: Gate) -> Iterator[None]:
    """Let the pauses of the web layer wait for their turn."""
    with mock.patch.object(tombstones, "asyncio", SimpleNamespace(sleep=gate.sleep)):
        yield
