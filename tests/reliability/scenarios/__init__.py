"""What is done to the databases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.reliability.scenarios.kill import kill_careless_postgresql, kill_postgresql
from tests.reliability.stage import Stage


@dataclass(frozen=True, slots=True)
class Scenario:
    """Servers, faults and what their store may take."""

    name: str
    title: str
    play: Callable[[Stage], Awaitable[None]]
    bound_s: float = 30
    """How long a call may take at the most."""
    expects_loss: bool = False
    """A control: the database is told to lose what it acknowledged, and that has to be found."""


SCENARIOS = (
    Scenario("kill-postgresql", "PostgreSQL killed and restarted", kill_postgresql),
    Scenario(
        "control",
        "control: PostgreSQL with synchronous_commit = off, killed",
        kill_careless_postgresql,
        expects_loss=True,
    ),
)
