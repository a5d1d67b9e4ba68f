"""States: a state that was stored is loaded unchanged, or storing it fails."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from sessionstore_sql import (
    CreateError,
    SerializationError,
    SessionId,
    SessionRecord,
    UpdateError,
)
from sessionstore_sql.testing.support import HOUR, BackendTests, fails, record

if TYPE_CHECKING:
    from sessionstore_sql import SessionStorageBackend

FAITHFUL: dict[str, dict[str, Any]] = {
    "empty": {},
    "empty key": {"": ""},
    "constants": {"none": None, "true": True, "false": False},
    "bool is not int": {"a": [True, 1, False, 0]},
    "int is not float": {"a": [1, 1.0, 0, 0.0]},
    "integers": {"a": [2**53 + 1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1]},
    "floats": {"a": [1e22, 1.5e-300, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3]},
    "negative zero": {"a": -0.0},
    "control characters": {"\0": "\0\x01\x1f\x7f", "a": "\r\n\t\b\f"},
    "quotes": {"'\"`\\%s%%:x{}?$1": "'; DROP TABLE sessions; --\\"},
    "unicode": {"ключ": "😀 é e\u0301 \u2028\u2029 \uffff \U0010ffff \ufeff"},
    "nested": {"a": [[], {}, [{"b": [[{"c": None}]]}]]},
    "key order": {"b": 1, "a": 2, "C": 3},
    "all bytes as text": {"a": bytes(range(256)).decode("latin-1")},
}


class _Opaque:
    pass


def _circle() -> dict[str, Any]:
    state: dict[str, Any] = {}
    state["self"] = [state]
    return state


def _deep(levels: int) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for _ in range(levels):
        state = {"a": state}
    return state


REJECTED: dict[str, tuple[dict[Any, Any], str]] = {
    "nan": ({"a": math.nan}, r"state\['a'\].*float"),
    "infinity": ({"a": [1, -math.inf]}, r"state\['a'\]\[1\].*float"),
    "tuple": ({"a": (1, 2)}, r"state\['a'\].*tuple"),
    "set": ({"a": {1}}, r"state\['a'\].*set"),
    "bytes": ({"a": b"x"}, r"state\['a'\].*bytes"),
    "uuid": ({"a": {"b": UUID(int=1)}}, r"state\['a'\]\['b'\].*UUID"),
    "datetime": ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, r"state\['a'\].*datetime"),
    "date": ({"a": date(2026, 1, 1)}, r"state\['a'\].*date"),
    "timedelta": ({"a": timedelta(1)}, r"state\['a'\].*timedelta"),
    "decimal": ({"cart": [1, 2, Decimal(1)]}, r"state\['cart'\]\[2\]: Decimal is not a JSON value"),
    "object": ({"a": _Opaque()}, r"state\['a'\].*_Opaque"),
    "integer key": ({"a": {1: 2}}, r"state\['a'\].*int"),
    "none key": ({None: 2}, r"state.*NoneType"),
    "large integer": ({"a": 2**64}, r"state\['a'\].*int"),
    "small integer": ({"a": -(2**63) - 1}, r"state\['a'\].*int"),
    "lone surrogate": ({"a": "\ud800"}, r"state\['a'\].*str"),
    "lone surrogate in a key": ({"\udfff": 1}, r"state.*surrogate"),
    "circle": (_circle(), r"state\['self'\]\[0\].*dict"),
    "too deep": (_deep(100_000), r"state\['a'\].*deep"),
}


class FidelityContract(BackendTests):
    """A state that was stored is loaded unchanged."""

    @pytest.mark.parametrize("state", FAITHFUL.values(), ids=list(FAITHFUL))
    async def test_state_comes_back_equal(
        self, backend: SessionStorageBackend, state: dict[str, Any]
    ) -> None:
        """Types and signs are preserved, by create and by update."""
        created, updated = SessionId.generate(), SessionId.generate()
        await backend.create(created, SessionRecord(state, HOUR))
        await backend.create(updated, record())
        await backend.update(updated, SessionRecord(state, HOUR))
        for session_id in (created, updated):
            loaded = await backend.load(session_id)
            assert loaded is not None
            assert loaded.state == state
            assert repr(loaded.state) == repr(state)

    @pytest.mark.parametrize("size", [65_535, 65_536, 5_000_000])
    async def test_large_states_come_back_equal(
        self, backend: SessionStorageBackend, size: int
    ) -> None:
        """No column is limited to 64 KiB."""
        session_id = SessionId.generate()
        state: dict[str, Any] = {"text": "x" * (size - 100), "more": ["é😀\0'\\"] * 10}
        await backend.create(session_id, SessionRecord(state, HOUR))
        loaded = await backend.load(session_id)
        assert loaded is not None
        assert loaded.state == state
        await backend.update(session_id, SessionRecord({**state, "more": 1}, HOUR))
        loaded = await backend.load(session_id)
        assert loaded is not None
        assert loaded.state["more"] == 1
        await backend.delete(session_id)


class RejectionContract(BackendTests):
    """A state that would not be loaded unchanged is rejected, and nothing is stored or changed.

    These tests judge a backend's codec. A backend on several databases can run them on one.
    """

    @pytest.mark.parametrize("levels", [10, 100, 200, 250, 254, 300, 1_000])
    async def test_what_was_written_can_be_read(
        self, backend: SessionStorageBackend, levels: int
    ) -> None:
        """A state that is nested too deeply to be loaded is rejected when it is stored."""
        session_id = SessionId.generate()
        state = _deep(levels)
        try:
            await backend.create(session_id, SessionRecord(state, HOUR))
        except SerializationError:
            assert levels > 100
            assert await backend.load(session_id) is None
        else:
            loaded = await backend.load(session_id)
            assert loaded is not None
            assert loaded.state == state

    @pytest.mark.parametrize(("state", "message"), REJECTED.values(), ids=list(REJECTED))
    async def test_what_json_would_change_is_rejected(
        self, backend: SessionStorageBackend, state: dict[Any, Any], message: str
    ) -> None:
        """The error contains the path and the type, and nothing is stored or changed."""
        unknown, live = SessionId.generate(), SessionId.generate()
        await backend.create(live, record(kept=True))
        with fails(CreateError, SerializationError) as caught:
            await backend.create(unknown, SessionRecord(state, HOUR))
        assert caught.match(message)
        with fails(UpdateError, SerializationError) as caught:
            await backend.update(live, SessionRecord(state, HOUR))
        assert caught.match(message)
        assert await backend.load(unknown) is None
        loaded = await backend.load(live)
        assert loaded is not None
        assert loaded.state == {"kept": True}


class StateContract(FidelityContract, RejectionContract):
    """Fidelity and rejection of states."""
