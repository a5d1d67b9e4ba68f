"""Objects whose methods misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from enum import Enum, IntEnum
from typing import Any, TypeVar

_Class = TypeVar("_Class")

SECRET = "Hunter2xPlantedqSecret"
"""The planted secret. Escaping does not change it, and no other text contains it."""

SECRETS = (SECRET, SECRET.encode().hex(), SECRET.encode().hex().upper())


class HostileError(Exception):
    """The error of the methods below. No entry point may raise it."""

    def __init__(self) -> None:
        super().__init__(SECRET)


_let_loose = ContextVar("_let_loose", default=False)


@contextmanager
def let_loose() -> Iterator[None]:
    """Let the objects misbehave inside the context only, so that failures can be printed."""
    token = _let_loose.set(True)
    try:
        yield
    finally:
        _let_loose.reset(token)


def raises(*names: str) -> Callable[[type[_Class]], type[_Class]]:
    """Return a class that raises in these methods."""

    def change(cls: type[_Class]) -> type[_Class]:
        for name in names:
            setattr(cls, name, _raising(getattr(cls, name, None)))
        return cls

    return change


def _raising(well_behaved: Any) -> Any:
    def method(*arguments: Any, **options: Any) -> Any:
        if well_behaved is None or _let_loose.get():
            raise HostileError
        return well_behaved(*arguments, **options)

    return method


@raises("__repr__", "__str__", "__format__")
class Unprintable:
    """Raises when it is printed."""


class Tattling:
    """Prints a secret."""

    def __repr__(self) -> str:
        return SECRET

    __str__ = __repr__


@raises("__eq__", "__hash__", "__bool__", "__len__", "__iter__")
class Incomparable:
    """Raises when it is compared, hashed or converted to a bool."""


class Agreeing:
    """Is equal to everything."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


class Masked:
    """Raises when its class is read, as ``isinstance`` does."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        if _let_loose.get():
            raise HostileError
        return Masked


class Posing:
    """Claims to be a dict."""

    __class__ = dict  # type: ignore[assignment]


class IntAndNoMore(int):
    """A subclass of int."""


class StrAndNoMore(str):
    """A subclass of str."""

    __slots__ = ()


class BytesAndNoMore(bytes):
    """A subclass of bytes."""


class TimedeltaAndNoMore(timedelta):
    """A subclass of timedelta."""


class DictAndNoMore(dict[Any, Any]):
    """A subclass of dict."""


class ListAndNoMore(list[Any]):
    """A subclass of list."""


class Number(IntEnum):
    """An enum whose members are ints."""

    ONE = 1


class Word(Enum):
    """An enum whose members JSON libraries convert to their values."""

    SECRET = SECRET


@raises("__eq__", "__lt__", "__le__", "__gt__", "__ge__")
class RaisingInt(int):
    """An int that raises when it is compared."""


@raises("__eq__", "__len__", "encode", "__str__", "__repr__")
class RaisingStr(str):
    """A str that raises when it is inspected."""

    __slots__ = ()


@raises("items", "keys", "values", "__iter__", "__len__", "__eq__")
class RaisingDict(dict[Any, Any]):
    """A dict that raises when it is read."""


@raises("__iter__", "__len__", "__eq__", "__getitem__")
class RaisingList(list[Any]):
    """A list that raises when it is read."""


class GrowingDict(dict[Any, Any]):
    """A dict that changes whenever it is read."""

    def items(self) -> Any:
        """Return an iterator over a dict that changes during the iteration."""
        for each in super().items():
            if _let_loose.get():
                self[f"more {len(self)}"] = SECRET
            yield each

    def __eq__(self, other: object) -> bool:
        if _let_loose.get():
            self[f"compared {len(self)}"] = SECRET
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]


def objects() -> list[Any]:
    """Return values of types that no entry point accepts."""
    return [
        *(None, object(), object, b"", SECRET.encode(), bytearray(b"x"), 1j, ..., print),
        *((), (SECRET,), [], [SECRET], {}, {SECRET: SECRET}, {1}, frozenset(), range(3)),
        *(Unprintable(), Tattling(), Incomparable(), Agreeing(), Posing(), Word.SECRET),
    ]


def json_like() -> list[Any]:
    """Return values that are JSON values, or similar."""
    return [
        *(RaisingInt(1), RaisingStr("x"), RaisingDict(a=1), RaisingList([1])),
        *(GrowingDict(a=1, b=2), GrowingDict(a=object()), IntAndNoMore(5), StrAndNoMore("x")),
        *(DictAndNoMore(a=1), ListAndNoMore([1]), Number.ONE, BytesAndNoMore(b"x")),
        *(DictAndNoMore(a=RaisingStr("x")), DictAndNoMore(a={1, 2}), Agreeing()),
    ]
