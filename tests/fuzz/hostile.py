"""Objects that behave as badly as Python lets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from enum import Enum, IntEnum
from typing import Any, TypeVar

_Class = TypeVar("_Class")

SECRET = "Hunter2xPlantedqSecret"
"""Planted wherever a secret can be. No escaping changes it, and nothing else contains it."""

SECRETS = (SECRET, SECRET.encode().hex(), SECRET.encode().hex().upper())


class HostileError(Exception):
    """What the methods below raise. It is never to come out of ours."""

    def __init__(self) -> None:
        super().__init__(SECRET)


_let_loose = ContextVar("_let_loose", default=False)


@contextmanager
def let_loose() -> Iterator[None]:
    """Have the objects behave badly while the context lasts: who prints a failure is spared."""
    token = _let_loose.set(True)
    try:
        yield
    finally:
        _let_loose.reset(token)


def raises(*names: str) -> Callable[[type[_Class]], type[_Class]]:
    """Have a class raise in these methods."""

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
    """Raises where it is printed."""


class Tattling:
    """Prints a secret."""

    def __repr__(self) -> str:
        return SECRET

    __str__ = __repr__


@raises("__eq__", "__hash__", "__bool__", "__len__", "__iter__")
class Incomparable:
    """Raises where it is compared, hashed, or asked whether it is true."""


class Agreeing:
    """Is equal to everything."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


class Masked:
    """Raises where it is asked for its class, as ``isinstance`` does."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        if _let_loose.get():
            raise HostileError
        return Masked


class Posing:
    """Says that it is a dict."""

    __class__ = dict  # type: ignore[assignment]


class IntAndNoMore(int):
    """An int of another type."""


class StrAndNoMore(str):
    """A str of another type."""

    __slots__ = ()


class BytesAndNoMore(bytes):
    """Bytes of another type."""


class TimedeltaAndNoMore(timedelta):
    """A timedelta of another type."""


class DictAndNoMore(dict[Any, Any]):
    """A dict of another type."""


class ListAndNoMore(list[Any]):
    """A list of another type."""


class Number(IntEnum):
    """Enums that are ints, which JSON has."""

    ONE = 1


class Word(Enum):
    """Enums that are not, which JSON libraries like to unwrap."""

    SECRET = SECRET


@raises("__eq__", "__lt__", "__le__", "__gt__", "__ge__")
class RaisingInt(int):
    """An int that raises where it is compared."""


@raises("__eq__", "__len__", "encode", "__str__", "__repr__")
class RaisingStr(str):
    """A str that raises where it is looked at."""

    __slots__ = ()


@raises("items", "keys", "values", "__iter__", "__len__", "__eq__")
class RaisingDict(dict[Any, Any]):
    """A dict that raises where it is looked into."""


@raises("__iter__", "__len__", "__eq__", "__getitem__")
class RaisingList(list[Any]):
    """A list that raises where it is looked into."""


class GrowingDict(dict[Any, Any]):
    """A dict that is another one each time that it is looked into."""

    def items(self) -> Any:
        """Return an iterator over a dict that changes meanwhile."""
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
    """Return what is of no type that anything takes."""
    return [
        *(None, object(), object, b"", SECRET.encode(), bytearray(b"x"), 1j, ..., print),
        *((), (SECRET,), [], [SECRET], {}, {SECRET: SECRET}, {1}, frozenset(), range(3)),
        *(Unprintable(), Tattling(), Incomparable(), Agreeing(), Posing(), Word.SECRET),
    ]


def json_like() -> list[Any]:
    """Return what is, or looks like, a JSON value."""
    return [
        *(RaisingInt(1), RaisingStr("x"), RaisingDict(a=1), RaisingList([1])),
        *(GrowingDict(a=1, b=2), GrowingDict(a=object()), IntAndNoMore(5), StrAndNoMore("x")),
        *(DictAndNoMore(a=1), ListAndNoMore([1]), Number.ONE, BytesAndNoMore(b"x")),
        *(DictAndNoMore(a=RaisingStr("x")), DictAndNoMore(a={1, 2}), Agreeing()),
    ]
