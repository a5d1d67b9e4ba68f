"""The two forms of Django's session interface, to be tested with one text."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from sessionstore_sql.django import SessionStore


class Form(Protocol):
    """One of the forms. Methods are named as in the synchronous one."""

    def call(self, session: SessionStore, method: str, *arguments: Any) -> Any:
        """Return what the method of ``session`` returns."""

    def set(self, session: SessionStore, key: str, value: Any) -> None:
        """Set a value."""


class _Synchronous:
    def call(self, session: SessionStore, method: str, *arguments: Any) -> Any:
        return getattr(session, method)(*arguments)

    def set(self, session: SessionStore, key: str, value: Any) -> None:
        session[key] = value

    def __str__(self) -> str:
        return "sync"


class _Asynchronous:
    def call(self, session: SessionStore, method: str, *arguments: Any) -> Any:
        return asyncio.run(getattr(session, f"a{method}")(*arguments))

    def set(self, session: SessionStore, key: str, value: Any) -> None:
        self.call(session, "set", key, value)

    def __str__(self) -> str:
        return "async"


FORMS: tuple[Form, ...] = (_Synchronous(), _Asynchronous())
