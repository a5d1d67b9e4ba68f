"""Turns tuples into lists, as every session that is JSON does."""

from __future__ import annotations

from typing import Any


def with_lists(state: dict[str, Any]) -> dict[str, Any]:
    """Return ``state`` with a list in the place of each tuple.

    Packages for Django, Starlette and others put tuples into sessions and expect lists back. The
    store would reject them, as it only stores what comes back equal. All other values are left
    to the store. The given state is not changed; without tuples it is returned as it is.
    """
    try:
        return _converted_dict(state)
    except RecursionError:
        return state  # The codec rejects it and names the path.


def _converted(value: object) -> object:
    if isinstance(value, dict):
        return _converted_dict(value)
    if isinstance(value, tuple):
        return [_converted(each) for each in value]
    if isinstance(value, list):
        converted = [_converted(each) for each in value]
        return converted if any(map(_is_other, converted, value)) else value
    return value


def _converted_dict(value: dict[Any, Any]) -> dict[Any, Any]:
    converted = {key: _converted(each) for key, each in dict.items(value)}
    return converted if any(map(_is_other, converted.values(), dict.values(value))) else value


def _is_other(converted: object, value: object) -> bool:
    return converted is not value
