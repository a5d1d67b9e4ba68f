"""Does what a response has to do to a session, whatever other requests do to it meanwhile."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sessionstore_sql.accounts import UNCHANGED
from sessionstore_sql.errors import (
    ConflictError,
    DatabaseError,
    DeserializationError,
    SerializationError,
    UnknownIdError,
)
from sessionstore_sql.web import tombstones
from sessionstore_sql.web.changes import Snapshot
from sessionstore_sql.web.counters import counters
from sessionstore_sql.web.decision import Cookie, Facts, Found, Lost, Step, Wish, decide
from sessionstore_sql.web.work import Outcome
from sessionstore_sql.web.writing import Writer

if TYPE_CHECKING:
    from sessionstore_sql.records import SessionId
    from sessionstore_sql.web.decision import Decision
    from sessionstore_sql.web.loaded import Loaded
    from sessionstore_sql.web.options import SessionOptions
    from sessionstore_sql.web.storage import AccountStorage, PlainStorage
    from sessionstore_sql.web.work import Work

logger = logging.getLogger("sessionstore_sql.lifecycle")

_MERGES = 3
"""How often changes are put onto a newer state before they are stored unconditionally."""


async def save(
    storage: AccountStorage | PlainStorage, options: SessionOptions, work: Work
) -> Outcome:
    """Do what a response has to do to its session.

    If the caller is cancelled, as frameworks do when the client disconnects, it is done
    nevertheless: a login or logout consists of several statements.

    Raises:
        SerializationError: The state cannot be stored, or is too large. Nothing was changed.
        ConflictError: Another request has changed the session, and ``on_conflict`` is
            ``"error"``. Nothing was changed.
        DuplicateIdError: A generated id was taken: the machine's randomness is broken.
        DatabaseError: The database failed.
    """
    saving = _Saving(storage, options, work)
    decision = saving.decide()
    if not decision.steps:
        return await saving.carry_out(decision)
    task = asyncio.create_task(saving.run(decision))
    _running.add(task)
    task.add_done_callback(_running.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_log_failure)
        raise


_running: set[asyncio.Task[Outcome]] = set()
"""References that keep the tasks from the garbage collector."""


def _log_failure(task: asyncio.Task[Outcome]) -> None:
    error = None if task.cancelled() else task.exception()
    if task.cancelled() or error is not None:
        logger.error(
            "the session of a request that was cancelled was not stored: %s",
            "the event loop ended" if error is None else error,
        )


class _Saving:
    def __init__(
        self, storage: AccountStorage | PlainStorage, options: SessionOptions, work: Work
    ) -> None:
        self._storage = storage
        self._options = options
        self._work = work
        self._writer = Writer(storage, options, work)
        self._found = work.found
        self._lost: Lost | None = None
        self._conflicts = 0

    def decide(self) -> Decision:
        """Return what has to be done, by all that is known."""
        return decide(
            Facts(
                found=self._found,
                wish=self._work.wish,
                changed=self._writer.changed,
                empty=not (self._writer.state or self._work.keeps_empty),
                new_max_age=self._work.idle_ttl is not UNCHANGED,
                renewal_due=self._writer.is_renewal_due(),
                lost=self._lost,
            )
        )

    async def run(self, decision: Decision) -> Outcome:
        """Carry out a decision, and those that follow from what is found out on the way."""
        while True:
            loaded = self._writer.loaded
            try:
                if Step.LOOK_FOR_TOMBSTONE not in decision.steps:
                    return await self.carry_out(decision)
                self._found = await self._look_for_tombstones()
            except UnknownIdError:
                if loaded is None or self._lost is not None:
                    raise
                self._lost = await self._fate_of(loaded.session_id)
            except ConflictError:
                if loaded is None or self._options.on_conflict == "error":
                    await self._writer.withdraw()
                    raise
                await self._merge(loaded)
            except SerializationError:
                await self._writer.withdraw()
                raise
            decision = self.decide()

    async def carry_out(self, decision: Decision) -> Outcome:
        """Do the steps of a decision."""
        if not decision.steps and self._lost is not None:
            logger.info("a session ended while a request was using it: nothing was stored")
            return Outcome(decision.cookie, lost=self._lost)
        if not decision.steps and self._found is Found.ROTATED:
            return Outcome(decision.cookie, lost=Lost.ROTATED)
        for step in decision.steps:
            if not await self._writer.do(step, renews=decision.cookie is Cookie.SET):
                return Outcome(Cookie.KEEP, lost=self._lost)
        return self._writer.outcome(decision.cookie)

    async def _look_for_tombstones(self) -> Found:
        for session_id in self._work.unknown_ids:
            if await tombstones.was_followed_lately(self._storage.backend, session_id):
                logger.info("a request came with an id that was just rotated: nothing was stored")
                return Found.ROTATED
        return Found.ENDED

    async def _fate_of(self, session_id: SessionId) -> Lost:
        try:
            fate = await tombstones.fate_of(
                self._storage.backend,
                session_id,
                announced_alone=self._writer.announced_alone is True,
            )
        except (DatabaseError, DeserializationError) as error:
            logger.warning("it is not known why a session ended; its cookie is kept: %s", error)
            return Lost.UNCERTAIN
        loaded = self._work.loaded
        if fate is Lost.ENDED and loaded is not None and loaded.elapsed() >= tombstones.LIFETIME:
            return Lost.UNCERTAIN  # A tombstone would have expired.
        return fate

    async def _merge(self, loaded: Loaded) -> None:
        """Load the session again, and put this request's changes onto what it is now."""
        self._conflicts += 1
        newer = await self._storage.load(loaded.session_id)
        if newer is None:
            self._lost = await self._fate_of(loaded.session_id)
            return
        writer = self._writer
        writer.loaded = newer
        if self._work.wish is Wish.SWITCH:
            return
        writer.state = self._work.changes.onto(newer.state)
        writer.changed = bool(Snapshot(newer.state).changes_to(writer.state))
        counters.merged += 1
        if self._conflicts > _MERGES:
            writer.checked = False
            counters.overwritten += 1
            logger.warning(
                "other requests kept changing a session while it was being stored: after %d "
                "attempts, this request's state replaces theirs",
                self._conflicts,
            )
