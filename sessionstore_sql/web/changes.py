"""What a request changed in a state, and how that is put onto a newer state.

The unit is the top-level key: a request that changed anything inside ``state["cart"]`` stores the
whole cart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


@dataclass(frozen=True, slots=True)
class Changes:
    """Keys that were set, with their values, and keys that were deleted."""

    values: dict[str, Any] = field(repr=False)
    deleted: AbstractSet[str] = field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.values or self.deleted)

    def onto(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of ``state`` with these changes."""
        kept = {key: value for key, value in state.items() if key not in self.deleted}
        return kept | self.values


NO_CHANGES = Changes({}, frozenset())


class Snapshot:
    """A state as it was, to find out later what became different.

    Values are compared as JSON, so ``1`` and ``True`` differ and the order of keys does not
    matter. The snapshot also finds changes inside of values.
    """

    __slots__ = ("_data", "_parts")

    def __init__(self, state: dict[str, Any]) -> None:
        self._data = fingerprint(state)
        # For a codec of the application's that stores more than JSON.
        self._parts: dict[str, bytes | None] = {}
        if self._data is None:
            self._parts = {key: fingerprint(value) for key, value in state.items()}

    def __repr__(self) -> str:
        return "Snapshot(<hidden>)"

    def is_like(self, state: dict[str, Any]) -> bool:
        """Return whether ``state`` is the same, as far as JSON can tell."""
        return self._data == fingerprint(state)

    def changes_to(self, state: dict[str, Any]) -> Changes:
        """Return what makes ``state`` of the state in this snapshot."""
        if self._data is not None and self.is_like(state):
            return NO_CHANGES  # as after most requests, without a look at each key
        before = self._parts
        if self._data is not None:
            parsed: dict[str, Any] = orjson.loads(self._data)
            before = {key: fingerprint(value) for key, value in parsed.items()}
        values = {
            key: value
            for key, value in state.items()
            if before.get(key) is None or before[key] != fingerprint(value)
        }
        return Changes(values, before.keys() - state.keys())


def fingerprint(state: object) -> bytes | None:
    """Return bytes that are equal as long as the state is; ``None`` if JSON cannot express it."""
    try:
        return orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Storing it will fail, and that error names the path.
        return None
