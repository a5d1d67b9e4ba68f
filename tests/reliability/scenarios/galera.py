"""A Galera cluster of three nodes behind HAProxy: all of them are written to, and die."""

from __future__ import annotations

import asyncio

from sessionstore_sql import SQLSessionStore
from tests.reliability.scenarios.loads import targets
from tests.reliability.servers.galera import Cluster
from tests.reliability.servers.haproxy import HAProxy
from tests.reliability.stage import Stage

_SIZE = 3
_WITHOUT_QUORUM_S = 8
"""Longer than the node that is left waits for the others."""


async def kill_nodes(stage: Stage) -> None:
    """Kill one node after the other, and have it rejoin; then two at once."""
    cluster = Cluster(stage.folder / "galera", _SIZE)
    proxy = HAProxy(stage.folder / "haproxy", [node.port for node in cluster.nodes])
    for each in (cluster, proxy):
        stage.stop_at_end(each.stop)
    await cluster.create()
    proxy.start()
    first, second, third = cluster.nodes
    url = first.url.set(port=proxy.port)
    await first.process.until_answering(url)
    async with stage.load(url, targets(url, *first.drivers)) as workers:
        for node in (first, second):
            async with stage.fault("node killed", workers):
                node.kill()
            async with stage.fault("node rejoined", workers):
                await node.join()
        async with stage.fault("two nodes killed, quorum restored by hand", workers):
            for node in (first, second):
                node.kill()
            await asyncio.sleep(_WITHOUT_QUORUM_S)
            await third.be_the_cluster()
            for node in (first, second):
                await node.join()
        if await third.conflicts() == 0:
            stage.complaints.append("no write of one node collided with one of another")
    for node in cluster.nodes:
        # GET_LOCK works on one node only, or is rejected; the purge runs in both cases.
        async with SQLSessionStore(node.url) as store:
            await store.delete_expired_exclusively(1)
