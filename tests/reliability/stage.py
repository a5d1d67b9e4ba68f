"""Where a scenario is played: a folder, servers that end with it, a load, and faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, text

from sessionstore_sql import SQLSessionStore, migrate
from tests.reliability.history import Operation, Outcome, Recorder, read_history
from tests.reliability.load import STATE_SIZE
from tests.reliability.recorded import RecordedStore
from tests.reliability.workers import Target, WorkerError, Workers

RECOVERY_S = 30
"""Within which every process is served again, once the database is there."""
_CALM_S = 1.5
"""How long the load goes on undisturbed before a fault and after the last one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the database, in monotonic nanoseconds."""

    what: str
    began: int
    healed: int
    """When the database was reachable again."""
    recovered: int
    """When every process had written again."""


@dataclass
class Stage:
    """One scenario's."""

    folder: Path
    bound_s: float
    """How long a call may take at the most."""
    servers: AsyncExitStack = field(default_factory=AsyncExitStack)
    faults: list[Fault] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Complaints beside the history: processes that died, rows without a known id."""

    def stop_at_end(self, stop: Callable[[], None]) -> None:
        """Have a server stopped when the scenario is over."""
        self.servers.callback(stop)

    @asynccontextmanager
    async def load(
        self, admin: URL, targets: Sequence[Target], *, state_size: int = STATE_SIZE
    ) -> AsyncIterator[Workers]:
        """Have each target's process call its store, and load the remaining sessions at the end.

        Args:
            admin: A URL of the same database, past everything that fails.
            targets: What the stores are made with.
            state_size: Bytes of the largest states.
        """
        await migrate.upgrade(admin)
        workers = Workers(self.folder, targets, state_size)
        try:
            await workers.start()
            await asyncio.sleep(_CALM_S)
            yield workers
            await asyncio.sleep(_CALM_S)
        except WorkerError as error:
            self.complaints.append(str(error))
        finally:
            try:
                await workers.stop(within_s=self.bound_s)
            except WorkerError as error:
                self.complaints.append(str(error))
            self.operations += workers.history()
        await self._audit(admin)

    @asynccontextmanager
    async def fault(
        self, what: str, workers: Workers, *, within_s: float = RECOVERY_S
    ) -> AsyncIterator[None]:
        """Do something to the database and undo it; then wait for all processes to recover."""
        began = time.monotonic_ns()
        yield
        healed = time.monotonic_ns()
        await workers.until_answered(healed, within_s=within_s)
        self.faults.append(Fault(what, began, healed, time.monotonic_ns()))
        await asyncio.sleep(_CALM_S)

    async def _audit(self, admin: URL) -> None:
        """Load every session there ever was, list those of every user, and count the rows."""
        ids = {session_id for operation in self.operations for session_id in operation.ids}
        subjects = {each.subject for each in self.operations if each.subject is not None}
        recorder = Recorder(path := self.folder / "audit.history")
        async with SQLSessionStore(admin) as store:
            recorded = RecordedStore(store, recorder)
            found = await asyncio.gather(*map(recorded.load_session, ids))
            live = sum(loaded is not None for loaded in found)
            await asyncio.gather(*map(recorded.sessions_of, subjects))
            await recorded.delete_expired()
            async with store.engine.connect() as connection:
                count = text("SELECT count(*) FROM sessionstore_sessions")
                rows = (await connection.execute(count)).scalar_one()
        recorder.close()
        audited = read_history(path)
        self.operations += audited
        if any(operation.outcome is not Outcome.DONE for operation in audited):
            self.complaints.append("the audit could not read everything")
        if rows > live:
            self.complaints.append(f"{rows} rows, but only {live} live sessions")
