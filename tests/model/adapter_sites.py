"""The site of the model as an application of a web framework, behind one of its adapters."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from http.cookies import SimpleCookie
from typing import Any
from unittest import mock

from sessionstore_sql import SessionId
from sessionstore_sql.web.background import BackgroundStore
from sessionstore_sql.web.decision import Cookie
from sessionstore_sql.web.sessions import Sessions
from sessionstore_sql.web.work import Outcome
from tests.model.browsers import Request, Site, current_request
from tests.web.rules.driving import Driver, Visit
from tests.web.rules.on_django import OnDjango

COOKIE = "__Host-session"

MOST_THREADS = 32
"""More than there are requests in flight, each of which may have a view in a thread."""


class AdapterSite(Site):
    """An application of a framework, without sockets.

    Args:
        kind: As for ``Site``.
        driver: The framework and its adapter.
    """

    def __init__(self, kind: str, driver: Driver) -> None:
        super().__init__(kind)
        options: dict[str, Any] = {}
        if kind == "noticed":
            options["subject_of"] = lambda state: state.get("user")
        # Django responds with 400 to a request whose session ended meanwhile.
        self._statuses = {200, 400} if isinstance(driver, OnDjango) else {200}
        self.loop.set_default_executor(ThreadPoolExecutor(MOST_THREADS))
        self._patches = [
            mock.patch.object(Sessions, "begin", _noting(Sessions.begin)),
            mock.patch.object(BackgroundStore, "thread", _in_loop(self.loop)),
        ]
        for each in self._patches:
            each.start()
        self._serving = driver.serve(self.store, {"page": self._page}, **options)
        self._send = self.at_once(self._serving.__aenter__())

    def close(self) -> None:
        """End what is still in flight, and stop the application."""
        for turn in list(self.gate.turns):
            self.crash(turn)
        self.at_once(self._serving.__aexit__(None, None, None))
        self.at_once(self._end_tasks())
        self.at_once(self.loop.shutdown_default_executor())
        for each in self._patches:
            each.stop()
        super().close()

    async def _end_tasks(self) -> None:
        """Cancel what a framework has left of requests whose process died."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _run(self, request: Request) -> None:
        current_request.set(request)
        presented = request.presented
        headers = {} if presented is None else {"Cookie": f"{COOKIE}={presented.value}"}
        answer = await self._send("/page", headers)
        assert answer.status in self._statuses
        request.outcome = _outcome_of(answer.set_cookie)
        request.browser.in_flight.remove(request)
        request.browser.on_their_way.append(request)

    async def _page(self, visit: Visit) -> None:
        """Do what the application does in a request."""
        request = current_request.get()
        assert request is not None
        state = await visit.session()
        request.loaded = dict(state)
        await self.gate.wait("work")
        match request.kind:
            case "set":
                state[f"key {request.number}"] = True
            case "login":
                if self.kind == "accounts":
                    await visit.sign_in(request.browser.user)
                elif self.kind == "plain":
                    await visit.rotate()
                state.update({"user": request.browser.user, "login": request.number})
            case "rotate":
                await visit.rotate()
            case "logout":
                await visit.invalidate()
            case "logout with a message":
                await visit.invalidate()
                (await visit.session())["message"] = "Goodbye."
            case "logout by deletion":
                state.pop("user", None)
                state.pop("login", None)
            case "logout by emptying":
                state.clear()

    def _settle(self) -> None:
        """Let every request run until it waits for its next turn."""

        async def spin() -> None:
            while self._running(asyncio.all_tasks()):  # noqa: ASYNC110  # no event says so
                await asyncio.sleep(0)

        self.loop.run_until_complete(spin())

    def _running(self, tasks: set[asyncio.Task[Any]]) -> bool:
        """Return whether a request is neither finished nor waiting for its turn."""
        waiting = {turn.request.task for turn in self.gate.turns}
        return any(
            task not in waiting and getattr(task.get_coro(), "__name__", "") == "_run"
            for task in tasks
        )


def _outcome_of(set_cookie: str | None) -> Outcome:
    """Return what a response says about the cookie."""
    if set_cookie is None:
        return Outcome(Cookie.KEEP)
    value = SimpleCookie(set_cookie)[COOKIE].value
    return Outcome(Cookie.SET, SessionId(value)) if value else Outcome(Cookie.REMOVE)


class _InLoop:
    """Takes the place of the thread of a store: everything is in the event loop of the site."""

    def __init__(self, store: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop

    def submit(self, operation: Any, *args: Any, **options: Any) -> Future[Any]:
        """Run an operation."""
        running = operation(self._store, *args, **options)
        return asyncio.run_coroutine_threadsafe(running, self._loop)


def _in_loop(loop: asyncio.AbstractEventLoop) -> Any:
    """Return ``BackgroundStore.thread`` that starts no thread."""
    made: dict[int, _InLoop] = {}

    def thread(self: BackgroundStore[Any]) -> _InLoop:
        if id(self) not in made:
            made[id(self)] = _InLoop(self._make_store(), loop)
        return made[id(self)]

    return thread


def _noting(begin: Any) -> Any:
    """Return ``Sessions.begin`` that notes the session of the request."""

    async def noting(self: Sessions, presented: Any) -> Any:
        session = await begin(self, presented)
        request = current_request.get()
        assert request is not None
        request.session = session
        return session

    return noting
