"""Whether a history can be explained: some order of the operations in which each answer is right.

An order has to respect time: what had returned before another was called comes first. An
operation whose outcome is unknown may stand at any place after its call, or be left out. This is
linearizability, as Wing and Gong search for it, with Lowe's memory of what was tried. It is decided
for each group of ids by itself; ``change_id`` is what ties ids together.

The store makes what can be repeated once more where the connection was lost. So a ``delete``,
``update`` or ``update_ttl`` may have taken effect twice, both times between its call and its
return, and something else in between. A group that has no other explanation is given this one.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tests.reliability.history import Operation, Outcome
from tests.reliability.model import Sessions, after

MAX_STEPS = 200_000
"""Of the search in one group, after which it is undecided."""
_MAX_STEPS_REPEATED = 20_000
"""Of the second search, in which each write may have happened twice."""

_SHOWN = 12
"""Operations of a group that a finding shows, before the one that cannot be explained."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A group of ids whose history no order explains."""

    ids: tuple[str, ...]
    what: str
    operations: tuple[Operation, ...]
    """The one that cannot be explained, at the end, and those before it."""

    def __str__(self) -> str:
        return "\n".join([f"{self.what}: {', '.join(self.ids)}", *map(_line, self.operations)])


def check(operations: Iterable[Operation]) -> list[Finding]:
    """Return the groups that the contract doesn't explain; none if nothing was lost."""
    everything = list(operations)
    end = max((each.returned or each.invoked for each in everything), default=0)
    return [
        finding
        for group in _groups(everything)
        if (finding := _Search(group, end).finding(MAX_STEPS)) is not None
        and _Search(group, end, is_repeated=True).finding(_MAX_STEPS_REPEATED) is not None
    ]


def _groups(operations: Sequence[Operation]) -> list[list[Operation]]:
    """Return the operations that say something about sessions, by ids that belong together."""
    parents: dict[str, str] = {}

    def root(session_id: str) -> str:
        while (parent := parents.setdefault(session_id, session_id)) != session_id:
            parents[session_id] = parents[parent]
            session_id = parent
        return session_id

    telling = [each for each in operations if each.ids and _tells(each)]
    for operation in telling:
        for other in operation.ids[1:]:
            parents[root(other)] = root(operation.ids[0])
    groups: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in telling:
        groups[root(operation.ids[0])].append(operation)
    return list(groups.values())


def _tells(operation: Operation) -> bool:
    return operation.outcome.is_answer or operation.may_have_changed


class _Placed(NamedTuple):
    operation: Operation
    repeats: Operation | None
    """The operation that this is the first of two effects of."""


def _may_repeat(operation: Operation | None) -> bool:
    return (
        operation is not None
        and operation.outcome is Outcome.DONE
        and operation.name in {"update", "update_ttl", "delete"}
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

        What changes nothing comes at once and alone: an order in which it comes later is as right
        with it here.
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
            elif left is sessions:
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
        """Whether this moved what nobody found at its new id."""
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
        return Finding(culprit.ids, doubt + _name(sessions, culprit), (*shown, culprit))


def _moved(operations: Sequence[Operation]) -> dict[int, str]:
    """Return the states that a ``change_id`` must have moved, by its place.

    Where nothing else writes to its new id, what is found there is what it moved. The search need
    not go on until a load at the end shows that it was another one.
    """
    writers: defaultdict[str, list[int]] = defaultdict(list)
    found: dict[str, str] = {}
    for place, operation in enumerate(operations):
        if operation.name == "load":
            if operation.state is not None:
                found[operation.ids[0]] = operation.state
        elif operation.outcome not in {Outcome.UNKNOWN_ID, Outcome.DUPLICATE}:
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


def _name(sessions: Sessions, operation: Operation) -> str:
    """Say what went wrong, as far as the sessions tell that were there before ``operation``."""
    is_live = operation.ids[0] in sessions
    match operation.name, operation.outcome:
        case ("create", Outcome.DONE):
            return "two winners"
        case ("create", _):
            return "a live duplicate that nobody stored"
        case ("load", _) if is_live and operation.state is not None:
            return "a lost write"
        case ("load", _) if not is_live:
            return "a dead session came back"
        case (_, Outcome.UNKNOWN_ID) | ("load", _):
            return "a live session was lost"
        case ("change_id", _) if is_live:
            return "two winners"
        case _:
            return "a write to a dead session"


def _line(operation: Operation) -> str:
    until = "never" if operation.returned is None else f"{operation.returned / 1e9:.6f}"
    given = "" if operation.state is None else f" {operation.state}"
    ttl = "" if operation.ttl is None else f" ttl {operation.ttl / 1e9:.3f}"
    return (
        f"  {operation.invoked / 1e9:.6f}..{until} {operation.worker}: {operation.name}"
        f" {' -> '.join(operation.ids)}{given}{ttl}: {operation.outcome.value}"
    )
