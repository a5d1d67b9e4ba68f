"""What is done to the databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.reliability.scenarios.connections import end_connections
from tests.reliability.scenarios.disk import (
    fill_binary_log,
    fill_log,
    fill_mysql,
    fill_sqlite,
    fill_tables,
)
from tests.reliability.scenarios.galera import kill_nodes
from tests.reliability.scenarios.group import kill_members
from tests.reliability.scenarios.idle import end_idle_connections
from tests.reliability.scenarios.kill import kill, kill_careless, kill_process
from tests.reliability.scenarios.locks import hold_locks
from tests.reliability.scenarios.managed import (
    through_pgcat,
    through_rds_proxy,
    through_supavisor,
)
from tests.reliability.scenarios.network import break_network
from tests.reliability.scenarios.pooler import through_old_pgbouncer, through_pgbouncer
from tests.reliability.scenarios.processes import kill_processes_on_sqlite
from tests.reliability.scenarios.standby import fail_over, lose_standby, switch_over
from tests.reliability.servers.mysql import MariaDB, MySQL
from tests.reliability.servers.postgresql import PostgreSQL
from tests.reliability.servers.server import Server
from tests.reliability.stage import Stage

_Server = TypeVar("_Server")
_Play = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Servers, faults and what their store may take."""

    name: str
    title: str
    play: Callable[[Stage], Awaitable[None]]
    bound_s: float = 40
    """How long a call may take at the most."""
    expects_loss: bool = False
    """A control: the database is told to lose what it acknowledged, and that has to be found."""


def _on(
    make_server: Callable[[Path], _Server], play: Callable[[Stage, _Server], Awaitable[None]]
) -> Callable[[Stage], Awaitable[None]]:
    return lambda stage: play(stage, make_server(stage.folder / "server"))


def _on_each_server(
    name: str, title: str, play: Callable[[Stage, Server], Awaitable[None]]
) -> list[Scenario]:
    servers: tuple[Callable[[Path], Server], ...] = (PostgreSQL, MySQL, MariaDB)
    return [
        Scenario(f"{name}-{each.__name__.lower()}", f"{each.__name__}: {title}", _on(each, play))
        for each in servers
    ]


SCENARIOS = (
    *_on_each_server("kill", "killed and restarted", kill),
    Scenario("kill-process", "PostgreSQL: one process killed", _on(PostgreSQL, kill_process)),
    *_on_each_server("connections", "every connection ended", end_connections),
    *_on_each_server("idle", "idle connections ended", end_idle_connections),
    *_on_each_server("network", "network cut, slow and silent", break_network),
    *_on_each_server("locks", "locks held by another client", hold_locks),
    Scenario("disk-postgresql", "PostgreSQL: tables' disk full", _on(PostgreSQL, fill_tables)),
    Scenario("disk-log-postgresql", "PostgreSQL: log's disk full", _on(PostgreSQL, fill_log)),
    Scenario("disk-mysql", "MySQL: disk full", _on(MySQL, fill_mysql)),
    Scenario("disk-log-mysql", "MySQL: binary log's disk full", _on(MySQL, fill_binary_log)),
    Scenario("disk-mariadb", "MariaDB: disk full", _on(MariaDB, fill_mysql)),
    Scenario("disk-sqlite", "SQLite: disk full", fill_sqlite),
    Scenario("standby", "PostgreSQL and standby: primary killed", fail_over),
    Scenario("switchover", "PostgreSQL and standby: planned switch", switch_over),
    Scenario("standby-away", "PostgreSQL and standby: standby killed", lose_standby),
    Scenario("pgbouncer", "PostgreSQL behind PgBouncer", _on(PostgreSQL, through_pgbouncer)),
    Scenario(
        "pgbouncer-old",
        "PostgreSQL behind PgBouncer < 1.21",
        _on(PostgreSQL, through_old_pgbouncer),
    ),
    Scenario("pgcat", "PostgreSQL behind pgcat (simulated)", _on(PostgreSQL, through_pgcat)),
    Scenario(
        "supavisor",
        "PostgreSQL behind Supavisor (simulated)",
        _on(PostgreSQL, through_supavisor),
    ),
    Scenario(
        "rds-proxy",
        "PostgreSQL behind RDS Proxy (simulated)",
        _on(PostgreSQL, through_rds_proxy),
    ),
    Scenario("galera", "MariaDB Galera behind HAProxy", kill_nodes),
    Scenario("group", "MySQL Group Replication, several primaries", kill_members),
    Scenario("sqlite", "SQLite: written by eight processes", kill_processes_on_sqlite),
    Scenario(
        "control",
        "control: PostgreSQL with synchronous_commit = off, killed",
        kill_careless,
        expects_loss=True,
    ),
)
