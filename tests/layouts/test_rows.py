"""Whatever the layout of the table, a call changes its own session and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import bindparam, func, insert, select

from sessionstore_sql import (
    DuplicateIdError,
    SessionId,
    SessionRecord,
    SQLSessionStore,
    UnknownIdError,
)
from sessionstore_sql.records import key_of
from sessionstore_sql.schema import session_table
from sessionstore_sql.sql.dialects import dialect_named, now
from tests.databases import TARGETS, Target
from tests.layouts.conftest import execute
from tests.layouts.layouts import LAYOUTS, Layout

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
TABLE = session_table("t")
MANY, CHANGED = 200, 40


def cases(*, supported_only: bool) -> pytest.MarkDecorator:
    """Return the mark that runs a test on every layout, through every driver of its database."""
    return pytest.mark.parametrize(
        ("target", "layout"),
        [
            pytest.param(target, layout, id=f"{target}-{layout.name}")
            for layout in LAYOUTS
            for target in TARGETS
            if target.database == layout.database and (layout.is_supported or not supported_only)
        ],
        indirect=["target"],
    )


on_every_layout = cases(supported_only=False)
on_supported_layouts = cases(supported_only=True)


async def filled(store: SQLSessionStore, layout: Layout) -> list[SessionId]:
    """Return the ids of sessions that were inserted by hand, numbered, in several partitions.

    By hand, as ``create`` does not work on every layout.
    """
    ids = [SessionId.generate() for _ in range(MANY)]
    async with store.engine.connect() as connection:
        binary = dialect_named(connection.dialect.name).binary
        await connection.execute(
            insert(TABLE).values(
                id=bindparam("key", type_=binary),
                deadline=now() + bindparam("ttl"),
                state=bindparam("content", type_=binary),
            ),
            [
                {
                    "key": key_of(each),
                    "ttl": 3_600_000_000,
                    "content": b'{"user":%d}' % number,
                }
                for number, each in enumerate(ids)
            ],
        )
    await execute(store.engine.url, *layout.finally_)
    return ids


async def users(store: SQLSessionStore, ids: Sequence[SessionId]) -> list[object]:
    """Return the user in the state of each session; ``None`` for a session that is gone."""
    loaded = await asyncio.gather(*(store.load(each) for each in ids))
    return [None if each is None else each.state["user"] for each in loaded]


@on_every_layout
async def test_updates_at_once_change_their_own_sessions(
    laid_out: SQLSessionStore, layout: Layout, target: Target
) -> None:
    """Of many sessions, those that are written have the new state, and the others the old one."""
    ids = await filled(laid_out, layout)

    await asyncio.gather(
        *(
            laid_out.update(each, SessionRecord({"user": -number}, HOUR))
            for number, each in enumerate(ids[:CHANGED])
        )
    )

    expected = [-number if number < CHANGED else number for number in range(MANY)]
    assert await users(laid_out, ids) == expected


@on_every_layout
async def test_extensions_at_once_move_their_own_deadlines(
    laid_out: SQLSessionStore, layout: Layout, target: Target
) -> None:
    """Each session has the lifetime that it was given, also if that moves it to a partition."""
    ids = await filled(laid_out, layout)
    day, century = timedelta(days=1), timedelta(days=36_500)

    await asyncio.gather(
        *(
            laid_out.update_ttl(each, century if number % 2 else day)
            for number, each in enumerate(ids[:CHANGED])
        )
    )

    loaded = await asyncio.gather(*(laid_out.load(each) for each in ids))
    lives = [each.ttl for each in loaded if each is not None]
    assert len(lives) == MANY
    assert all(HOUR < life <= day for life in lives[:CHANGED:2])
    assert all(day < life <= century for life in lives[1:CHANGED:2])
    assert all(life <= HOUR for life in lives[CHANGED:])


@on_every_layout
async def test_deletes_at_once_remove_their_own_sessions(
    laid_out: SQLSessionStore, layout: Layout, target: Target
) -> None:
    """After some visitors have logged out, all the others are logged in."""
    ids = await filled(laid_out, layout)

    await asyncio.gather(*(laid_out.delete(each) for each in ids[:CHANGED]))

    expected = [None if number < CHANGED else number for number in range(MANY)]
    assert await users(laid_out, ids) == expected


@on_every_layout
async def test_rotations_at_once_keep_each_state(
    laid_out: SQLSessionStore, layout: Layout, target: Target
) -> None:
    """A session keeps its state under the new id, also if that is in another partition."""
    ids = await filled(laid_out, layout)
    new_ids = [SessionId.generate() for _ in range(CHANGED)]

    await asyncio.gather(*(laid_out.change_id(*each) for each in zip(ids, new_ids, strict=False)))

    assert await users(laid_out, new_ids) == list(range(CHANGED))
    assert await users(laid_out, ids) == [
        None if number < CHANGED else number for number in range(MANY)
    ]


@on_every_layout
async def test_a_purge_removes_the_expired(
    laid_out: SQLSessionStore, layout: Layout, target: Target
) -> None:
    """Expired sessions of all partitions are removed in batches, and no live one."""
    ids = await filled(laid_out, layout)
    await asyncio.gather(*(laid_out.update_ttl(each, timedelta(0)) for each in ids[:CHANGED]))

    assert await laid_out.count_expired() == CHANGED
    assert await laid_out.delete_expired(CHANGED - 1) == CHANGED - 1
    assert await laid_out.delete_expired_exclusively(5) == 1

    assert await users(laid_out, ids[CHANGED:]) == list(range(CHANGED, MANY))
    async with laid_out.engine.connect() as connection:
        count = await connection.scalar(select(func.count()).select_from(TABLE))
    assert count == MANY - CHANGED


@on_supported_layouts
async def test_one_create_of_an_id_wins(
    laid_out: SQLSessionStore, layout: Layout, target: Target
) -> None:
    """Ids are unique across partitions: of two creates, one is a duplicate."""
    ids = [SessionId.generate() for _ in range(CHANGED)]
    await asyncio.gather(*(laid_out.create(each, SessionRecord({"user": 1}, HOUR)) for each in ids))

    ends = await asyncio.gather(
        *(laid_out.create(each, SessionRecord({"user": 2}, HOUR)) for each in ids),
        return_exceptions=True,
    )

    assert {type(end) for end in ends} <= {*DuplicateIdError.__subclasses__()}
    assert all(isinstance(end, DuplicateIdError) for end in ends)
    assert await users(laid_out, ids) == [1] * CHANGED


@on_supported_layouts
async def test_an_expired_session_is_replaced(
    laid_out: SQLSessionStore, layout: Layout, target: Target
) -> None:
    """In whatever partition an expired row is, ``create`` and ``change_id`` replace it."""
    ids = [SessionId.generate() for _ in range(CHANGED)]
    expired = SessionRecord({"user": 1}, timedelta(0))
    await asyncio.gather(*(laid_out.create(each, expired) for each in ids))
    live = SessionId.generate()
    await laid_out.create(live, SessionRecord({"user": 3}, HOUR))

    await asyncio.gather(
        *(laid_out.create(each, SessionRecord({"user": 2}, HOUR)) for each in ids[1:])
    )
    await laid_out.change_id(live, ids[0])

    assert await users(laid_out, ids) == [3] + [2] * (CHANGED - 1)


@on_every_layout
async def test_an_unknown_session_is_unknown(
    laid_out: SQLSessionStore, layout: Layout, target: Target
) -> None:
    """A write to a session that does not exist is an error, beside writes that succeed."""
    ids = await filled(laid_out, layout)

    ends = await asyncio.gather(
        *(laid_out.update_ttl(each, HOUR) for each in ids[:CHANGED]),
        *(laid_out.update_ttl(SessionId.generate(), HOUR) for _ in range(CHANGED)),
        return_exceptions=True,
    )

    assert ends[:CHANGED] == [None] * CHANGED
    assert all(isinstance(end, UnknownIdError) for end in ends[CHANGED:])
