"""Undocumented names of SQLAlchemy, hidden from the module that uses them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from sessionstore_sql.sql import direct


class _Hidden:
    """An attribute that SQLAlchemy itself still finds, and ``sql/direct.py`` does not."""

    def __init__(self, owner: type, name: str) -> None:
        self._name = name
        (self._defined,) = [
            each.__dict__[name] for each in owner.__mro__ if name in each.__dict__
        ] or [None]

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if sys._getframe(1).f_globals["__name__"] == direct.__name__:
            raise AttributeError(self._name)
        if instance is not None and self._name in instance.__dict__:
            return instance.__dict__[self._name]
        if hasattr(self._defined, "__get__"):
            return self._defined.__get__(instance, owner)
        return self._defined

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = value


def hide(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Hide a name, as if a release of SQLAlchemy had removed it, until the test ends."""
    monkeypatch.setattr(owner, name, _Hidden(owner, name), raising=False)
