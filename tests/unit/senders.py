"""Senders that stand in for the database: each statement waits until the test releases it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.sql.batching import Batcher
from sessionstore_sql.sql.dialects.base import Row
from sessionstore_sql.sql.operations import Loaded

LONG_TTL = 3_600_000_000


class GatedSender:
    """A sender whose statements all end when its gate opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.started: list[list[str]] = []
        """The keys of each statement, in the order in which they were sent."""
        self.ones: list[str] = []
        """The keys that were sent in statements of their own."""
        self.batches: list[list[str]] = []
        self.states: list[bytes] = []
        """The states that were sent."""
        self.unanswered: set[str] = set()
        """Keys that a batch does not answer, as if their rows were locked."""
        self.bad: set[str] = set()
        """Keys that make a statement fail."""
        self.bad_states: set[bytes] = set()
        """States that make a statement fail."""
        self.batch_error: BaseException | None = None
        """Raised by every batch."""

    async def one(self, row: Row) -> Any:
        """Send one row."""
        name = row.key.decode()
        self.ones.append(name)
        await self._run([row])
        if name in self.bad or row.state in self.bad_states:
            raise DatabaseError(f"{name} is bad")
        return self.answer(name, alone=True)

    async def many(self, rows: Sequence[Row]) -> Mapping[bytes, Any]:
        """Send a batch."""
        names = [row.key.decode() for row in rows]
        self.batches.append(names)
        await self._run(rows)
        if self.batch_error is not None:
            raise self.batch_error
        if self.bad & set(names) or self.bad_states & {row.state for row in rows}:
            raise DatabaseError("a row is bad")
        return {
            name.encode(): self.answer(name, alone=False)
            for name in names
            if name not in self.unanswered
        }

    def answer(self, name: str, *, alone: bool) -> Any:
        """Return the answer for a key."""
        return f"{name} alone" if alone else f"{name} batched"

    async def _run(self, rows: Sequence[Row]) -> None:
        self.started.append([row.key.decode() for row in rows])
        self.states += [row.state for row in rows]
        await self.wait()

    async def wait(self) -> None:
        """Wait until the statement may end."""
        await self.gate.wait()


class SteppedSender(GatedSender):
    """A sender whose statements end one by one, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: list[asyncio.Event] = []

    async def wait(self) -> None:
        """Wait until the statement may end."""
        end = asyncio.Event()
        self._ends.append(end)
        await end.wait()

    async def end(self, number: int) -> None:
        """End one statement, counted from zero in the order of their start."""
        self._ends[number].set()
        await settle()

    async def end_all(self) -> None:
        """End all statements, including those that start meanwhile."""
        for end in self._ends:
            end.set()
            await settle()


class LoadSender(SteppedSender):
    """A sender that loads states of the given sizes. Other keys have no session."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}

    def answer(self, name: str, *, alone: bool) -> Loaded | None:
        """Return the columns of a row."""
        return (b"x" * self.sizes[name], LONG_TTL) if name in self.sizes else None


def ask(batcher: Batcher[Any], name: str, state: bytes = b"", ttl: int = 0) -> asyncio.Task[Any]:
    """Make a call in a task of its own."""

    async def call() -> Any:
        return await batcher.ask(Row(name.encode(), ttl, state))

    return asyncio.ensure_future(call())


def ask_all(batcher: Batcher[Any], names: Sequence[str]) -> list[asyncio.Task[Any]]:
    """Make a call for each name, in tasks of their own."""
    return [ask(batcher, name) for name in names]


async def answers_to(calls: Sequence[asyncio.Task[Any]], *, errors: bool = False) -> list[Any]:
    """Return the answers. A call that gets none fails the test instead of blocking it."""
    async with asyncio.timeout(10):
        return await asyncio.gather(*calls, return_exceptions=errors)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


def names_of(prefix: str, count: int) -> list[str]:
    """Return so many different names."""
    return [f"{prefix}{number}" for number in range(count)]


class Clock:
    """The event loop's clock, which a test can advance."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._time = loop.time
        self._ahead = 0.0

    def time(self) -> float:
        """Return the time in seconds."""
        return self._time() + self._ahead

    async def advance(self, seconds: float) -> None:
        """Run everything that is due by then."""
        self._ahead += seconds
        await settle()
