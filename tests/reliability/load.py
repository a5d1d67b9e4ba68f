"""What one process does to the store: every operation, all the time, in several roles at once.

Most sessions have one process that writes them and others that read them, also under ids that
are no more. For some, all processes are rivals.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from dataclasses import dataclass
from datetime import timedelta

from tests.reliability.board import Board
from tests.reliability.history import Outcome
from tests.reliability.recorded import RecordedStore

KEEPERS, SHORT_KEEPERS, READERS, RIVALS, LATECOMERS = 6, 2, 3, 2, 1
"""Tasks of each role in a process."""
SLOTS = KEEPERS + SHORT_KEEPERS
"""Sessions that a process keeps alive."""

STATE_SIZE = 2_000
"""Bytes of the largest states, where a scenario has no wish."""

_SHORT_TTL = timedelta(seconds=2)
_PAUSE_S = 0.02
"""At the most, and at random, between two calls of a task."""
_PAUSE_AFTER_FAILURE_S = 0.1
_ROUND_NS = 300_000_000
"""How long rivals meet at one id."""
_PATIENCE = 3
"""Unknown outcomes after which a session is given up: each doubles what may have been."""

_LIFE = ("load", "update", "update_ttl", "change_id")
_LIFE_WEIGHTS = (4, 3, 3, 1)


@dataclass
class Load:
    """The tasks of one process."""

    store: RecordedStore
    board: Board
    worker: int
    name: str
    """Of the process: another one's each time that a worker is started."""
    stopping: asyncio.Event
    state_size: int
    """Bytes of the largest states."""

    def __post_init__(self) -> None:
        self._chance = random.Random()
        self._states = itertools.count(1)

    async def run(self) -> None:
        """Call until ``stopping`` is set; what is under way then still returns."""
        first = self.worker * SLOTS
        async with asyncio.TaskGroup() as tasks:
            for slot in range(first, first + KEEPERS):
                tasks.create_task(self._keep(slot))
            for slot in range(first + KEEPERS, first + SLOTS):
                tasks.create_task(self._keep_short(slot))
            for _ in range(READERS):
                tasks.create_task(self._read())
            for _ in range(RIVALS):
                tasks.create_task(self._compete())
            for _ in range(LATECOMERS):
                tasks.create_task(self._come_late())
            tasks.create_task(self._purge())

    async def _keep(self, slot: int) -> None:
        """Begin sessions, live in them under ids that change, and end them, one after another."""
        while not self.stopping.is_set():
            session_id = self._next_id(slot)
            created = await self.store.create(session_id, self._new_state(), self._long_ttl())
            if created is not Outcome.DONE:
                await self._pause(created)
                continue
            patience = _PATIENCE
            for _ in range(self._chance.randint(5, 40)):
                (name,) = self._chance.choices(_LIFE, _LIFE_WEIGHTS)
                if name == "load":
                    await self.store.load(session_id)
                    outcome = Outcome.DONE
                elif name == "update":
                    outcome = await self.store.update(
                        session_id, self._new_state(), self._long_ttl()
                    )
                elif name == "update_ttl":
                    outcome = await self.store.update_ttl(session_id, self._long_ttl())
                else:
                    old_id, session_id = session_id, self._next_id(slot)
                    outcome = await self.store.change_id(old_id, session_id)
                    if not outcome.is_answer and await self.store.load(session_id) is None:
                        session_id = old_id
                await self._pause(outcome)
                patience -= outcome is Outcome.UNKNOWN
                if outcome is Outcome.UNKNOWN_ID or patience == 0 or self.stopping.is_set():
                    break
            if self._chance.random() < 1 / 2:
                outcome = await self.store.delete(session_id)
            else:
                outcome = await self.store.update_ttl(session_id, timedelta(0))
            await self._pause(outcome)

    async def _keep_short(self, slot: int) -> None:
        """Keep sessions alive that would expire at once if an extension was lost, and be purged."""
        while not self.stopping.is_set():
            session_id = self._next_id(slot)
            outcome = await self.store.create(session_id, self._new_state(), _SHORT_TTL)
            patience = _PATIENCE
            for _ in range(self._chance.randint(4, 12)):
                await self._pause(outcome)
                await asyncio.sleep(self._chance.uniform(0.1, 0.6))
                outcome = await self.store.update_ttl(session_id, _SHORT_TTL)
                patience -= outcome is Outcome.UNKNOWN
                if outcome is Outcome.UNKNOWN_ID or patience == 0 or self.stopping.is_set():
                    break

    async def _read(self) -> None:
        """Read sessions of all processes, at their present id and at earlier ones."""
        while not self.stopping.is_set():
            slots = self._chance.choices(range(self.board.slots), k=self._chance.choice([1, 1, 8]))
            await asyncio.gather(*(self.store.load(self._some_id(slot)) for slot in slots))
            await self._pause()

    async def _compete(self) -> None:
        """Want the same as everybody else: create, rotate and delete at one id."""
        me = f"{self.name}-{self._chance.getrandbits(32):x}"
        while not self.stopping.is_set():
            meeting = f"meeting/{time.monotonic_ns() // _ROUND_NS}"
            what = self._chance.choice(["create", "create", "take", "swap", "delete", "load"])
            outcome = Outcome.DONE
            if what == "create":
                outcome = await self.store.create(meeting, self._new_state(), self._long_ttl())
            elif what == "take":
                outcome = await self.store.change_id(meeting, f"{meeting}/{me}")
            elif what == "swap":
                outcome = await self.store.change_id(f"{meeting}/{me}", meeting)
            elif what == "delete":
                outcome = await self.store.delete(meeting)
            else:
                await self.store.load(meeting)
            await self._pause(outcome)

    async def _come_late(self) -> None:
        """Write to sessions that are no more, as requests do that were slow."""
        while not self.stopping.is_set():
            slot = self._chance.randrange(self.board.slots)
            generation = self.board.generation(slot) - self._chance.randint(1, 3)
            outcome = Outcome.DONE
            if generation > 0:
                session_id = _id_of(slot, generation)
                if self._chance.random() < 1 / 2:
                    outcome = await self.store.update(
                        session_id, self._new_state(), self._long_ttl()
                    )
                else:
                    outcome = await self.store.update_ttl(session_id, self._long_ttl())
            await self._pause(outcome)

    async def _purge(self) -> None:
        while not self.stopping.is_set():
            outcome = await self.store.delete_expired(self._chance.choice([None, 1, 20]))
            await self._pause(outcome)
            await asyncio.sleep(self._chance.uniform(0, 0.2))

    async def _pause(self, outcome: Outcome = Outcome.DONE) -> None:
        longest = _PAUSE_S if outcome.is_answer else _PAUSE_AFTER_FAILURE_S
        await asyncio.sleep(self._chance.uniform(0, longest))

    def _next_id(self, slot: int) -> str:
        generation = self.board.generation(slot) + 1
        self.board.set_generation(slot, generation)
        return _id_of(slot, generation)

    def _some_id(self, slot: int) -> str:
        generation = self.board.generation(slot) - self._chance.choice([0, 0, 0, 1, 2, 5])
        return _id_of(slot, max(1, generation))

    def _new_state(self) -> str:
        size = self._chance.randint(0, self.state_size)
        return f"{self.name}-{next(self._states)}-{size}"

    def _long_ttl(self) -> timedelta:
        # So far apart that the remaining life tells which write came last.
        return timedelta(minutes=self._chance.randint(60, 6_000))


def _id_of(slot: int, generation: int) -> str:
    return f"{slot}/{generation}"
