"""A call whose connection is lost recognises what its first attempt has written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import URL, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import await_only

from sessionstore_sql import DatabaseError, SessionHandle, SessionId, SQLSessionStore
from sessionstore_sql.testing.accounts.support import handles_of, new_subject, session_of, signed_in
from sessionstore_sql.testing.support import record
from tests.concurrency.rows import SERVER_TARGETS
from tests.concurrency.stores import StoreMaker
from tests.faults.proxy import Proxy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("target", SERVER_TARGETS, indirect=True, ids=str),
]

either = pytest.mark.parametrize("lost", ["request", "answer"])

Call = Callable[[SQLSessionStore, SessionId, SessionId, str, int], Awaitable[Any]]
"""A call on a live session, a free id, the session's user and its version."""

CALLS: dict[str, Call] = {
    "sign_in": lambda store, old, new, subject, version: store.sign_in(
        old, new, record(late=True), subject=subject, version=version
    ),
    "sign_in without a session": lambda store, _, new, subject, __: store.sign_in(
        None, new, record(late=True), subject=subject
    ),
    "replace": lambda store, old, new, _, version: store.replace(
        old, new, record(late=True), version=version
    ),
    "update_if": lambda store, old, _, __, version: store.update_if(
        old, record(late=True), version
    ),
}
each_call = pytest.mark.parametrize("name", CALLS)


async def warm(store: SQLSessionStore, call: Call) -> None:
    """Let the driver prepare the statements, which takes some executions."""
    for _ in range(7):
        subject, new_id = new_subject("other"), SessionId.generate()
        old_id, _ = await signed_in(store, subject)
        version = (await session_of(store, old_id)).version
        await call(store, old_id, new_id, subject, version)


@either
@each_call
async def test_a_lost_call_is_repeated(
    url: URL, make_store: StoreMaker, store: SQLSessionStore, name: str, lost: str
) -> None:
    """Whether the request or its response was lost, it took effect once."""
    subject, new_id = new_subject(), SessionId.generate()
    old_id, before = await signed_in(store, subject)
    version = (await session_of(store, old_id)).version
    proxy = Proxy(url)
    async with proxy.running(url) as way:
        lossy = await make_store(way)
        await warm(lossy, CALLS[name])
        proxy.lose_requests, proxy.lose_answers = lost == "request", lost == "answer"

        result = await CALLS[name](lossy, old_id, new_id, subject, version)

        assert (proxy.lose_requests, proxy.lose_answers) == (0, 0)
        await lossy.aclose()

    after = await session_of(store, old_id if name == "update_if" else new_id)
    assert after.record.state == {"late": True}
    if isinstance(result, SessionHandle):
        assert after.handle == result
        assert (result == before) is (name == "sign_in")
        assert await handles_of(store, subject) == {before, result}
    elif name == "update_if":
        assert after.version == result


@each_call
async def test_a_lost_call_that_was_overtaken_has_an_unknown_outcome(
    url: URL, make_store: StoreMaker, store: SQLSessionStore, name: str
) -> None:
    """It is no conflict, and no unknown id: the first attempt may have caused it."""
    subject, new_id = new_subject(), SessionId.generate()
    old_id, _ = await signed_in(store, subject)
    version = (await session_of(store, old_id)).version
    proxy = Proxy(url)
    async with proxy.running(url) as way:
        lossy = await make_store(way)
        await warm(lossy, CALLS[name])
        connected = 0

        @event.listens_for(lossy.engine.sync_engine, "connect")
        def overtake(*_: object) -> None:
            nonlocal connected
            connected += 1
            if connected == 1:
                written = old_id if name == "update_if" else new_id
                await_only(store.update(written, record(overtaken=True)))

        proxy.lose_answers = 1
        with pytest.raises(DatabaseError) as caught:
            await CALLS[name](lossy, old_id, new_id, subject, version)
        await lossy.aclose()

    assert caught.value.transient
    assert caught.value.outcome_unknown


@either
async def test_a_lost_revocation_is_repeated(
    url: URL, make_store: StoreMaker, store: SQLSessionStore, lost: str
) -> None:
    """When it returns, the sessions are gone."""
    subject = new_subject()
    await asyncio.gather(*(signed_in(store, subject) for _ in range(3)))
    proxy = Proxy(url)
    async with proxy.running(url) as way:
        lossy = await make_store(way)
        for _ in range(7):
            await lossy.revoke(new_subject("other"))
        proxy.lose_requests, proxy.lose_answers = lost == "request", lost == "answer"

        await lossy.revoke(subject)

        await lossy.aclose()

    assert await handles_of(store, subject) == set()


@pytest.mark.parametrize("calls", [1, 2])
async def test_a_sign_in_whose_handle_cannot_be_read_has_an_unknown_outcome(
    make_store: StoreMaker, store: SQLSessionStore, calls: int
) -> None:
    """The session is stored by then. A batch on PostgreSQL returns the handles at once."""
    subject, other = new_subject(), await make_store()
    old_ids = [(await signed_in(store, subject))[0] for _ in range(calls)]
    new_ids = [SessionId.generate() for _ in range(calls)]

    def reject(*arguments: Any) -> None:
        statement = " ".join(arguments[2].split())
        if re.match("SELECT (id, )?(sessionstore_sessions[.])?handle", statement):
            raise OperationalError(statement, {}, Exception("a lock was not available"))

    event.listen(other.engine.sync_engine, "before_cursor_execute", reject)
    results = await asyncio.gather(
        *(
            other.sign_in(old, new, record(), subject=subject)
            for old, new in zip(old_ids, new_ids, strict=True)
        ),
        return_exceptions=True,
    )

    assert all([await store.load(new) for new in new_ids])
    for result in results:
        assert isinstance(result, SessionHandle) or (
            isinstance(result, DatabaseError) and result.outcome_unknown
        )
    assert calls > 1 or isinstance(results[0], DatabaseError)


@pytest.mark.parametrize("successful", [0, 1])
async def test_a_revocation_that_fails_halfway_has_an_unknown_outcome(
    make_store: StoreMaker, store: SQLSessionStore, successful: int
) -> None:
    """A user with very many sessions is signed out in several steps, each of which is committed."""
    subject = new_subject()
    _, handle = await signed_in(store, subject)
    other = await make_store()
    endings = type(other._table.endings)
    revoke, steps = endings.revoke, list[int]()

    def step(*arguments: Any, **options: Any) -> Any:
        if len(steps) == successful:
            raise DatabaseError("a row is locked", transient=True)
        steps.append(1)
        return revoke(*arguments, **options)._replace(is_last=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endings, "revoke", step)
        with pytest.raises(DatabaseError) as caught:
            await other.revoke(subject)

    assert caught.value.outcome_unknown is bool(successful)
    assert await handles_of(store, subject) == (set() if successful else {handle})


async def test_a_sign_in_succeeds_although_the_limit_cannot_be_kept(
    url: URL, make_store: StoreMaker, store: SQLSessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is cut after the sign-in. The next sign-in ends the sessions above it."""
    subject = new_subject()
    _, oldest = await signed_in(store, subject)
    proxy = Proxy(url)
    async with proxy.running(url) as way:
        lossy = await make_store(way)

        trim = lossy._table.endings.trim
        cut: list[bool] = []

        def cut_first(*arguments: Any, **options: Any) -> Any:
            if not cut:
                cut.append(True)
                proxy.cut()
            return trim(*arguments, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(lossy._table.endings), "trim", lambda _, *a, **o: cut_first(*a, **o))
            _, newest = await signed_in(lossy, subject, max_sessions=1)
        await lossy.aclose()

    assert await handles_of(store, subject) == {oldest, newest}
    (entry,) = [each for each in caplog.records if each.name == "sessionstore_sql.accounts"]
    assert entry.levelname == "ERROR"
    assert subject not in entry.getMessage()

    _, last = await signed_in(store, subject, max_sessions=1)
    assert await handles_of(store, subject) == {last}
