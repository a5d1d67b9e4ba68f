"""What one process does to the store: every operation, all the time, in several roles at once.

Most sessions have one process that writes them and others that read them, also under ids that
are no more. For some ids, all processes compete. What users do who are signed in is in ``members``.
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
from tests.reliability.members import administer, visit
from tests.reliability.recorded import RecordedStore

KEEPERS, SHORT_KEEPERS, MEMBERS, READERS, RIVALS, LATECOMERS = 6, 2, 4, 3, 2, 1
"""Tasks of each role in a process."""
SLOTS = KEEPERS + SHORT_KEEPERS + MEMBERS
"""Sessions that a process keeps alive."""

STATE_SIZE = 2_000
"""Bytes of the largest states, where a scenario has no wish."""

_SHORT_TTL = timedelta(seconds=2)
_PAUSE_S = 0.02
"""At the most, and at random, between two calls of a task."""
_PAUSE_AFTER_FAILURE_S = 0.1
_ROUND_NS = 300_000_000
"""Seconds for which processes compete for one id."""
_PATIENCE = 3
"""Unknown outcomes after which a session is given up: each doubles what may have been."""

_CONTESTS = ("create", "create", "sign in", "take", "take and sign in", "swap", "delete", "load")
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
        self.chance = random.Random()
        self._states = itertools.count(1)

    async def run(self) -> None:
        """Call until ``stopping`` is set; running calls still return."""
        first = self.worker * SLOTS
        async with asyncio.TaskGroup() as tasks:
            for slot in range(first, first + KEEPERS):
                tasks.create_task(self._keep(slot))
            for slot in range(first + KEEPERS, first + KEEPERS + SHORT_KEEPERS):
                tasks.create_task(self._keep_short(slot))
            for slot in range(first + KEEPERS + SHORT_KEEPERS, first + SLOTS):
                tasks.create_task(visit(self, slot))
            tasks.create_task(administer(self))
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
            session_id = self.next_id(slot)
            created = await self.store.create(session_id, self.new_state(), self.long_ttl())
            if created is not Outcome.DONE:
                await self.pause(created)
                continue
            patience = _PATIENCE
            for _ in range(self.chance.randint(5, 40)):
                (name,) = self.chance.choices(_LIFE, _LIFE_WEIGHTS)
                if name == "load":
                    await self.store.load(session_id)
                    outcome = Outcome.DONE
                elif name == "update":
                    outcome = await self.store.update(session_id, self.new_state(), self.long_ttl())
                elif name == "update_ttl":
                    outcome = await self.store.update_ttl(session_id, self.long_ttl())
                else:
                    old_id, session_id = session_id, self.next_id(slot)
                    outcome = await self.store.change_id(old_id, session_id)
                    if not await self.is_moved(session_id, outcome):
                        session_id = old_id
                await self.pause(outcome)
                patience -= outcome is Outcome.UNKNOWN
                if outcome is Outcome.UNKNOWN_ID or patience == 0 or self.stopping.is_set():
                    break
            if self.chance.random() < 1 / 2:
                outcome = await self.store.delete(session_id)
            else:
                outcome = await self.store.update_ttl(session_id, timedelta(0))
            await self.pause(outcome)

    async def _keep_short(self, slot: int) -> None:
        """Keep sessions alive that would expire at once if an extension was lost, and be purged."""
        while not self.stopping.is_set():
            session_id = self.next_id(slot)
            outcome = await self.store.create(session_id, self.new_state(), _SHORT_TTL)
            patience = _PATIENCE
            for _ in range(self.chance.randint(4, 12)):
                await self.pause(outcome)
                await asyncio.sleep(self.chance.uniform(0.1, 0.6))
                outcome = await self.store.update_ttl(session_id, _SHORT_TTL)
                patience -= outcome is Outcome.UNKNOWN
                if outcome is Outcome.UNKNOWN_ID or patience == 0 or self.stopping.is_set():
                    break

    async def _read(self) -> None:
        """Read sessions of all processes, at their present id and at earlier ones."""
        while not self.stopping.is_set():
            slots = self.chance.choices(range(self.board.slots), k=self.chance.choice([1, 1, 8]))
            load = self.chance.choice([self.store.load, self.store.load_session])
            await asyncio.gather(*(load(self._some_id(slot)) for slot in slots))
            await self.pause()

    async def _compete(self) -> None:
        """Compete with all other tasks: create, sign in, rotate and delete one id."""
        me = f"{self.name}-{self.chance.getrandbits(32):x}"
        while not self.stopping.is_set():
            meeting = f"meeting/{time.monotonic_ns() // _ROUND_NS}"
            mine = f"{meeting}/{me}"
            what = self.chance.choice(_CONTESTS)
            outcome = Outcome.DONE
            if what == "create":
                outcome = await self.store.create(meeting, self.new_state(), self.long_ttl())
            elif what == "sign in":
                outcome = await self._sign_in(self.chance.choice([None, mine]), meeting)
            elif what == "take":
                outcome = await self.store.change_id(meeting, mine)
            elif what == "take and sign in":
                outcome = await self._sign_in(meeting, mine)
            elif what == "swap":
                outcome = await self.store.change_id(mine, meeting)
            elif what == "delete":
                outcome = await self.store.delete(meeting)
            else:
                await self.store.load(meeting)
            await self.pause(outcome)

    async def _sign_in(self, old_id: str | None, new_id: str) -> Outcome:
        """Sign in a user who does it only once."""
        state = self.new_state()
        return await self.store.sign_in(
            old_id, new_id, state, self.long_ttl(), subject=f"user of {state}"
        )

    async def _come_late(self) -> None:
        """Write to sessions that are no more, as requests do that were slow."""
        while not self.stopping.is_set():
            slot = self.chance.randrange(self.board.slots)
            generation = self.board.generation(slot) - self.chance.randint(1, 3)
            outcome = Outcome.DONE
            what = self.chance.choice(["update", "update_ttl", "update_if"])
            if what == "update_if":
                outcome = await self._change_loaded(self._some_id(slot))
            elif generation > 0:
                session_id = _id_of(slot, generation)
                if what == "update":
                    outcome = await self.store.update(session_id, self.new_state(), self.long_ttl())
                else:
                    outcome = await self.store.update_ttl(session_id, self.long_ttl())
            await self.pause(outcome)

    async def _change_loaded(self, session_id: str) -> Outcome:
        """Write what was loaded a while before, unless the session has changed meanwhile."""
        loaded = await self.store.load_session(session_id)
        if loaded is None:
            return Outcome.DONE
        await asyncio.sleep(self.chance.uniform(0, 0.1))
        state, ttl = self.new_state(), self.long_ttl()
        return await self.store.update_if(session_id, state, ttl, loaded.state)

    async def _purge(self) -> None:
        while not self.stopping.is_set():
            outcome = await self.store.delete_expired(self.chance.choice([None, 1, 20]))
            await self.pause(outcome)
            await asyncio.sleep(self.chance.uniform(0, 0.2))

    async def is_moved(self, new_id: str, outcome: Outcome) -> bool:
        """Return whether a session has ``new_id``, after a rotation with this outcome."""
        if outcome.is_answer:
            return outcome is Outcome.DONE
        return await self.store.load(new_id) is not None

    async def pause(self, outcome: Outcome = Outcome.DONE) -> None:
        """Wait for a moment, longer after a failure."""
        longest = _PAUSE_S if outcome.is_answer else _PAUSE_AFTER_FAILURE_S
        await asyncio.sleep(self.chance.uniform(0, longest))

    def next_id(self, slot: int) -> str:
        """Announce a new id of a slot, and return it."""
        generation = self.board.generation(slot) + 1
        self.board.set_generation(slot, generation)
        return _id_of(slot, generation)

    def _some_id(self, slot: int) -> str:
        generation = self.board.generation(slot) - self.chance.choice([0, 0, 0, 1, 2, 5])
        return _id_of(slot, max(1, generation))

    def new_state(self) -> str:
        """Return the name of a state that nothing else has."""
        size = self.chance.randint(0, self.state_size)
        return f"{self.name}-{next(self._states)}-{size}"

    def long_ttl(self) -> timedelta:
        """Return some hours."""
        # So far apart that the remaining life tells which write came last.
        return timedelta(minutes=self.chance.randint(60, 6_000))


def _id_of(slot: int, generation: int) -> str:
    return f"{slot}/{generation}"
