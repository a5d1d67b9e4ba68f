"""A MariaDB Galera cluster of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import aiomysql

from tests.reliability.servers.mysql import MariaDB
from tests.reliability.servers.process import ask, free_port
from tests.reliability.servers.programs import MissingError, find

_LIBRARY = Path("/usr/lib/galera/libgalera_smm.so")
_IS_SYNCED = (
    "SELECT count(*) = 2 FROM information_schema.global_status WHERE"
    " (variable_name = 'wsrep_local_state_comment' AND variable_value = 'Synced')"
    " OR (variable_name = 'wsrep_ready' AND variable_value = 'ON')"
)


class Node(MariaDB):
    """A server that commits when all nodes have what is committed."""

    user = "mysql"  # of root, rsync takes no copy

    def __init__(self, folder: Path) -> None:
        """Use ``folder``.

        Raises:
            MissingError: Galera is not installed.
        """
        if not _LIBRARY.exists():
            raise MissingError(f"{_LIBRARY} is not installed (Debian package galera-4)")
        find("rsync", "rsync")
        super().__init__(folder)
        self.group_port, increments, copies = free_port(), free_port(), free_port()
        provider = {
            "gmcast.listen_addr": f"tcp://127.0.0.1:{self.group_port}",
            "ist.recv_addr": f"127.0.0.1:{increments}",
            "gcache.size": "64M",
        }
        self.settings |= {
            "wsrep-on": "ON",
            "wsrep-provider": _LIBRARY,
            "wsrep-provider-options": ";".join(f"{name}={each}" for name, each in provider.items()),
            "wsrep-cluster-name": "sessionstore-faults",
            "wsrep-node-address": f"127.0.0.1:{self.group_port}",
            "wsrep-sst-method": "rsync",
            "wsrep-sst-receive-address": f"127.0.0.1:{copies}",
            "binlog-format": "ROW",
            "innodb-autoinc-lock-mode": 2,
            "innodb-buffer-pool-size": "64M",
        }

    async def join(self) -> None:
        """Start, take over what the others have, and wait until it is part of the cluster."""
        self.process.own(self.data)
        self.launch()
        await self.until_synced()

    async def be_the_cluster(self) -> None:
        """Take statements again although most others are gone, and wait until it does."""
        # Without SQLAlchemy, whose first statement a node without quorum rejects.
        connection = await aiomysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.url.username,
            password=self.url.password,
            autocommit=None,
        )
        async with connection.cursor() as cursor:
            await cursor.execute("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")
        connection.close()
        await self.until_synced()

    async def conflicts(self) -> int:
        """Return how many transactions lost to one of another node, at commit or before."""
        return await ask(
            self.url,
            "SELECT sum(variable_value) FROM information_schema.global_status"
            " WHERE variable_name IN ('wsrep_local_cert_failures', 'wsrep_local_bf_aborts')",
        )

    async def until_synced(self) -> None:
        """Wait until it takes statements."""
        await self.process.until_answering(self.url, _IS_SYNCED)


class Cluster:
    """Nodes that know each other."""

    def __init__(self, folder: Path, size: int) -> None:
        """Use ``folder``.

        Raises:
            MissingError: Galera is not installed.
        """
        self.nodes: Sequence[Node] = [
            Node(folder / f"node-{number}") for number in range(1, size + 1)
        ]
        addresses = ",".join(f"127.0.0.1:{node.group_port}" for node in self.nodes)
        for node in self.nodes:
            node.settings["wsrep-cluster-address"] = f"gcomm://{addresses}"

    async def create(self) -> None:
        """Make an empty database on the first node, and have the others join."""
        first, *others = self.nodes
        await first.create("--wsrep-new-cluster")
        await first.until_synced()
        for node in others:
            await node.join()

    def stop(self) -> None:
        """End it; may be repeated."""
        for node in self.nodes:
            node.stop()
