"""The interface of a peer: a store that is opened on a database and then measured."""

from __future__ import annotations

import abc
import asyncio
import gc
import statistics
import time
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.workload import STATE, Operation, new_session_id, session_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from benchmarks.databases import Target


class NotRunError(Exception):
    """A peer cannot run; the message says why."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The measurements of one slice of one peer."""

    operations: int
    seconds: float
    cpu_seconds: float
    """CPU seconds of the client: all its threads, or its process."""
    p50: float
    """Latencies in seconds."""
    p99: float

    @property
    def throughput(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds

    @property
    def cpu_per_operation(self) -> float:
        """CPU seconds of the client per operation."""
        return self.cpu_seconds / self.operations


def slice_of(latencies: Sequence[float], seconds: float, cpu_seconds: float) -> Slice:
    """Return the slice with these operations."""
    p50, p99 = percentiles(latencies)
    return Slice(len(latencies), seconds, cpu_seconds, p50, p99)


def percentiles(latencies: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    if len(latencies) < 2:  # noqa: PLR2004  # quantiles needs two
        return (latencies[0], latencies[0]) if latencies else (0.0, 0.0)
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return cuts[49], cuts[98]


class Peer(abc.ABC):
    """A store to be measured.

    ``open`` creates its table and its sessions. ``measure`` is then called many times, in turn with
    that of other peers. Between the calls, the peer does no work.
    """

    name: ClassVar[str]
    databases: ClassVar[frozenset[str]]
    operations: ClassVar[frozenset[Operation]] = frozenset(Operation)
    description: ClassVar[str]
    """The configuration, for the report."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @abc.abstractmethod
    async def open(self) -> None:
        """Create the table, the sessions and the connections.

        Raises:
            NotRunError: The peer is not installed, or does not support the database.
        """

    @abc.abstractmethod
    async def measure(self, operation: Operation, callers: int, seconds: float) -> Slice:
        """Let ``callers`` callers repeat ``operation`` for ``seconds``."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Release the resources of ``open``."""

    @abc.abstractmethod
    async def verify(self) -> None:
        """Raise unless the operations work."""

    async def describe(self) -> dict[str, str]:
        """Return versions and settings for the report."""
        return {}


@dataclass
class Sessions:
    """The current ids of a peer's sessions; rotations change them."""

    size: int
    _changed: dict[int, str] = field(default_factory=dict)

    def __getitem__(self, number: int) -> str:
        return self._changed.get(number) or session_id(number)

    def __setitem__(self, number: int, value: str) -> None:
        self._changed[number] = value

    def all(self) -> list[str]:
        """Return the ids as a list, for measured loops."""
        return [self[number] for number in range(self.size)]


class AsyncPeer(Peer):
    """A store with an asynchronous interface, called in this process."""

    async def measure(self, operation: Operation, callers: int, seconds: float) -> Slice:
        """Let tasks in this event loop repeat ``operation``."""
        if not hasattr(self, "ids"):
            self.ids = Sessions(self.target.sessions).all()
        call = self._caller_of(operation, callers)
        latencies: list[float] = []
        clock = time.perf_counter
        gc.collect()
        cpu, started = time.process_time(), clock()
        end = started + seconds

        async def caller(number: int) -> None:
            random = Random(f"{self.name} {number} {started}")
            again = call(number, random)
            now = clock()
            while now < end:
                await again()
                then, now = now, clock()
                latencies.append(now - then)

        await asyncio.gather(*(caller(number) for number in range(callers)))
        return slice_of(latencies, clock() - started, time.process_time() - cpu)

    def _caller_of(
        self, operation: Operation, callers: int
    ) -> Callable[[int, Random], Callable[[], Awaitable[Any]]]:
        """Return a factory of the call that each caller repeats, by its number."""
        ids, size = self.ids, self.target.sessions
        known: dict[Operation, Callable[[str], Awaitable[Any]]] = {
            Operation.LOAD: self.load,
            Operation.TOUCH: self.touch,
            Operation.UPDATE: self.update,
            Operation.REQUEST: self.request,
        }

        def caller(number: int, random: Random) -> Callable[[], Awaitable[Any]]:
            draw = random.random
            if operation is Operation.CREATE:
                return lambda: self.create(new_session_id())
            if operation is Operation.ROTATE:
                # Each caller has its own sessions, so that no two rotate the same one.
                mine = range(number % size, size, callers)

                async def rotate() -> None:
                    index = mine[int(draw() * len(mine))]
                    old, new = ids[index], new_session_id()
                    ids[index] = new
                    await self.rotate(old, new)

                return rotate
            call = known[operation]
            return lambda: call(ids[int(draw() * size)])

        return caller

    @abc.abstractmethod
    async def load(self, session_id: str) -> Any:
        """Return the decoded state, or a false value if there is none."""

    @abc.abstractmethod
    async def touch(self, session_id: str) -> None:
        """Extend a session."""

    @abc.abstractmethod
    async def update(self, session_id: str) -> None:
        """Replace state and deadline."""

    @abc.abstractmethod
    async def create(self, session_id: str) -> None:
        """Store a new session."""

    @abc.abstractmethod
    async def rotate(self, old: str, new: str) -> None:
        """Move a session to a new id."""

    async def request(self, session_id: str) -> None:
        """Load and then extend a session, as a web request does."""
        await self.load(session_id)
        await self.touch(session_id)

    async def verify(self) -> None:
        """Raise unless loads show the effect of each operation."""
        ids = (f"verify-{number:025}" for number in count())
        first, second = next(ids), next(ids)
        assert not await self.load(first), "an unknown session was found"
        await self.create(first)
        for act in (self.touch, self.update, self.request):
            await act(first)
            self.require_state(await self.load(first))
        await self.rotate(first, second)
        assert not await self.load(first), "the old id still works"
        self.require_state(await self.load(second))
        self.require_state(await self.load(session_id(self.target.sessions - 1)))

    def require_state(self, state: Any) -> None:
        """Raise unless ``state`` is what was stored."""
        assert state == STATE, "a load returned another state than was stored"
