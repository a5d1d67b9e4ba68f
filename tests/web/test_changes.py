"""What a request changed in a state."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionstore_sql.web.changes import Changes, Snapshot
from sessionstore_sql.web.plain_json import with_lists

slow_machines_may_take_part = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)
states = st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4)


@slow_machines_may_take_part
@given(states, states)
def test_changes_make_one_state_of_another(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Put onto the state they were found in, they give the state that was left."""
    changes = Snapshot(before).changes_to(after)

    assert changes.onto(before) == after
    assert bool(changes) == (not Snapshot(before).is_like(after))


@slow_machines_may_take_part
@given(states, states, states)
def test_changes_leave_other_keys_alone(
    before: dict[str, Any], after: dict[str, Any], newer: dict[str, Any]
) -> None:
    """Keys that were neither set nor deleted are those of the newer state."""
    changes = Snapshot(before).changes_to(after)
    merged = changes.onto(newer)

    untouched = newer.keys() - changes.values.keys() - changes.deleted
    assert {key: merged[key] for key in untouched} == {key: newer[key] for key in untouched}
    assert merged.keys() == untouched | changes.values.keys()


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 1}, Changes({}, set())),
        ({"a": 1}, {"a": True}, Changes({"a": True}, set())),
        ({"a": 1}, {"a": 1.0}, Changes({"a": 1.0}, set())),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, Changes({}, set())),
        ({"a": [1, 2]}, {"a": (1, 2)}, Changes({}, set())),
        ({"a": [1, 2]}, {"a": [2, 1]}, Changes({"a": [2, 1]}, set())),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, Changes({"b": 3, "c": 4}, {"a"})),
    ],
    ids=str,
)
def test_values_are_compared_as_json(
    before: dict[str, Any], after: dict[str, Any], changes: Changes
) -> None:
    """What is equal for Python may be different in JSON."""
    assert Snapshot(before).changes_to(after) == changes


def test_changes_inside_of_values_are_found() -> None:
    """The snapshot does not share anything with the state."""
    state = {"a": {"deep": [1]}, "b": 1}
    snapshot = Snapshot(state)
    state["a"]["deep"].append(2)  # type: ignore[index]

    assert snapshot.changes_to(state) == Changes({"a": {"deep": [1, 2]}}, set())


def test_what_json_cannot_express_counts_as_changed() -> None:
    """A codec of the application may store it, and no change may be lost."""
    state = {"a": {1, 2}, "b": 1}
    snapshot = Snapshot(state)

    assert snapshot.changes_to(state) == Changes({"a": {1, 2}}, set())
    assert snapshot.changes_to({"b": 1}) == Changes({}, {"a"})


def test_nothing_of_a_state_is_shown() -> None:
    """Neither by a snapshot nor by changes."""
    secret = {"secret": "hidden"}

    assert "secret" not in repr(Snapshot(secret))
    assert "secret" not in repr(Snapshot({}).changes_to(secret))


class Pair(tuple[int, int]):
    """A tuple of a class of its own."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("state", "stored"),
    [
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": [(1, (2,))]}, {"a": [[1, [2]]]}),
        ({"a": {"b": ((),)}}, {"a": {"b": [[]]}}),
        ({"a": Pair((1, 2))}, {"a": [1, 2]}),
        ({"a": 1, "b": [1], "c": {}}, {"a": 1, "b": [1], "c": {}}),
    ],
    ids=str,
)
def test_tuples_become_lists(state: dict[str, Any], stored: dict[str, Any]) -> None:
    """As in every session that is JSON."""
    converted = with_lists(state)

    assert converted == stored
    assert repr(converted) == repr(stored)


@slow_machines_may_take_part
@given(states)
def test_a_state_without_tuples_is_left_alone(state: dict[str, Any]) -> None:
    """It is not even copied."""
    assert with_lists(state) is state


def test_the_given_state_is_not_changed() -> None:
    """The application goes on with its tuples."""
    state = {"a": [(1,)]}
    with_lists(state)

    assert state == {"a": [(1,)]}


def test_a_state_that_contains_itself_is_left_to_the_store() -> None:
    """Its error names the path."""
    state: dict[str, Any] = {}
    state["self"] = state

    assert with_lists(state) is state
