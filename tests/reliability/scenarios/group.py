"""MySQL Group Replication with several primaries: two are written to at once, and members die."""

from __future__ import annotations

from tests.faults.proxy import Proxy
from tests.reliability.servers.group import Group, Member
from tests.reliability.stage import Stage
from tests.reliability.workers import Target

_SIZE = 3


async def kill_members(stage: Stage) -> None:
    """Kill a member without clients, then one whose clients go to another; both rejoin."""
    group = Group(stage.folder / "group", _SIZE)
    stage.stop_at_end(group.stop)
    await group.create()
    first, second, third = group.members
    # As MySQL Router does: to a member that rejoins, no client is led before it is online.
    one, two = Proxy(first.url), Proxy(second.url)
    async with one.running(first.url) as at_first, two.running(second.url) as at_second:
        drivers = [
            Target(at_first.render_as_string(hide_password=False), {}),
            Target(at_second.render_as_string(hide_password=False), {}),
            Target(
                at_second.set(drivername="mysql+asyncmy").render_as_string(hide_password=False),
                {"coalesce": False},
            ),
        ]
        async with stage.load(first.url, drivers) as workers:
            async with stage.fault("member killed", workers):
                third.kill()
            async with stage.fault("member rejoined", workers):
                await _rejoin(third)
            async with stage.fault("member killed", workers):
                second.kill()
                two.redirect(first.url)
            async with stage.fault("member rejoined", workers):
                await _rejoin(second)
                two.redirect(second.url)
            if await first.conflicts() == 0:
                stage.complaints.append("no write of one member collided with one of another")


async def _rejoin(member: Member) -> None:
    await member.start()
    await member.join()
