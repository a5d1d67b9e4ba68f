"""The operations as calls that are answered together with those that come at the same time.

How calls wait for each other is in ``lanes``; what a batch asks of a database, in its dialect.
"""

from __future__ import annotations

import asyncio
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from sessionstore_sql.dialects.base import Row
from sessionstore_sql.errors import DatabaseError, DuplicateIdError, UnknownIdError
from sessionstore_sql.execution import Effect
from sessionstore_sql.lanes import CreateLane, Lane, LoadLane
from sessionstore_sql.operations import as_loaded, microseconds
from sessionstore_sql.schema import key_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from datetime import timedelta

    from sqlalchemy import Connection

    from sessionstore_sql.calls import DirectCalls, Loaded
    from sessionstore_sql.dialects.base import Batches
    from sessionstore_sql.execution import PooledExecutor
    from sessionstore_sql.records import SessionId

REFUSED = False
"""The answer to a write that has changed nothing: its id is unknown, or a duplicate."""
Written: TypeAlias = "bool | None"

_Write: TypeAlias = "Callable[[Connection, Sequence[Row]], Collection[bytes]]"


class CoalescedCalls:
    """Calls that are answered together with those that come at the same time."""

    def __init__(self, direct: DirectCalls, executor: PooledExecutor, batches: Batches) -> None:
        self._direct = direct
        self._executor = executor
        self._batches = batches
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lanes] = WeakKeyDictionary()

    async def create(self, session_id: SessionId, state: bytes, ttl: timedelta) -> None:
        """Insert, or replace an expired session."""
        row = Row(key_of(session_id), microseconds(ttl), state)
        alone = partial(self._direct.create, session_id, state, ttl)
        if await self._of_this_loop().create.ask(row, alone) is REFUSED:
            raise DuplicateIdError(session_id)

    async def update(self, session_id: SessionId, state: bytes, ttl: timedelta) -> None:
        """Replace state and deadline of a live session."""
        row = Row(key_of(session_id), microseconds(ttl), state)
        alone = partial(self._direct.update, session_id, state, ttl)
        if await self._of_this_loop().update.ask(row, alone) is REFUSED:
            raise UnknownIdError(session_id)

    async def update_ttl(self, session_id: SessionId, ttl: timedelta) -> None:
        """Replace the deadline of a live session."""
        row = Row(key_of(session_id), microseconds(ttl))
        alone = partial(self._direct.update_ttl, session_id, ttl)
        if await self._of_this_loop().update_ttl.ask(row, alone) is REFUSED:
            raise UnknownIdError(session_id)

    def load(self, session_id: SessionId) -> Awaitable[Loaded]:
        """Return state and remaining life of a live session."""
        alone = partial(self._direct.load, session_id)
        return self._of_this_loop().load.ask(Row(key_of(session_id)), alone)

    async def delete(self, session_id: SessionId) -> None:
        """Remove a live session."""
        alone = partial(self._direct.delete, session_id)
        row = Row(key_of(session_id))
        if await self._of_this_loop().delete.ask(row, alone) is REFUSED:
            raise UnknownIdError(session_id)

    async def change_id(self, old_id: SessionId, new_id: SessionId) -> None:
        """Give a live session another key; alone."""
        await self._direct.change_id(old_id, new_id)

    async def delete_expired(self, batch_size: int | None) -> int:
        """Remove expired sessions; alone."""
        return await self._direct.delete_expired(batch_size)

    async def drain(self) -> None:
        """Return when every call that waits in this event loop has its answer."""
        lanes = self._lanes.get(asyncio.get_running_loop())
        if lanes is not None:
            for lane in lanes:
                await lane.drain()

    def _of_this_loop(self) -> _Lanes:
        loop = asyncio.get_running_loop()
        lanes = self._lanes.get(loop)
        if lanes is None:
            # An alarm that never rang keeps its loop alive, and so the entry.
            for ended in [each for each in self._lanes if each.is_closed()]:
                del self._lanes[ended]
            lanes = self._lanes[loop] = self._make_lanes()
        return lanes

    def _make_lanes(self) -> _Lanes:
        batches, at_once = self._batches, self._executor.dialect.statements_at_once
        lanes = _Lanes(
            create=CreateLane(partial(self._create, batches.create), at_once=at_once),
            update=Lane(partial(self._change, batches.update), at_once=at_once),
            update_ttl=Lane(partial(self._change, batches.update_ttl), at_once=at_once),
            load=LoadLane(self._load, at_once=at_once),
            delete=Lane(partial(self._change, batches.delete), at_once=at_once),
        )
        if self._executor.observer is not None:
            for operation, lane in lanes._asdict().items():
                lane.observer = self._executor.observer.of_lane(operation)
        return lanes

    async def _load(self, rows: Sequence[Row]) -> dict[bytes, Loaded]:
        keys = [row.key for row in rows]
        answers: dict[bytes, Loaded] = dict.fromkeys(keys)
        found = await self._executor.run(partial(self._batches.load, keys=keys), Effect.READ)
        for key, state, remaining in found:
            answers[bytes(key)] = as_loaded(state, remaining)
        return answers

    async def _create(self, write: _Write, rows: Sequence[Row]) -> dict[bytes, Written]:
        return await self._write(write, rows, Effect.ONCE, refuses_live=True)

    async def _change(self, write: _Write, rows: Sequence[Row]) -> dict[bytes, Written]:
        return await self._write(write, rows, Effect.REPEATABLE, refuses_live=False)

    async def _write(
        self, write: _Write, rows: Sequence[Row], effect: Effect, *, refuses_live: bool
    ) -> dict[bytes, Written]:
        # In the order of the keys, as every batch locks them.
        ordered = sorted(rows, key=attrgetter("key"))
        keys = await self._executor.run(
            lambda connection: write(connection, ordered),
            effect,
            lambda keys: len(keys) == len(ordered),
        )
        written = dict.fromkeys(map(bytes, keys))
        left = [row.key for row in ordered if row.key not in written]
        return written | await self._refused(left, refuses_live=refuses_live, is_all=not written)

    async def _refused(
        self, left: Sequence[bytes], *, refuses_live: bool, is_all: bool
    ) -> dict[bytes, Written]:
        """Return the answer to those that are refused; a look-up that fails refuses nobody.

        It is no part of the write, which is committed by then: what has been written is not to
        be written again, nor called a failure.
        """
        if not left:
            return {}
        look_up = partial(self._batches.live, keys=left)
        try:
            live = set(map(bytes, await self._executor.run(look_up, Effect.READ)))
        except DatabaseError:
            if is_all:
                raise
            return {}
        return {key: REFUSED for key in left if (key in live) is refuses_live}


class _Lanes(NamedTuple):
    create: Lane[Written]
    update: Lane[Written]
    update_ttl: Lane[Written]
    load: LoadLane
    delete: Lane[Written]
