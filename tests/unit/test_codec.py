"""A state is decoded unchanged, or rejected with a path and a type."""

from __future__ import annotations

import enum
import itertools
import json
import math
import sys
import traceback
import uuid
from collections import Counter, OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Self

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessionstore_sql import DeserializationError, JSONCodec, SerializationError

CODEC = JSONCodec()

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
STATES = st.dictionaries(st.text(), VALUES, max_size=5)


class Colour(enum.StrEnum):
    """Text with a name."""

    RED = "red"


class Number(enum.IntEnum):
    """A number with a name."""

    ONE = 1


class Plain(enum.Enum):
    """Not text, although it is written as such."""

    RED = "red"


class Labelled(int, enum.Enum):
    """A number whose ``value`` is something else."""

    ONE = 1, "one"

    def __new__(cls, number: int, label: str) -> Self:
        """Take the label for the value."""
        member = int.__new__(cls, number)
        member._value_ = label
        return member

    def __repr__(self) -> str:
        return "Labelled.ONE"


class Text(str):
    """Text of a class of its own."""

    __slots__ = ()


class Whole(int):
    """An int of a class of its own."""


class Real(float):
    """A float of a class of its own, as numpy's float64 is."""


class Row(NamedTuple):
    """A tuple with names."""

    a: int


class Sequence(list[Any]):
    """A list of a class of its own."""


@dataclass
class Data:
    """What orjson would write as an object."""

    a: int


POISON: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    2**64,
    -(2**63) - 1,
    10**400,
    "\ud800",
    (),
    (1, 2),
    Row(1),
    {1},
    frozenset(),
    b"bytes",
    bytearray(b"bytes"),
    memoryview(b"bytes"),
    uuid.UUID(int=1),
    datetime(2026, 1, 1, tzinfo=UTC),
    date(2026, 1, 1),
    time(1, 2),
    timedelta(1),
    Decimal(1),
    Fraction(1, 2),
    1j,
    Data(1),
    Plain.RED,
    UserDict({"a": 1}),
    PurePosixPath("a"),
    range(2),
    object(),
    {1: 2},
    {None: 2},
    {True: 2},
    {1.5: 2},
    {(1,): 2},
    {b"a": 2},
    {"\udfff": 2},
    {Text("a"): 2},
    {Colour.RED: 2},
    {uuid.UUID(int=1): 2},
]


@st.composite
def poisoned(draw: st.DrawFn, poison: st.SearchStrategy[Any]) -> tuple[dict[str, Any], str, Any]:
    """Return a state, the path of the one value in it that is not JSON, and that value."""
    bad = draw(poison)
    value, path = bad, ""
    for key in draw(st.lists(st.text(max_size=5) | st.integers(0, 3), max_size=4)):
        if isinstance(key, str):
            value = {**draw(st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)), key: value}
            path = f"[{key!r}]{path}"
        else:
            before = draw(st.lists(SCALARS, min_size=key, max_size=key))
            value = [*before, value, *draw(st.lists(SCALARS, max_size=2))]
            path = f"[{key}]{path}"
    return {"first": 1, "here": value, "last": None}, f"state['here']{path}", bad


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal, to the types, the signs of zero and the order of keys."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one.hex() == other.hex()
    return bool(one == other)


def nested(levels: int) -> dict[str, Any]:
    """Return a state of so many levels, itself included."""
    state: dict[str, Any] = {}
    for _ in range(levels - 1):
        state = {"a": state}
    return state


def at_depth_left(frames: int, call: Callable[[], Any]) -> Any:
    """Return what ``call`` returns, called with so many frames left to the recursion limit."""
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    return _descend(sys.getrecursionlimit() - depth - frames, call)


def _descend(levels: int, call: Callable[[], Any]) -> Any:
    return call() if levels <= 0 else _descend(levels - 1, call)


@given(STATES)
@example({"a": [1, 1.0, True, 0, 0.0, -0.0, False, None]})
@example({"a": [2**53 + 1, 2**63, 2**64 - 1, -(2**63), 1e22, 5e-324]})
@example({"": "\0\ufeff\u2028😀", "\0": {"": [[], {}]}})
def test_any_json_comes_back_equal(state: dict[str, Any]) -> None:
    """To the type of each value, the sign of zero and the order of keys."""
    data = CODEC.encode(state)

    assert same(CODEC.decode(data), state)


@given(STATES)
def test_the_bytes_are_utf8_json(state: dict[str, Any]) -> None:
    """Anyone can read them, by hand too."""
    data = CODEC.encode(state)

    assert type(data) is bytes
    assert json.loads(data.decode("utf-8")) == state


@given(poisoned(st.sampled_from(POISON)))
def test_other_values_are_rejected_with_path_and_type(
    case: tuple[dict[str, Any], str, Any],
) -> None:
    """Wherever it is; the message begins with its path and names its type, and no value."""
    state, path, bad = case

    with pytest.raises(SerializationError) as caught:
        CODEC.encode(state)

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    fault = message.removeprefix(f"{path}: ")
    named = type(next(iter(bad))) if type(bad) is dict else type(bad)
    assert named.__name__ in fault or (named is str and fault == "key with a lone surrogate")


@given(
    st.dictionaries(
        st.text() | st.sampled_from([Text("text"), Colour.RED, Number.ONE]),
        st.recursive(
            SCALARS
            | st.integers()
            | st.floats()
            | st.text(st.characters(), max_size=3)
            | st.sampled_from([Colour.RED, Number.ONE, Text("text"), Whole(3), *POISON[:30]]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.lists(inner, max_size=3).map(tuple)
                | st.lists(inner, max_size=3).map(Sequence)
                | st.dictionaries(st.text(), inner, max_size=3).map(OrderedDict)
            ),
            max_leaves=6,
        ),
        max_size=3,
    )
)
def test_a_state_is_decoded_unchanged_or_rejected(state: dict[str, Any]) -> None:
    """There is no third outcome, whatever Python holds."""
    try:
        data = CODEC.encode(state)
    except SerializationError:
        return

    assert CODEC.decode(data) == state


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Number.ONE,
        Text("text"),
        Whole(3),
        Labelled.ONE,
        OrderedDict(b=1, a=2),
        defaultdict(int, a=1),
        Counter("aab"),
        Sequence([1, 2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_subclasses_are_decoded_equal_or_rejected(value: Any) -> None:
    """What comes back is of JSON's own type, and equal."""
    try:
        data = CODEC.encode({"a": value})
    except SerializationError:
        return

    loaded = CODEC.decode(data)["a"]
    assert loaded == value
    assert type(loaded) in (str, int, dict, list)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"cart": [1, 2, Decimal(1)]}, "state['cart'][2]: Decimal is not a JSON value"),
        ({"a": math.nan}, "state['a']: float that is not finite"),
        ({"a": [{"b": 2**64}]}, "state['a'][0]['b']: int of more than 64 bits"),
        ({"a": "\ud800"}, "state['a']: str with a lone surrogate"),
        ({"a": {"\ud800": 1}}, "state['a']: key with a lone surrogate"),
        ({"a": {1: 2}}, "state['a']: key of type int; keys are str"),
        ({None: 1}, "state: key of type NoneType; keys are str"),
        ({"it's": {1}}, """state["it's"]: set is not a JSON value"""),
        ({"k" * 100: {1}}, f"state['{'k' * 64}...']: set is not a JSON value"),
        ({"a": [Real(1.5)]}, "state['a'][0]: Real is not a JSON value"),
        ({"a": (1,), "b": {2}}, "state['a']: tuple is not a JSON value"),
    ],
)
def test_messages(state: dict[Any, Any], message: str) -> None:
    """The first fault is named, with its path in Python's spelling; long keys are cut."""
    with pytest.raises(SerializationError) as caught:
        CODEC.encode(state)

    assert str(caught.value) == message


def test_a_circle_is_rejected() -> None:
    """A list or an object inside itself, at whatever distance."""
    state: dict[str, Any] = {"a": {"b": [1]}}
    state["a"]["b"].append(state["a"])

    with pytest.raises(SerializationError) as caught:
        CODEC.encode(state)

    assert str(caught.value) == "state['a']['b'][1]: dict that contains itself"


def test_a_value_in_two_places_is_no_circle() -> None:
    """Sharing is legal; it comes back as two equal values."""
    shared = {"b": [1]}
    state: dict[str, Any] = {"one": shared, "two": [shared, shared]}

    assert CODEC.decode(CODEC.encode(state)) == state


@pytest.mark.parametrize("levels", [1, 2, 100, 250])
def test_250_levels_are_not_too_deep(levels: int) -> None:
    """What the message about depth promises is stored."""
    state = nested(levels)

    assert CODEC.decode(CODEC.encode(state)) == state


@pytest.mark.parametrize("levels", [300, 1_000, 100_000])
def test_a_state_too_deep_is_rejected(levels: int) -> None:
    """When it is written, and not when it is read; without recursion of our own."""
    with pytest.raises(SerializationError, match="nested more than 250 levels deep"):
        CODEC.encode(nested(levels))


@pytest.mark.parametrize("frames", [30, 60, 120, 240])
def test_no_recursion_error_escapes_near_the_limit(frames: int) -> None:
    """A caller deep in its own recursion gets its state back, or a refusal."""
    state = nested(200)

    def store() -> bytes | None:
        try:
            return CODEC.encode(state)
        except SerializationError:
            return None

    data = at_depth_left(frames, store)

    assert data is None or CODEC.decode(data) == state


@pytest.mark.parametrize("frames", [30, 60, 120])
def test_a_fault_is_named_near_the_recursion_limit(frames: int) -> None:
    """Looking for it takes a few frames, whatever the depth of the state."""
    state = nested(100_000)

    def rejected() -> str:
        with pytest.raises(SerializationError) as caught:
            CODEC.encode(state)
        return str(caught.value)

    message = at_depth_left(frames, rejected)

    assert message.endswith("nested more than 250 levels deep")


@pytest.mark.parametrize("value", POISON, ids=lambda value: type(value).__name__)
def test_refusals_carry_nothing_of_the_state(value: Any) -> None:
    """Neither the message nor a chained error shows a value, and orjson's is not chained."""
    state = {"a": "secret-text", "b": value}

    with pytest.raises(SerializationError) as caught:
        CODEC.encode(state)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"secret",
        b'{"secret": 1',
        b'{"secret": 1}secret',
        b"{'secret': 1}",
        b'{"secret": NaN}',
        b'["secret"]',
        b'"secret"',
        b"null",
        b"true",
        b"1",
        b'{"secret": "\xff"}',
        b'{"secret": "\\ud800"}',
        '{"secret": 1}'.encode("utf-16"),
        b"\x80\x04secret.",
        b'{"secret":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)
def test_other_bytes_cannot_be_decoded(data: bytes) -> None:
    """The error is ours, and no text of the state is in it or in what it leads to."""
    with pytest.raises(DeserializationError) as caught:
        CODEC.decode(data)

    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert "secret" not in "".join([str(error), repr(error), repr(error.args), repr(vars(error))])


@given(st.binary() | STATES.map(CODEC.encode).flatmap(lambda data: st.just(data[:-1])))
def test_damaged_bytes_never_raise_anything_else(data: bytes) -> None:
    """Either an object comes out, or ``DeserializationError``."""
    try:
        state = CODEC.decode(data)
    except DeserializationError:
        return

    assert type(state) is dict


class Hostile:
    """An object that raises where ``isinstance`` looks at it."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise OverflowError("poison")


class HostileText(str):
    """A text, which JSON has, that raises where it is compared."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise OverflowError("poison")


class EndlessList(list[Any]):
    """A list whose own iterator never ends."""

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(None)


class GrowingDict(dict[str, Any]):
    """A dict that grows while it is iterated over."""

    def items(self) -> Any:
        """Add a key for each."""
        for each in super().items():
            self[f"{len(self)}"] = None
            yield each


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Hostile, "state: an object in it raises an error when it is inspected"),
        (lambda: HostileText("a"), "state: a value is not equal to its JSON"),
        (lambda: EndlessList([1, {2}]), "state['a'][1]: set is not a JSON value"),
        (lambda: GrowingDict(b={2}), "state['a']['b']: set is not a JSON value"),
    ],
)
def test_an_objects_own_errors_are_refusals(make: Callable[[], Any], message: str) -> None:
    """Whatever it raises, and however it misbehaves, nothing of it is in the error."""
    with pytest.raises(SerializationError) as caught:
        CODEC.encode({"a": make()})

    assert str(caught.value) == message
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
