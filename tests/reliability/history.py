"""What was asked of a store and what it answered, written down so that a killed process loses none.

Each process appends to a file of its own: a line when it calls, another when the call returns.
An entry without a result was running when the process died; its outcome is unknown.
"""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson


class Outcome(enum.Enum):
    """How a call ended."""

    DONE = "done"
    """It returned."""
    DUPLICATE = "duplicate"
    """The id was live: nothing was changed."""
    UNKNOWN_ID = "unknown id"
    """The id was not live: nothing was changed."""
    CONFLICT = "conflict"
    """Another state was stored since the expected one: nothing was changed."""
    FAILED = "failed"
    """The database failed, and the error says that nothing was changed."""
    UNKNOWN = "unknown"
    """The error says that the outcome is unknown, or the process died."""
    BROKEN = "broken"
    """Something was raised that the contract doesn't know."""

    @property
    def is_answer(self) -> bool:
        """Whether the store vouches for it: an acknowledged operation."""
        return self in {Outcome.DONE, Outcome.DUPLICATE, Outcome.UNKNOWN_ID, Outcome.CONFLICT}


READS = {"load", "load_session", "sessions_of"}
"""Operations that change nothing."""
REVOCATIONS = {"revoke", "revoke_only", "revoke_others"}
"""``revoke`` of all sessions, of one handle only, and of all but one handle."""
REJECTIONS = {Outcome.DUPLICATE, Outcome.UNKNOWN_ID, Outcome.CONFLICT}
"""Outcomes of writes that changed nothing for certain, and that say why."""


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
    subject: str | None = None
    """Whose sessions the operation is about, or whose session was loaded."""
    handles: tuple[str, ...] = ()
    """What was given to ``revoke`` or ``sign_out``, or returned."""
    expected: str | None = None
    """The state whose version was given: the write changes no other one."""
    error: str | None = None
    transient: bool | None = None

    @property
    def may_have_changed(self) -> bool:
        """Whether it is a write with an unknown outcome."""
        return self.name not in READS and self.outcome in {Outcome.UNKNOWN, Outcome.BROKEN}

    @property
    def is_quiet(self) -> bool:
        """Whether it succeeds whether or not there is a session to end."""
        return self.outcome is Outcome.DONE and self.name in {*REVOCATIONS, "sign_out"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came back with; the fields are those of ``Operation``."""

    outcome: Outcome
    state: str | None = None
    ttl: int | None = None
    subject: str | None = None
    handles: tuple[str, ...] = ()
    error: str | None = None
    transient: bool | None = None


class Recorder:
    """Writes the history of one process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._calls = 0

    def call(self, name: str, *ids: str, **given: object) -> int:
        """Write down that a call is about to be made, and return its number.

        Args:
            name: The operation.
            ids: The session, and its new id.
            given: Other fields of the ``Operation``.
        """
        self._calls += 1
        self._write(self._calls, name, {"ids": ids, **given})
        return self._calls

    def answer(self, number: int, answer: Answer) -> None:
        """Write down how the call ended."""
        fields = asdict(answer)
        self._write(number, fields.pop("outcome").value, fields)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, number: int, what: str, fields: Mapping[str, object]) -> None:
        known = {name: value for name, value in fields.items() if value not in {None, ()}}
        line = orjson.dumps([number, time.monotonic_ns(), what, known])
        # At once and in one piece, past every buffer of the process: it may be killed.
        os.write(self._file, line + b"\n")


def read_history(path: Path) -> list[Operation]:
    """Return what one process did, in the order of its calls; its worker is the file's name."""
    operations: dict[int, Operation] = {}
    for number, time_, what, fields in _lines_of(path):
        if "handles" in fields:
            fields["handles"] = tuple(fields["handles"])
        if number not in operations:
            ids = tuple(fields.pop("ids", ()))
            operations[number] = Operation(path.stem, what, ids, time_, **fields)
        else:
            outcome = Outcome(what)
            answered = replace(operations[number], returned=time_, outcome=outcome, **fields)
            operations[number] = answered
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
