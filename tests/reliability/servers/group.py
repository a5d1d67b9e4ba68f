"""A MySQL Group Replication cluster of our own, in which every member takes writes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.reliability.servers.mysql import MySQL, mysqld
from tests.reliability.servers.process import ask, execute, free_port
from tests.reliability.servers.programs import MissingError

_PLUGIN = "lib/mysql/plugin/group_replication.so"
_IS_ONLINE = (
    "SELECT count(*) = 1 FROM performance_schema.replication_group_members"
    " WHERE member_id = @@server_uuid AND member_state = 'ONLINE'"
)
_CONFLICTS = (
    "SELECT coalesce(sum(count_conflicts_detected), 0)"
    " FROM performance_schema.replication_group_member_stats"
)


class Member(MySQL):
    """A server that commits when most members have agreed on the order of the transactions."""

    def __init__(self, folder: Path, number: int, group: str) -> None:
        """Use ``folder``.

        Raises:
            MissingError: The plugin is not installed.
        """
        if not (mysqld().root / "usr" / _PLUGIN).exists():
            raise MissingError("MySQL's plugin group_replication is not installed")
        super().__init__(folder)
        self.group_port = free_port()
        self.settings |= {
            "server-id": number,
            "gtid-mode": "ON",
            "enforce-gtid-consistency": "ON",
            "log-replica-updates": "ON",
            "report-host": "127.0.0.1",
            "report-port": self.port,
            "performance-schema": "ON",
            "innodb-buffer-pool-size": "64M",
            "plugin-load-add": "group_replication.so",
            "loose-group-replication-group-name": group,
            "loose-group-replication-local-address": f"127.0.0.1:{self.group_port}",
            "loose-group-replication-ip-allowlist": "127.0.0.1/32",
            "loose-group-replication-start-on-boot": "OFF",
            "loose-group-replication-single-primary-mode": "OFF",
            "loose-group-replication-enforce-update-everywhere-checks": "ON",
            "loose-group-replication-recovery-get-public-key": "ON",
            # Of a member that is gone: how soon the others expel it, and go on without it.
            "loose-group-replication-member-expel-timeout": 0,
        }

    async def found(self) -> None:
        """Become the first member."""
        await execute(
            self.url,
            "SET GLOBAL group_replication_bootstrap_group = ON",
            "START GROUP_REPLICATION",
            "SET GLOBAL group_replication_bootstrap_group = OFF",
        )
        await self.until_online()

    async def join(self) -> None:
        """Take over what the others have, and wait until it is one of them."""
        user, password = self.url.username, self.url.password
        await execute(
            self.url,
            f"START GROUP_REPLICATION USER = '{user}', PASSWORD = '{password}'",
        )
        await self.until_online()

    async def until_online(self) -> None:
        """Wait until it takes writes, and have it show what was committed on other members."""
        await self.process.until_answering(self.url, _IS_ONLINE)
        await execute(self.url, "SET GLOBAL group_replication_consistency = 'BEFORE'")

    async def conflicts(self) -> int:
        """Return how many transactions lost to one of another member at commit."""
        return await ask(self.url, _CONFLICTS)


class Group:
    """Members that know each other."""

    def __init__(self, folder: Path, size: int) -> None:
        """Use ``folder``.

        Raises:
            MissingError: MySQL, or its plugin, is not installed.
        """
        group = str(uuid.uuid4())
        self.members: Sequence[Member] = [
            Member(folder / f"member-{number}", number, group) for number in range(1, size + 1)
        ]
        seeds = ",".join(f"127.0.0.1:{member.group_port}" for member in self.members)
        for member in self.members:
            member.settings["loose-group-replication-group-seeds"] = seeds

    async def create(self) -> None:
        """Make an empty database on the first member, and have the others join."""
        first, *others = self.members
        for member in self.members:
            await member.create()
            # What its own installation wrote is not for the others.
            await execute(member.url, "RESET BINARY LOGS AND GTIDS")
        await first.found()
        for member in others:
            await member.join()

    def stop(self) -> None:
        """End it; may be repeated."""
        for member in self.members:
            member.stop()
