"""What was asked of a store and what it answered, written down so that a killed process loses none.

Each process appends to a file of its own: a line when it calls, another when the call returns.
What has only the first was under way when the process died, and nobody knows its outcome.
"""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson


class Outcome(enum.Enum):
    """How a call ended."""

    DONE = "done"
    """It returned."""
    DUPLICATE = "duplicate"
    """The id was live: nothing was changed."""
    UNKNOWN_ID = "unknown id"
    """The id was not live: nothing was changed."""
    FAILED = "failed"
    """The database failed, and the error says that nothing was changed."""
    UNKNOWN = "unknown"
    """The error says that nobody knows, or the process died."""
    BROKEN = "broken"
    """Something was raised that the contract doesn't know."""

    @property
    def is_answer(self) -> bool:
        """Whether the store vouches for it: an acknowledged operation."""
        return self in {Outcome.DONE, Outcome.DUPLICATE, Outcome.UNKNOWN_ID}


@dataclass(frozen=True, slots=True)
class Operation:
    """One call, from the moment it was made until it returned.

    Times are nanoseconds of the machine's monotonic clock, which all its processes share.
    """

    worker: str
    name: str
    ids: tuple[str, ...]
    invoked: int
    returned: int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    state: str | None = None
    """What was written, or read: states are known by a name, unique in a history."""
    ttl: int | None = None
    """Nanoseconds: what was given, or what ``load`` said remains."""
    error: str | None = None
    transient: bool | None = None

    @property
    def may_have_changed(self) -> bool:
        """Whether it is a write of which nobody knows."""
        return self.name != "load" and self.outcome in {Outcome.UNKNOWN, Outcome.BROKEN}


class Answer(NamedTuple):
    """What a call came back with; the fields are those of ``Operation``."""

    outcome: Outcome
    state: str | None = None
    ttl: int | None = None
    error: str | None = None
    transient: bool | None = None


class Recorder:
    """Writes the history of one process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._calls = 0

    def call(self, name: str, *ids: str, state: str | None = None, ttl: int | None = None) -> int:
        """Write down that a call is about to be made, and return its number."""
        self._calls += 1
        self._write([self._calls, time.monotonic_ns(), name, ids, state, ttl])
        return self._calls

    def answer(self, number: int, answer: Answer) -> None:
        """Write down how the call ended."""
        outcome, *rest = answer
        self._write([number, time.monotonic_ns(), outcome.value, *rest])

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, line: list[Any]) -> None:
        # At once and in one piece, past every buffer of the process: it may be killed.
        os.write(self._file, orjson.dumps(line) + b"\n")


def read_history(path: Path) -> list[Operation]:
    """Return what one process did, in the order of its calls; its worker is the file's name."""
    operations: dict[int, Operation] = {}
    for number, time_, what, *rest in _lines_of(path):
        if number not in operations:
            ids, state, ttl = rest
            operations[number] = Operation(path.stem, what, tuple(ids), time_, state=state, ttl=ttl)
            continue
        state, ttl, error, transient = rest
        called = operations[number]
        operations[number] = replace(
            called,
            returned=time_,
            outcome=Outcome(what),
            state=called.state if state is None else state,
            ttl=called.ttl if ttl is None else ttl,
            error=error,
            transient=transient,
        )
    return list(operations.values())


def read_histories(paths: Iterable[Path]) -> list[Operation]:
    """Return what all processes did, in the order of their calls."""
    everything = [operation for path in paths for operation in read_history(path)]
    return sorted(everything, key=lambda operation: operation.invoked)


def _lines_of(path: Path) -> Iterator[list[Any]]:
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            return  # the last one of a process that was killed as it wrote
