"""pgbench: prepared statements from C, without processing the results."""

from __future__ import annotations

import asyncio
import resource
import shutil
import tempfile
from pathlib import Path

from benchmarks.databases import execute
from benchmarks.peer import NotRunError, Peer, Slice, percentiles
from benchmarks.seeding import create_session_table, fill_session_table, postgresql_key
from benchmarks.workload import TTL_MICROSECONDS, Operation

_NOW = "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint"
_SAMPLED = 0.1
"""Share of the transactions whose latency is logged; logging all reduces throughput."""


class PgbenchPeer(Peer):
    """pgbench with as many connections as the other pools; more were slower.

    No caller waits for a connection, so the latencies are those of statements only.
    """

    name = "pgbench"
    databases = frozenset({"postgresql"})
    operations = frozenset({Operation.LOAD, Operation.TOUCH})
    description = (
        "-M prepared, one thread, connections = min(callers, pool); whole seconds; "
        "its latency includes no queue"
    )
    table = "bench_pgbench"

    async def open(self) -> None:
        """Create the table and the scripts."""
        program = shutil.which("pgbench")
        if program is None:
            raise NotRunError("pgbench is not installed")
        self.program = program
        await create_session_table(self.target, self.table)
        await fill_session_table(self.target, self.table, self.target.sessions)
        self.folder = tempfile.TemporaryDirectory(prefix="sessionstore-pgbench-")
        mine = f"id = {postgresql_key(':n')}"
        live = f"deadline > {_NOW}"
        deadline = f"{_NOW} + {TTL_MICROSECONDS}"
        self._write(
            Operation.LOAD,
            f"SELECT state, deadline - {_NOW} FROM {self.table} WHERE {mine} AND {live};",
        )
        self._write(
            Operation.TOUCH,
            f"UPDATE {self.table} SET deadline = {deadline} WHERE {mine} AND {live};",
        )

    def _write(self, operation: Operation, statement: str) -> None:
        draw = f"\\set n random(0, {self.target.sessions - 1})"
        self._script(operation).write_text(f"{draw}\n{statement}\n", encoding="utf-8")

    def _script(self, operation: Operation) -> Path:
        return Path(self.folder.name) / f"{operation.value}.sql"

    async def close(self) -> None:
        """Remove the scripts."""
        self.folder.cleanup()

    async def describe(self) -> dict[str, str]:
        """Return the version."""
        return {"pgbench": (await self._run("--version")).strip()}

    async def verify(self) -> None:
        """Raise unless the scripts find sessions."""
        script = self._script(Operation.LOAD).read_text(encoding="utf-8")
        found = await execute(self.target.url, script.splitlines()[1].replace(":n", "0"))
        assert found, "the session was not found"

    async def measure(self, operation: Operation, callers: int, seconds: float) -> Slice:
        """Run pgbench for one slice, rounded up to whole seconds."""
        log = Path(self.folder.name) / "log"
        before = _children_cpu()
        output = await self._run(
            *("-n", "-M", "prepared", "-j", "1", "-c", str(min(callers, self.target.pool))),
            *("-T", str(max(1, round(seconds))), "-f", str(self._script(operation))),
            *("-l", f"--sampling-rate={_SAMPLED}", f"--log-prefix={log}"),
            self.target.dsn,
        )
        cpu = _children_cpu() - before
        throughput = _number_after(output, "tps = ")
        count = round(_number_after(output, "number of transactions actually processed: "))
        p50, p99 = percentiles(self._logged())
        return Slice(count, count / throughput, cpu, p50, p99)

    def _logged(self) -> list[float]:
        """Return the latencies in the logs, and remove the logs."""
        latencies = []
        for path in Path(self.folder.name).glob("log*"):
            lines = path.read_text("ascii").splitlines()
            latencies += [float(line.split()[2]) / 1e6 for line in lines]
            path.unlink()
        return latencies

    async def _run(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            self.program,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"pgbench: {errors.decode().strip().splitlines()[-1]}")
        return output.decode()


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _number_after(output: str, label: str) -> float:
    _, _, rest = output.partition(label)
    return float(rest.split()[0].partition("/")[0])
