"""Histories in a form that reads well: one call a line."""

from __future__ import annotations

from tests.reliability.history import READS, Operation, Outcome

S = 1_000_000_000
HOUR = 3_600 * S

_WITH_DEADLINE = {"create", "update", "update_ttl", "update_if", "sign_in", "replace"}


def call(  # noqa: PLR0913  # a history reads best in lines
    since: float,
    until: float | None,
    name: str,
    *ids: str,
    of: str | None = None,
    handles: tuple[str, ...] = (),
    expected: str | None = None,
    state: str | None = None,
    outcome: Outcome = Outcome.DONE,
    ttl: int | None = None,
) -> Operation:
    """Return an operation, with times in seconds; without a ttl, one that ends an hour after 0.

    ``of`` is the subject.
    """
    lives = name in _WITH_DEADLINE or (name in READS and state is not None)
    if ttl is None and lives:
        ttl = HOUR - int(since * S)
    returned = None if until is None else int(until * S)
    return Operation(
        *("worker", name, ids, int(since * S), returned, outcome),
        state=state,
        ttl=ttl,
        subject=of,
        handles=handles,
        expected=expected,
    )
