"""Where a secret shows: in an error, in what it leads to and holds, and in what was logged."""

from __future__ import annotations

import logging
import traceback
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL

from sessionstore_sql import SessionId

_DEPTH = 5

_OPAQUE = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.TracebackType,
    types.FrameType,
    types.CodeType,
    SessionId,  # shows its value to who asks for it
    URL,  # likewise, and hides it from print
)

_OF_DRIVERS = ("pgconn", "diag", "password", "message_detail", "params", "statement", "orig")
"""Attributes that are no attributes of an instance, but of a class written in C, or properties."""


def shows(error: BaseException, *secrets: str) -> list[str]:
    """Return each place in which ``error`` shows one of ``secrets``, and what is there."""
    return [
        f"{place}: {shown}" for place, shown in _shown_by(error) if any(s in shown for s in secrets)
    ]


def chain_of(error: BaseException) -> list[BaseException]:
    """Return ``error`` and every error it leads to."""
    found: list[BaseException] = []
    pending: list[Any] = [error]
    while pending:
        current = pending.pop()
        if isinstance(current, BaseException) and not any(current is each for each in found):
            found.append(current)
            pending += [current.__cause__, current.__context__, getattr(current, "orig", None)]
            pending += getattr(current, "exceptions", ())
    return found


class Logged:
    """What a logger was told."""

    def __init__(self) -> None:
        self.records: list[logging.LogRecord] = []

    @property
    def text(self) -> str:
        """All of it, with arguments and tracebacks."""
        formatter = logging.Formatter("%(name)s %(message)s")
        return "\n".join(
            f"{formatter.format(each)} {each.args!r} {each.msg!r}" for each in self.records
        )


@contextmanager
def logged(name: str = "sessionstore_sql") -> Iterator[Logged]:
    """Keep what is logged while the context lasts, down to DEBUG."""
    kept = Logged()

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.records.append(record)

    logger, handler = logging.getLogger(name), Keeper(logging.DEBUG)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield kept
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def _shown_by(error: BaseException) -> Iterator[tuple[str, str]]:
    yield "traceback", "".join(traceback.format_exception(error))
    seen: set[int] = set()
    for each in chain_of(error):
        name = type(each).__name__
        yield f"str({name})", str(each)
        yield f"repr({name})", repr(each)
        yield from _held_by(each, name, _DEPTH, seen)


def _held_by(value: Any, place: str, depth: int, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Yield every text that is reached from ``value``, by attributes and items."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, bytes | bytearray | memoryview):
        yield place, bytes(value).decode("latin-1")
    elif depth > 0 and id(value) not in seen and not isinstance(value, _OPAQUE):
        seen.add(id(value))
        for name, inside in _inside(value):
            yield from _held_by(inside, f"{place}{name}", depth - 1, seen)


def _inside(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inside in value.items():
            yield "[key]", key
            yield f"[{key!r:.40}]", inside
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", inside) for index, inside in enumerate(value))
    elif isinstance(value, BaseException) or not isinstance(value, int | float):
        names = [*getattr(value, "__dict__", ()), *_OF_DRIVERS]
        if isinstance(value, BaseException):
            names += ["args", "__notes__"]
        for name in names:
            try:
                inside = getattr(value, name)
            except Exception:  # noqa: BLE001, S112  # an attribute that isn't there, in whatever way
                continue
            yield f".{name}", inside
