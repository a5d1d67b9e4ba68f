"""State to bytes and back: what ``load`` returns equals what was stored, or storing it fails."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from sessionstore_sql.errors import DeserializationError, SerializationError
from sessionstore_sql.records import is_encodable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessionstore_sql.records import JSON


class StateCodec(Protocol):
    """Turns a state into bytes and back. Give one to the store as ``codec``.

    Neither method may put any of the state into the error it raises, and neither may do I/O.
    """

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return bytes from which ``decode`` makes an equal state.

        Raises:
            SerializationError: There are no such bytes.
        """
        ...

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Return the state that ``encode`` made ``data`` from.

        Raises:
            DeserializationError: ``data`` is not what ``encode`` returns.
        """
        ...


class JSONCodec:
    """UTF-8 JSON by orjson, refusing whatever JSON would alter."""

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return the state as JSON.

        orjson alone would turn NaN into null, and tuples, UUIDs and dates into what JSON has
        for them. So the bytes are read back and compared: two calls into C, and the rule itself
        rather than a list of its cases.

        Raises:
            SerializationError: Naming the path of the first value at fault, and its type.
        """
        try:
            data = orjson.dumps(state)
            if orjson.loads(data) == state:
                return data
        except Exception:  # noqa: BLE001, S110  # orjson's, or whatever a value's own __eq__ raises
            pass
        raise SerializationError(_fault_of(state))

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Return the state.

        Raises:
            DeserializationError: ``data`` is not the JSON of an object.
        """
        try:
            state = orjson.loads(data)
        except ValueError:
            # Raised below, outside this block: orjson's error carries the whole document.
            state = None
        if not isinstance(state, dict):
            raise DeserializationError("the stored state is not a JSON object")
        return state


_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
_MAX_DEPTH = 250
"""Where orjson (3.13) stops writing is 254; a few levels are left for it to change."""

_MAX_KEY_SHOWN = 64


def _fault_of(state: dict[str, Any]) -> str:
    try:
        return _first_fault(state)
    except Exception:  # noqa: BLE001  # an object may raise anything where it is looked at
        return "state: an object in it raises errors of its own"


def _first_fault(state: dict[str, Any]) -> str:
    """Say where and why ``state`` is not the JSON object it would come back as.

    An explicit stack, as recursion is one of the faults looked for.
    """
    stack: list[tuple[str, object, tuple[int, ...]]] = [("state", state, ())]
    while stack:
        path, value, ancestors = stack.pop()
        fault = _own_fault(value, ancestors)
        if fault is not None:
            return f"{path}: {fault}"
        inside = list(_children(path, value))
        stack.extend((at, child, (*ancestors, id(value))) for at, child in reversed(inside))
    return "state: a value of it is not equal to its JSON"


def _own_fault(value: object, ancestors: tuple[int, ...]) -> str | None:
    match value:
        case None | bool():
            return None
        case int():
            return None if _MIN_INT <= value <= _MAX_INT else "int of more than 64 bits"
        case float() if type(value) is float:  # orjson writes subclasses of the others only
            return None if math.isfinite(value) else "float that is not finite"
        case str():
            return None if is_encodable(value) else "str with a lone surrogate"
        case list() | dict():
            if id(value) in ancestors:
                return f"{type(value).__name__} that contains itself"
            if len(ancestors) >= _MAX_DEPTH:
                return f"nested more than {_MAX_DEPTH} levels deep"
            return _key_fault(value) if isinstance(value, dict) else None
        case _:
            return f"{type(value).__name__} is not a JSON value"


def _key_fault(value: dict[Any, Any]) -> str | None:
    for key in dict.__iter__(value):
        if type(key) is not str:
            return f"key of type {type(key).__name__}; keys are str"
        if not is_encodable(key):
            return "key with a lone surrogate"
    return None


def _children(path: str, value: object) -> Iterator[tuple[str, object]]:
    # What orjson sees, whatever a class derived from them makes of it.
    if isinstance(value, dict):
        items = dict.items(value)
        yield from ((f"{path}[{_shortened(key)!r}]", child) for key, child in items)
    elif isinstance(value, list):
        children = enumerate(list.__iter__(value))
        yield from ((f"{path}[{index}]", child) for index, child in children)


def _shortened(key: str) -> str:
    return key if len(key) <= _MAX_KEY_SHOWN else f"{key[:_MAX_KEY_SHOWN]}..."
