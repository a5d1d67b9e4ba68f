"""What the parts of the second contract share."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

import pytest

from sessionstore_sql import (
    AccountSession,
    AccountSessionBackend,
    SessionHandle,
    SessionId,
    SessionStorageBackend,
)
from sessionstore_sql.testing.support import AT_ONCE, HOUR, BackendTests, record

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from sessionstore_sql import JSON


class FullBackend(SessionStorageBackend, AccountSessionBackend, Protocol):
    """A backend that implements both Protocols."""


class AccountBackendTests(BackendTests):
    """A test class that is given a ``backend`` with both Protocols."""

    @pytest.fixture
    def backend(self) -> FullBackend:
        """The backend under test: to be given by the class that inherits."""
        raise NotImplementedError("override the fixture `backend`")


def new_subject(name: str = "user") -> str:
    """Return a subject that no other test uses."""
    return f"{name}-{secrets.token_hex(8)}"


async def signed_in(
    backend: AccountSessionBackend, subject: str, ttl: timedelta = HOUR, **options: Any
) -> tuple[SessionId, SessionHandle]:
    """Sign in without a session before, and return id and handle."""
    session_id = SessionId.generate()
    handle = await backend.sign_in(
        None, session_id, record(ttl, user=subject), subject=subject, **options
    )
    return session_id, handle


async def anonymous_id(backend: FullBackend, ttl: timedelta = HOUR) -> SessionId:
    """Return the id of a live anonymous session."""
    session_id = SessionId.generate()
    await backend.create(session_id, record(ttl, was="anonymous"))
    return session_id


async def expired_account_id(backend: AccountSessionBackend, subject: str) -> SessionId:
    """Return the id of a session of ``subject`` that has expired and was not purged."""
    session_id, _ = await signed_in(backend, subject, AT_ONCE, about={"was": "expired"})
    return session_id


async def session_of(backend: AccountSessionBackend, session_id: SessionId) -> AccountSession:
    """Return a session that must be live."""
    session = await backend.load_session(session_id)
    assert session is not None
    return session


async def handles_of(backend: AccountSessionBackend, subject: str) -> set[SessionHandle]:
    """Return the handles of a subject's live sessions."""
    return {info.handle for info in await backend.sessions_of(subject)}


async def made(backend: FullBackend, kind: str) -> SessionId:
    """Return the id of a live session, anonymous or signed in."""
    if kind == "anonymous":
        return await anonymous_id(backend)
    session_id, _ = await signed_in(backend, new_subject(), about={"device": "phone"})
    return session_id


each_kind = pytest.mark.parametrize("kind", ["anonymous", "signed in"])


class BackendWith(Protocol):
    """Returns a backend with other options, on the same sessions as all others of the test."""

    def __call__(self, **options: Any) -> FullBackend:
        """Return it."""
        ...


class OptionTests(AccountBackendTests):
    """The base class of tests of a constructor's options: it expects a fixture ``backend_with``."""

    @pytest.fixture
    def backend_with(self) -> BackendWith:
        """To be given by the class that inherits."""
        raise NotImplementedError("override the fixture `backend_with`")


async def about_of(backend: FullBackend, subject: str) -> dict[str, JSON]:
    """Return ``about`` of the subject's only session."""
    (info,) = await backend.sessions_of(subject)
    return info.about
