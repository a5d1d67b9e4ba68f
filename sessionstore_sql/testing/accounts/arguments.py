"""Arguments of a wrong type or range: rejected before any I/O, with nothing changed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sessionstore_sql import AccountSessionBackend, SessionHandle, SessionId
from sessionstore_sql.testing.accounts.support import (
    AccountBackendTests,
    FullBackend,
    handles_of,
    new_subject,
    session_of,
    signed_in,
)
from sessionstore_sql.testing.support import record

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Call = Callable[[], Coroutine[Any, Any, Any]]

CENTURY = timedelta(days=36_525)
MICROSECOND = timedelta(microseconds=1)


class AccountArgumentsContract(AccountBackendTests):
    """What is a ``TypeError``, and what is a ``ValueError``."""

    async def test_it_implements_the_protocol(self, backend: FullBackend) -> None:
        """An adapter asks so before it uses it."""
        assert isinstance(backend, AccountSessionBackend)

    async def test_arguments_of_a_wrong_type_are_type_errors(self, backend: FullBackend) -> None:
        """A text is not an id, a number not a user, and a text not a handle."""
        subject = new_subject()
        session_id, handle = await signed_in(backend, subject)
        session = await session_of(backend, session_id)
        new_id: Any = SessionId.generate()
        wrong: Any = "text"

        def sign_in(**options: Any) -> Call:
            arguments: dict[str, Any] = {"subject": subject} | options
            return lambda: backend.sign_in(session_id, new_id, record(), **arguments)

        calls: list[Call] = [
            lambda: backend.sign_in(wrong, new_id, record(), subject=subject),
            lambda: backend.sign_in(session_id, wrong, record(), subject=subject),
            lambda: backend.sign_in(session_id, new_id, wrong, subject=subject),
            *(sign_in(subject=each) for each in (None, 42, b"user", session_id)),
            *(sign_in(about=each) for each in (wrong, [1], 0)),
            *(sign_in(lifetime=each) for each in (60, wrong)),
            *(sign_in(max_sessions=each) for each in (True, 1.0, wrong)),
            *(sign_in(version=each) for each in (True, 1.0, wrong)),
            *(sign_in(idle_ttl=each) for each in (60, wrong)),
            lambda: backend.load_session(wrong),
            lambda: backend.sessions_of(None),  # type: ignore[arg-type]
            lambda: backend.sessions_of(subject, limit=None),  # type: ignore[arg-type]
            lambda: backend.sessions_of(subject, limit=True),
            lambda: backend.revoke(42),  # type: ignore[arg-type]
            lambda: backend.revoke(subject, only=wrong),
            lambda: backend.revoke(subject, keep=handle.value),  # type: ignore[arg-type]
            lambda: backend.sign_out(wrong, session),
            lambda: backend.sign_out(session_id, session.record),  # type: ignore[arg-type]
            lambda: backend.replace(wrong, new_id, record()),
            lambda: backend.replace(session_id, wrong, record()),
            lambda: backend.replace(session_id, new_id, wrong),
            lambda: backend.replace(session_id, new_id, record(), version=wrong),
            lambda: backend.update_if(wrong, record(), session.version),
            lambda: backend.update_if(session_id, wrong, session.version),
            lambda: backend.update_if(session_id, record(), None),  # type: ignore[arg-type]
            lambda: backend.update_if(session_id, record(), session.version, idle_ttl=wrong),
        ]
        for call in calls:
            with pytest.raises(TypeError):
                await call()
        assert (await session_of(backend, session_id)).version == session.version
        assert await handles_of(backend, subject) == {handle}

    async def test_arguments_out_of_range_are_value_errors(self, backend: FullBackend) -> None:
        """None of the calls changes anything."""
        subject = new_subject()
        session_id, handle = await signed_in(backend, subject)
        version = (await session_of(backend, session_id)).version
        new_id = SessionId.generate()

        def sign_in(old_id: SessionId | None = session_id, **options: Any) -> Call:
            arguments: dict[str, Any] = {"subject": subject} | options
            return lambda: backend.sign_in(old_id, new_id, record(), **arguments)

        calls: list[Call] = [
            *(sign_in(subject=each) for each in ("", "x" * 1_025, "\ud800")),
            *(
                sign_in(lifetime=each)
                for each in (timedelta(0), -MICROSECOND, CENTURY + MICROSECOND)
            ),
            *(sign_in(max_sessions=each) for each in (0, -1)),
            *(sign_in(version=each) for each in (-1, 2**63)),
            sign_in(None, version=version),
            *(sign_in(idle_ttl=each) for each in (timedelta(0), CENTURY + MICROSECOND)),
            lambda: backend.sessions_of(""),
            lambda: backend.sessions_of(subject, limit=0),
            lambda: backend.revoke("x" * 1_025),
            lambda: backend.revoke(subject, only=SessionHandle("malformed")),
            lambda: backend.replace(session_id, new_id, record(), version=-1),
            lambda: backend.replace(session_id, new_id, record(), idle_ttl=timedelta(0)),
            lambda: backend.update_if(session_id, record(), 2**63),
            lambda: backend.update_if(session_id, record(), version, idle_ttl=-MICROSECOND),
        ]
        for call in calls:
            with pytest.raises(
                ValueError, match=r"subject|lifetime|max_sessions|version|idle_ttl|limit|handle"
            ):
                await call()
        assert (await session_of(backend, session_id)).version == version
        assert await handles_of(backend, subject) == {handle}
        assert await backend.load(new_id) is None
