"""Codecs: convert a state to bytes and back, without changing it."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import orjson

from sessionstore_sql.errors import DeserializationError, SerializationError
from sessionstore_sql.records import is_encodable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessionstore_sql.records import JSON


class StateCodec(Protocol):
    """Converts a state to bytes and back. Pass one to the store as ``codec``.

    The methods must not do I/O, and their errors must not contain any part of the state.
    """

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return bytes from which ``decode`` returns an equal state.

        Raises:
            SerializationError: The state cannot be represented.
        """
        ...

    def decode(self, data: bytes) -> dict[str, JSON]:
        """Return the state that was given to ``encode``.

        Raises:
            DeserializationError: ``data`` was not returned by ``encode``.
        """
        ...


@runtime_checkable
class PurposefulCodec(Protocol):
    """A ``StateCodec`` that distinguishes the purposes for which it is used. Optional."""

    def for_purpose(self, purpose: str) -> StateCodec:
        """Return the codec to use for one purpose.

        Args:
            purpose: ``STATE`` or ``ABOUT``. The codec itself is for states.
        """
        ...


STATE: Final = "state"
"""The purpose of the states of sessions."""
ABOUT: Final = "about"
"""The purpose of the ``about`` of ``sign_in``, and of its subject."""


ENCRYPTED: Final = b"\x01"
"""The first byte of what is encrypted. No JSON begins with it, so both can be told apart."""
KEY_ID_BYTES: Final = 4
"""Length of the name of a key, hashed, behind the first byte."""


def key_id_of(name: str) -> bytes:
    """Return the 4 bytes that stand for the name of a key."""
    return hashlib.sha256(b"sessionstore key\0" + name.encode()).digest()[:KEY_ID_BYTES]


def key_id_in(data: bytes) -> bytes | None:
    """Return the 4 bytes behind which ``data`` is encrypted; ``None`` if it is not encrypted."""
    start = len(ENCRYPTED)
    return data[start : start + KEY_ID_BYTES] if data.startswith(ENCRYPTED) else None


def for_purpose(codec: StateCodec, purpose: str) -> StateCodec:
    """Return the codec for ``purpose``: the same one, if it does not distinguish purposes."""
    return codec.for_purpose(purpose) if isinstance(codec, PurposefulCodec) else codec


class JSONCodec:
    """The default codec: JSON in UTF-8. Rejects values that JSON would change."""

    def encode(self, state: dict[str, JSON]) -> bytes:
        """Return the state as JSON.

        orjson alone would convert NaN to null, and tuples, UUIDs and dates to other JSON values.
        Therefore the bytes are decoded again and compared, which takes two calls into C and needs
        no list of special cases.

        Raises:
            SerializationError: A value would change. The message names its path and its type.
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
"""orjson 3.13 supports 254 levels; a lower limit leaves room for changes in orjson."""

_MAX_KEY_SHOWN = 64


def _fault_of(state: dict[str, Any]) -> str:
    try:
        return _first_fault(state)
    except Exception:  # noqa: BLE001  # inspecting an object may raise anything
        return "state: an object in it raises an error when it is inspected"


def _first_fault(state: dict[str, Any]) -> str:
    """Return the path of the first value that JSON would change, and the reason.

    It uses an explicit stack, because the state may be nested too deep for recursion.
    """
    stack: list[tuple[str, object, tuple[int, ...]]] = [("state", state, ())]
    while stack:
        path, value, ancestors = stack.pop()
        fault = _own_fault(value, ancestors)
        if fault is not None:
            return f"{path}: {fault}"
        inside = list(_children(path, value))
        stack.extend((at, child, (*ancestors, id(value))) for at, child in reversed(inside))
    return "state: a value is not equal to its JSON"


def _own_fault(value: object, ancestors: tuple[int, ...]) -> str | None:
    match value:
        case None | bool():
            return None
        case int():
            return None if _MIN_INT <= value <= _MAX_INT else "int of more than 64 bits"
        case float() if type(value) is float:  # orjson rejects subclasses of float
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
    # Like orjson, bypass methods that a derived class overrides.
    if isinstance(value, dict):
        items = dict.items(value)
        yield from ((f"{path}[{_shortened(key)!r}]", child) for key, child in items)
    elif isinstance(value, list):
        children = enumerate(list.__iter__(value))
        yield from ((f"{path}[{index}]", child) for index, child in children)


def _shortened(key: str) -> str:
    return key if len(key) <= _MAX_KEY_SHOWN else f"{key[:_MAX_KEY_SHOWN]}..."
