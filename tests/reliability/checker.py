"""Whether a history can be explained: some order of the operations in which each answer is right.

An order has to respect time: what had returned before another was called comes first. An
operation whose outcome is unknown may stand at any place after its call, or be left out. This is
linearizability, as Wing and Gong search for it, with Lowe's memory of what was tried. It is decided
for each group of ids by itself.

The store makes what can be repeated once more where the connection was lost. So a write
other than ``create`` or ``change_id`` may have taken effect twice, both times between its call and
its return, and something else in between. A group that has no other explanation is given this one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from tests.reliability.findings import Finding, describe
from tests.reliability.groups import Groups
from tests.reliability.history import READS, REJECTIONS, Operation, Outcome
from tests.reliability.model import Sessions, after

MAX_STEPS = 200_000
"""Of the search in one group, after which it is undecided."""
_MAX_STEPS_REPEATED = 20_000
"""Of the second search, in which each write may have happened twice."""

_SHOWN = 12
"""Operations of a group that a finding shows, before the one that cannot be explained."""


def check(operations: Iterable[Operation]) -> list[Finding]:
    """Return the groups that the contract doesn't explain; none if nothing was lost."""
    everything = list(operations)
    end = max((each.returned or each.invoked for each in everything), default=0)
    groups = Groups(everything)
    unexplained = (
        finding
        for group in groups
        if (finding := _Search(group, end).finding(MAX_STEPS)) is not None
        and _Search(group, end, is_repeated=True).finding(_MAX_STEPS_REPEATED) is not None
    )
    return [*unexplained, *groups.strange_handles()]


class _Placed(NamedTuple):
    operation: Operation
    repeats: Operation | None
    """The operation that this is the first of two effects of."""


def _may_repeat(operation: Operation | None) -> bool:
    return (
        operation is not None
        and operation.outcome is Outcome.DONE
        and operation.name not in {*READS, "create", "change_id"}
    )


class _Search:
    """The search for an order of one group's operations.

    Which operations have their place already is a bit for each, in the order of the calls.
    """

    def __init__(
        self, operations: Sequence[Operation], end: int, *, is_repeated: bool = False
    ) -> None:
        once = [_Placed(each, None) for each in operations]
        again = [_Placed(replace(each, outcome=Outcome.UNKNOWN), each) for each in operations]
        again = [each for each in again if is_repeated and _may_repeat(each.repeats)]
        everything = sorted([*once, *again], key=lambda each: each.operation.invoked)
        self._operations = [each.operation for each in everything]
        places = {id(operation): place for place, operation in enumerate(self._operations)}
        self._repeats = {
            place: places[id(each.repeats)]
            for place, each in enumerate(everything)
            if each.repeats is not None
        }
        """What took effect before the operation that it is the first attempt of."""
        self._end = end
        self._certain = 0
        self._uncertain = []
        for place, operation in enumerate(self._operations):
            if operation.outcome.is_answer:
                self._certain |= 1 << place
            else:
                self._uncertain.append(place)
        self._moved = _moved(self._operations)
        self._deepest: tuple[int, int, Sessions] = (0, 0, {})

    def finding(self, max_steps: int) -> Finding | None:
        """Return ``None`` if there is an order."""
        tried: set[tuple[int, frozenset[object]]] = set()
        pending: list[tuple[int, Sessions]] = [(0, {})]
        for _ in range(max_steps):
            if not pending:
                return self._found("")
            placed, sessions = pending.pop()
            if placed & self._certain == self._certain:
                return None
            key = (placed, frozenset(sessions.items()))
            if key in tried:
                continue
            tried.add(key)
            depth = (placed & self._certain).bit_count()
            if depth >= self._deepest[0]:
                self._deepest = (depth, placed, sessions)
            pending += self._continuations(placed, sessions)
        return self._found("undecided; perhaps ")

    def _continuations(self, placed: int, sessions: Sessions) -> list[tuple[int, Sessions]]:
        """Return what can come next, the most promising at the end.

        What can change nothing comes at once and alone: an order in which it comes later is as
        right with it here. What ends a session if there is one may still find one later.
        """
        changing: list[tuple[int, Sessions]] = []
        uncertain: list[tuple[int, Sessions]] = []
        for place in self._candidates(placed):
            operation = self._operations[place]
            left = after(sessions, operation, self._end)
            if left is None or self._moves_another(place, left):
                continue
            way = (placed | 1 << place, left)
            if not operation.outcome.is_answer:
                if left is not sessions:
                    uncertain.append(way)
            elif left is sessions and not operation.is_quiet:
                return [way]
            else:
                changing.append(way)
        return [*uncertain, *reversed(changing)]

    def _candidates(self, placed: int) -> list[int]:
        """Return what was called before any other that is left had returned."""
        left = self._certain & ~placed
        first = (left & -left).bit_length() - 1
        candidates = [
            place for place in self._uncertain if place < first and not placed >> place & 1
        ]
        limit: float = math.inf
        for place in range(first, len(self._operations)):
            operation = self._operations[place]
            if operation.invoked > limit:
                break
            if placed >> place & 1:
                continue
            candidates.append(place)
            if self._certain >> place & 1:
                limit = min(limit, operation.returned or math.inf)
        return [place for place in candidates if not self._is_too_late(place, placed)]

    def _is_too_late(self, place: int, placed: int) -> bool:
        return place in self._repeats and bool(placed >> self._repeats[place] & 1)

    def _moves_another(self, place: int, left: Sessions) -> bool:
        """Whether this rotation was not observed at its new id."""
        if place not in self._moved:
            return False
        moved = left.get(self._operations[place].ids[1])
        return moved is not None and moved.state != self._moved[place]

    def _found(self, doubt: str) -> Finding:
        _, placed, sessions = self._deepest
        stuck = [place for place in self._candidates(placed) if self._certain >> place & 1]
        culprit = min(
            (self._operations[place] for place in stuck), key=lambda each: each.returned or 0
        )
        earlier = [each for each in self._operations if each.invoked <= (culprit.returned or 0)]
        shown = [each for each in earlier if each is not culprit][-_SHOWN:]
        ids = culprit.ids or (str(culprit.subject),)
        return Finding(ids, doubt + describe(sessions, culprit), (*shown, culprit))


def _moved(operations: Sequence[Operation]) -> dict[int, str]:
    """Return the states that a ``change_id`` must have moved, by its place.

    Where nothing else writes to its new id, what is found there is what it moved. The search need
    not go on until a load at the end shows that it was another one.
    """
    writers: defaultdict[str, list[int]] = defaultdict(list)
    found: dict[str, str] = {}
    for place, operation in enumerate(operations):
        if operation.name in READS:
            if operation.state is not None:
                found[operation.ids[0]] = operation.state
        elif operation.outcome not in REJECTIONS:
            for session_id in operation.ids:
                writers[session_id].append(place)
    return {
        places[0]: found[session_id]
        for session_id, places in writers.items()
        if session_id in found
        and len(places) == 1
        and operations[places[0]].name == "change_id"
        and operations[places[0]].ids[1] == session_id
    }
