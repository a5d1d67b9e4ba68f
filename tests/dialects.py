"""Dialects that differ from the real ones, for tests."""

from __future__ import annotations

from copy import copy
from typing import Any

from sessionstore_sql.sql.dialects import Dialect


def changed(dialect: Dialect, **attributes: Any) -> Dialect:
    """Return a copy of ``dialect`` with other attributes and methods."""
    other = copy(dialect)
    for name, value in attributes.items():
        assert hasattr(dialect, name), name
        setattr(other, name, value)
    return other
