"""Finds secrets in errors, in everything reachable from an error, and in log records."""

from __future__ import annotations

import base64
import logging
import traceback
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy import URL

from sessionstore_sql import SessionId, SessionStoreError

_DEPTH = 5
_TESTS = Path(__file__).parent

_OPAQUE = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.TracebackType,
    types.FrameType,
    types.CodeType,
    SessionId,  # shows its value only through .value
    URL,  # shows its password only on request
)

_DRIVER_ATTRIBUTES = ("pgconn", "diag", "password", "message_detail", "params", "statement", "orig")
"""Attributes that ``vars`` does not show: properties, and members of classes written in C."""


def forms_of(secret: bytes) -> Iterator[str]:
    """Yield what a secret looks like where it is shown."""
    text = secret.decode("utf-8", "replace")
    yield from (text, ascii(text)[1:-1], repr(text)[1:-1], repr(secret)[2:-1])
    yield from (quote(text, safe=""), quote_plus(text), text[::-1])
    yield secret.hex()
    yield base64.b64encode(secret).decode().rstrip("=")
    yield base64.urlsafe_b64encode(secret).decode().rstrip("=")


def shows(error: BaseException, *secrets: str) -> list[str]:
    """Return each place in which ``error`` shows one of ``secrets``, and what is there."""
    return [
        f"{place}: {shown}" for place, shown in _shown_by(error) if any(s in shown for s in secrets)
    ]


def chain_of(error: BaseException) -> list[BaseException]:
    """Return ``error`` and every error that it is chained to or contains."""
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
    """The records that a logger received."""

    def __init__(self) -> None:
        self.records: list[logging.LogRecord] = []

    @property
    def text(self) -> str:
        """All messages, with arguments and tracebacks."""
        formatter = logging.Formatter("%(name)s %(message)s")
        return "\n".join(
            f"{formatter.format(each)} {each.args!r} {each.msg!r}" for each in self.records
        )


@contextmanager
def logged(name: str = "sessionstore_sql") -> Iterator[Logged]:
    """Record everything that is logged within the context, at DEBUG and above."""
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
    # Errors about arguments, or of a codec that was called by itself, have frames of the caller's.
    of_store = isinstance(error, SessionStoreError) and hasattr(type(error), "_attributed")
    seen: set[int] = set()
    for each in chain_of(error):
        name = type(each).__name__
        yield f"str({name})", str(each)
        yield f"repr({name})", repr(each)
        if of_store:
            yield from _variables_of(each)
        yield from _held_by(each, name, _DEPTH, seen)


def _variables_of(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield what an error tracker shows of the frames of a traceback, those of the tests left out.

    They show containers item by item, and of anything else the ``repr``.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if not Path(code.co_filename).is_relative_to(_TESTS):
            for name, value in frame.f_locals.items():
                for shown in _printed(value, _DEPTH):
                    yield f"{code.co_qualname}: {name}", shown


def _printed(value: Any, depth: int) -> Iterator[str]:
    if depth > 0 and isinstance(value, Mapping):
        for key, inside in value.items():
            yield from _printed(key, depth - 1)
            yield from _printed(inside, depth - 1)
    elif depth > 0 and isinstance(value, list | tuple | set | frozenset):
        for inside in value:
            yield from _printed(inside, depth - 1)
    else:
        yield repr(value)


def _held_by(value: Any, place: str, depth: int, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Yield every text that can be reached from ``value`` through attributes and items."""
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
        names = [*getattr(value, "__dict__", ()), *_DRIVER_ATTRIBUTES]
        if isinstance(value, BaseException):
            names += ["args", "__notes__"]
        for name in names:
            try:
                inside = getattr(value, name)
            except Exception:  # noqa: BLE001, S112  # a missing attribute can raise anything
                continue
            yield f".{name}", inside
