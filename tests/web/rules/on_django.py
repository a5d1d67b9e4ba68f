"""Django: synchronous views under WSGI, and asynchronous views under ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test.utils import override_settings
from django.urls import path

from sessionstore_sql import SessionHandle, SessionInfo, SQLSessionStore, django
from sessionstore_sql.django.configuration import USER_KEY
from sessionstore_sql.web.cookie import default_name
from tests.django import project
from tests.web.rules.driving import (
    Calls,
    Page,
    Send,
    is_stream,
    parts_of,
    send_to_asgi,
    send_to_wsgi,
)

__all__ = ["project"]

MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"

SETTINGS = {
    "session_cookie": "SESSION_COOKIE_NAME",
    "path": "SESSION_COOKIE_PATH",
    "domain": "SESSION_COOKIE_DOMAIN",
    "https_only": "SESSION_COOKIE_SECURE",
}
"""Django's settings for options of other adapters."""

SIGN_IN = {"lifetime", "max_sessions"}
"""Options of other adapters that are arguments of ``sign_in`` here, or options of the store."""


class _WithUser(MutableMapping[str, Any]):
    """A session whose user is also under the key of Django's authentication."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getitem__(self, key: str) -> Any:
        return self._session[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._session[key] = value
        if key == "user":
            self._session[USER_KEY] = value

    def __delitem__(self, key: str) -> None:
        del self._session[key]
        if key == "user":
            del self._session[USER_KEY]

    def __iter__(self) -> Iterator[str]:
        return iter([key for key in self._session.keys() if key != USER_KEY])  # noqa: SIM118

    def __len__(self) -> int:
        return len(list(iter(self)))

    def clear(self) -> None:
        self._session.clear()


class _Visit:
    """Calls the functions of Django's adapter: the synchronous ones, or their other forms."""

    def __init__(self, request: HttpRequest, options: dict[str, Any], calls: Calls | None) -> None:
        self.query: Mapping[str, str] = request.GET.dict()
        self._request = request
        self._options = options
        self._calls = calls

    async def session(self) -> MutableMapping[str, Any]:
        session = self._request.session
        await self._call(session.get, session.aget, USER_KEY)
        if self._options["mirrors_user"]:
            return _WithUser(session)
        return session  # type: ignore[return-value]  # nearly a mapping

    async def rotate(self) -> None:
        session = self._request.session
        await self._call(session.cycle_key, session.acycle_key)

    async def invalidate(self) -> None:
        session = self._request.session
        await self._call(session.flush, session.aflush)

    async def sign_in(self, subject: str, **options: Any) -> None:
        await self.session()
        self._request.session[USER_KEY] = subject
        options = self._options["sign_in"] | options
        await self._call(django.sign_in, django.asign_in, self._request, **options)

    async def set_max_age(self, max_age: timedelta | float | None) -> None:
        await self._call(django.set_max_age, django.aset_max_age, self._request, max_age)

    async def current_handle(self) -> SessionHandle | None:
        handle: SessionHandle | None = await self._call(
            django.current_handle, django.acurrent_handle, self._request
        )
        return handle

    async def sessions_of(self) -> list[SessionInfo]:
        sessions: list[SessionInfo] = await self._call(
            django.sessions_of, django.asessions_of, self._request
        )
        return sessions

    async def revoke(self, handle: str) -> bool:
        return bool(await self._call(django.revoke, django.arevoke, self._request, handle))

    async def sign_out_everywhere(self, *, keep_this: bool) -> int:
        functions = django.sign_out_everywhere, django.asign_out_everywhere
        return int(await self._call(*functions, self._request, keep_this=keep_this))

    async def require_fresh(self, within: timedelta) -> None:
        await self._call(django.require_fresh, django.arequire_fresh, self._request, within=within)

    async def reload(self) -> bool:
        raise NotImplementedError("a response of Django's does not load its session again")

    async def run(self, page: Page) -> Any:
        """Return what a page returns, without the key of Django's authentication."""
        result = await page(self)
        if isinstance(result, dict):
            result.pop(USER_KEY, None)
        return result

    async def _call(
        self,
        function: Callable[..., Any],
        asynchronous: Callable[..., Awaitable[Any]],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if self._calls is None:
            return await asynchronous(*args, **kwargs)
        return await self._calls.do(function, *args, **kwargs)


class OnDjango:
    """Django's own middleware, with this session engine, and synchronous views."""

    @asynccontextmanager
    async def serve(
        self, store: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run a project."""
        async for send in self._serve(store, {"": pages}, [MIDDLEWARE], options):
            yield send

    @asynccontextmanager
    async def serve_nested(
        self, outer: Any, inner: Any, pages: Mapping[str, Page], **options: Any
    ) -> AsyncIterator[Send]:
        """Run a project whose settings name the middleware twice."""
        assert inner is outer, "a project has one session engine"
        both = {"": pages, "inner/": pages}
        async for send in self._serve(outer, both, [MIDDLEWARE, MIDDLEWARE], options):
            yield send

    def _view(self, page: Page, options: dict[str, Any]) -> Callable[..., Any]:
        loop = asyncio.get_running_loop()

        def view(request: HttpRequest) -> HttpResponseBase:
            calls = Calls(loop)
            visit = _Visit(request, options, calls)
            result = calls.run(visit.run(page))
            if is_stream(result):
                return StreamingHttpResponse(calls.iterate(result))
            content, headers = parts_of(result)
            return JsonResponse(content, safe=False, headers=headers)

        return view

    def _send(self) -> AsyncIterator[Send]:
        return send_to_wsgi(WSGIHandler())

    async def _serve(
        self,
        store: Any,
        pages: Mapping[str, Mapping[str, Page]],
        middleware: list[str],
        options: dict[str, Any],
    ) -> AsyncIterator[Send]:
        of_views = {
            "sign_in": {key: options.pop(key) for key in SIGN_IN & options.keys()},
            "mirrors_user": options.pop("subject_of", None) is not None,
        }
        urls = tuple(
            path(f"{prefix}{name}", self._view(page, of_views))
            for prefix, named in pages.items()
            for name, page in named.items()
        )
        with override_settings(
            ROOT_URLCONF=urls, MIDDLEWARE=middleware, **_settings_for(store, options)
        ):
            await asyncio.to_thread(django.close)
            try:
                async for send in self._send():
                    yield send
            finally:
                await asyncio.to_thread(django.close)


class OnAsynchronousDjango(OnDjango):
    """The same with asynchronous views."""

    def _view(self, page: Page, options: dict[str, Any]) -> Callable[..., Any]:
        async def view(request: HttpRequest) -> HttpResponseBase:
            visit = _Visit(request, options, None)
            result = await visit.run(page)
            if is_stream(result):
                return StreamingHttpResponse(result)
            content, headers = parts_of(result)
            return JsonResponse(content, safe=False, headers=headers)

        return view

    def _send(self) -> AsyncIterator[Send]:
        return send_to_asgi(ASGIHandler())


def _settings_for(store: Any, options: dict[str, Any]) -> dict[str, Any]:
    given = {"path": "/", "domain": None, "https_only": True} | options
    name = default_name(path=given["path"], secure=given["https_only"], domain=given["domain"])
    settings: dict[str, Any] = {"SESSION_COOKIE_NAME": name}
    for option in SETTINGS.keys() & given.keys():
        settings[SETTINGS[option]] = given.pop(option)
    if "max_age" in given:
        max_age = given.pop("max_age")
        is_duration = isinstance(max_age, timedelta)
        settings["SESSION_COOKIE_AGE"] = max_age.total_seconds() if is_duration else max_age
    settings["SESSION_EXPIRE_AT_BROWSER_CLOSE"] = not given.pop("persistent", True)
    where: dict[str, Any] = {"store": lambda: store}
    if isinstance(store, SQLSessionStore):
        where = {"url": store.engine.url}
    return {**settings, "SESSIONSTORE_SQL": {**where, **given}}
