"""The checker of histories: what it must find, and what it must not."""

from __future__ import annotations

import pytest

from tests.reliability.calls import HOUR, S, call
from tests.reliability.checker import check
from tests.reliability.history import Operation, Outcome
from tests.reliability.simulation import FAULTS, simulated

UNKNOWN, UNKNOWN_ID, DUPLICATE = Outcome.UNKNOWN, Outcome.UNKNOWN_ID, Outcome.DUPLICATE
FAILED = Outcome.FAILED

RIGHT = {
    "a session's life": [
        call(0, 1, "create", "a", state="1"),
        call(2, 3, "load", "a", state="1"),
        call(4, 5, "update", "a", state="2"),
        call(6, 7, "update_ttl", "a", ttl=2 * HOUR),
        call(8, 9, "change_id", "a", "b"),
        call(10, 11, "load", "a"),
        call(10, 11, "load", "b", state="2", ttl=2 * HOUR - 3 * S),
        call(12, 13, "delete", "b"),
        call(14, 15, "load", "b"),
        call(16, 17, "update", "b", state="3", outcome=UNKNOWN_ID),
    ],
    "a write between two reads that saw both": [
        call(0, 1, "create", "a", state="1"),
        call(2, 9, "update", "a", state="2"),
        call(3, 4, "load", "a", state="1"),
        call(5, 6, "load", "a", state="2"),
    ],
    "an unknown write that took effect": [
        call(0, 1, "create", "a", state="1"),
        call(2, 3, "update", "a", state="2", outcome=UNKNOWN),
        call(4, 5, "load", "a", state="2"),
    ],
    "an unknown write that took none": [
        call(0, 1, "create", "a", state="1"),
        call(2, 3, "update", "a", state="2", outcome=UNKNOWN),
        call(4, 5, "load", "a", state="1"),
    ],
    "an unknown write that took effect later": [
        call(0, 1, "create", "a", state="1"),
        call(2, 3, "update", "a", state="2", outcome=UNKNOWN),
        call(4, 5, "load", "a", state="1"),
        call(6, 7, "load", "a", state="2"),
    ],
    "a call that never returned": [
        call(0, 1, "create", "a", state="1"),
        call(2, None, "change_id", "a", "b", outcome=UNKNOWN),
        call(4, 5, "load", "b", state="1"),
    ],
    "a delete that took effect twice, as its connection was lost": [
        call(0, 1, "create", "a", state="1"),
        call(2, 9, "delete", "a"),
        call(3, 4, "create", "a", state="2"),
        call(5, 6, "create", "a", state="3"),
        call(10, 11, "load", "a", state="3"),
    ],
    "an update that took effect twice": [
        call(0, 1, "create", "a", state="1"),
        call(2, 9, "update", "a", state="2"),
        call(3, 4, "load", "a", state="2"),
        call(5, 6, "update", "a", state="3"),
        call(10, 11, "load", "a", state="2"),
    ],
    "one of two creates wins": [
        call(0, 9, "create", "a", state="1", outcome=DUPLICATE),
        call(1, 8, "create", "a", state="2"),
        call(10, 11, "load", "a", state="2"),
    ],
    "one of two rotations wins": [
        call(0, 1, "create", "a", state="1"),
        call(2, 9, "change_id", "a", "b"),
        call(2, 9, "change_id", "a", "c", outcome=UNKNOWN_ID),
        call(10, 11, "load", "b", state="1"),
        call(10, 11, "load", "c"),
    ],
    "onto one id, one of two rotations wins": [
        call(0, 1, "create", "a", state="1"),
        call(0, 1, "create", "b", state="2"),
        call(2, 9, "change_id", "a", "c", outcome=DUPLICATE),
        call(2, 9, "change_id", "b", "c"),
        call(10, 11, "load", "c", state="2"),
        call(10, 11, "load", "a", state="1"),
    ],
    "a failed write changes nothing": [
        call(0, 1, "create", "a", state="1"),
        call(2, 3, "update", "a", state="2", outcome=FAILED),
        call(4, 5, "load", "a", state="1"),
    ],
    "a session expires": [
        call(0, 1, "create", "a", state="1", ttl=2 * S),
        call(1.5, 1.6, "load", "a", state="1", ttl=int(0.5 * S)),
        call(2.5, 2.6, "load", "a", state="1", ttl=int(0.2 * S)),
        call(3.5, 3.6, "load", "a"),
        call(3.7, 3.8, "create", "a", state="2"),
    ],
    "an extension in the last moment, overtaken by a read that came too late": [
        call(0, 0.1, "create", "a", state="1", ttl=2 * S),
        call(1.9, 2.5, "update_ttl", "a", ttl=2 * S),
        call(2.2, 2.3, "load", "a"),
        call(2.6, 2.7, "load", "a", state="1", ttl=int(1.4 * S)),
    ],
    "a session that ends at once": [
        call(0, 1, "create", "a", state="1"),
        call(2, 3, "update_ttl", "a", ttl=0),
        call(4, 5, "load", "a"),
        call(6, 7, "create", "a", state="2"),
    ],
    "a purge says nothing of sessions": [call(0, 1, "delete_expired")],
}

WRONG = {
    "a lost write: the old state is read": (
        "a lost write",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "update", "a", state="2"),
            call(4, 5, "load", "a", state="1"),
        ],
    ),
    "a lost create": (
        "a live session was lost",
        [call(0, 1, "create", "a", state="1"), call(2, 3, "load", "a")],
    ),
    "a lost extension": (
        "a lost write",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "update_ttl", "a", ttl=2 * HOUR),
            call(4, 5, "load", "a", state="1"),
        ],
    ),
    "a lost rotation": (
        "a live session was lost",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "change_id", "a", "b"),
            call(4, 5, "load", "b"),
        ],
    ),
    "a live session was purged": (
        "a live session was lost",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "delete_expired"),
            call(4, 5, "update_ttl", "a", outcome=UNKNOWN_ID),
        ],
    ),
    "an extended session was purged": (
        "a live session was lost",
        [
            call(0, 0.1, "create", "a", state="1", ttl=2 * S),
            call(1, 1.1, "update_ttl", "a", ttl=2 * S),
            call(2.5, 2.6, "load", "a"),
        ],
    ),
    "a deleted session came back": (
        "a dead session came back",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "delete", "a"),
            call(4, 5, "load", "a", state="1"),
        ],
    ),
    "a deleted session came back after it had been gone": (
        "a dead session came back",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "delete", "a", outcome=UNKNOWN),
            call(4, 5, "load", "a"),
            call(6, 7, "load", "a", state="1"),
        ],
    ),
    "a rotated session came back": (
        "a dead session came back",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "change_id", "a", "b"),
            call(4, 5, "load", "a", state="1"),
        ],
    ),
    "an expired session came back": (
        "a lost write",
        [
            call(0, 1, "create", "a", state="1", ttl=2 * S),
            call(5, 6, "load", "a", state="1", ttl=2 * S),
        ],
    ),
    "a late write revived a session": (
        "a write to a dead session",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "delete", "a"),
            call(4, 5, "update", "a", state="2"),
        ],
    ),
    "a delete took effect again after it had returned": (
        "two winners",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "delete", "a"),
            call(4, 5, "create", "a", state="2"),
            call(6, 7, "create", "a", state="3"),
        ],
    ),
    "a delete took effect three times": (
        "two winners",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 9, "delete", "a"),
            call(3, 4, "create", "a", state="2"),
            call(5, 6, "create", "a", state="3"),
            call(7, 8, "create", "a", state="4"),
        ],
    ),
    "a rotation took effect twice": (
        "two winners",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 9, "change_id", "a", "b"),
            call(3, 4, "create", "a", state="2"),
            call(5, 6, "create", "a", state="3"),
        ],
    ),
    "two creates won": (
        "two winners",
        [call(0, 9, "create", "a", state="1"), call(1, 8, "create", "a", state="2")],
    ),
    "two rotations from one id won": (
        "a write to a dead session",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 9, "change_id", "a", "b"),
            call(3, 8, "change_id", "a", "c"),
        ],
    ),
    "two rotations onto one id won": (
        "two winners",
        [
            call(0, 1, "create", "a", state="1"),
            call(0, 1, "create", "b", state="2"),
            call(2, 9, "change_id", "a", "c"),
            call(3, 8, "change_id", "b", "c"),
        ],
    ),
    "both ids of a rotation are live": (
        "a dead session came back",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 9, "change_id", "a", "b"),
            call(3, 4, "load", "b", state="1"),
            call(5, 6, "load", "a", state="1"),
        ],
    ),
    "neither id of a rotation is live": (
        "a live session was lost",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 9, "change_id", "a", "b"),
            call(3, 4, "load", "a"),
            call(5, 6, "load", "b"),
        ],
    ),
    "all creates were rejected": (
        "a live duplicate that was never stored",
        [
            call(0, 9, "create", "a", state="1", outcome=DUPLICATE),
            call(1, 8, "create", "a", state="2", outcome=DUPLICATE),
        ],
    ),
    "a write that failed took effect": (
        "a lost write",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "update", "a", state="2", outcome=FAILED),
            call(4, 5, "load", "a", state="2"),
        ],
    ),
    "a state that was never written": (
        "a lost write",
        [call(0, 1, "create", "a", state="1"), call(2, 3, "load", "a", state="9")],
    ),
    "a read from the past, between others": (
        "a lost write",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 9, "update", "a", state="2"),
            call(3, 4, "load", "a", state="2"),
            call(5, 6, "load", "a", state="1"),
        ],
    ),
    "an unknown create overwrote a live session": (
        "a lost write",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "create", "a", state="2", outcome=UNKNOWN),
            call(4, 5, "load", "a", state="2"),
        ],
    ),
}


@pytest.mark.parametrize("operations", RIGHT.values(), ids=RIGHT)
def test_a_right_history_is_explained(operations: list[Operation]) -> None:
    """An order is found, whatever the outcome of what is unknown."""
    assert check(operations) == []


@pytest.mark.parametrize(("what", "operations"), WRONG.values(), ids=WRONG)
def test_a_wrong_history_is_found(what: str, operations: list[Operation]) -> None:
    """No order is found, and the finding names what went wrong."""
    (finding,) = check(operations)

    assert finding.what == what


def test_a_finding_shows_the_operations_up_to_the_one_that_is_wrong() -> None:
    """The report shows what was stored and what was returned."""
    _, operations = WRONG["a lost write: the old state is read"]

    (finding,) = check([*operations, call(8, 9, "load", "a", state="1")])

    assert finding.operations == tuple(operations)
    assert str(finding).splitlines() == [
        "a lost write: a",
        "  0.000000..1.000000 worker: create a 1 ttl 3600.000: done",
        "  2.000000..3.000000 worker: update a 2 ttl 3598.000: done",
        "  4.000000..5.000000 worker: load a 1 ttl 3596.000: done",
    ]


def test_one_group_is_found_among_many() -> None:
    """What is wrong with one session says nothing about the others."""
    right = [
        operation
        for number in range(50)
        for operation in (
            call(0, 1, "create", f"id-{number}", state="1"),
            call(2, 3, "load", f"id-{number}", state="1"),
        )
    ]
    _, wrong = WRONG["a lost create"]

    findings = check([*right, *wrong])

    assert [finding.ids for finding in findings] == [("a",)]


def test_many_meetings_at_one_id_stay_decidable() -> None:
    """All at once take it and move it away; what was moved where is known at the end only."""
    many = range(12)
    meetings = [
        operation
        for each in many
        for operation in (
            call(0, 90, "create", "met", state=f"{each}"),
            call(0, 90, "change_id", "met", f"to {each}"),
        )
    ]
    ends = [call(91, 92, "load", f"to {each}", state=f"{(each * 5 + 3) % 12}") for each in many]

    assert check([*meetings, *ends]) == []

    ends[0] = call(91, 92, "load", "to 0", state="4")  # as in "to 5"
    assert check([*meetings, *ends]) != []


def test_many_unknown_writes_stay_decidable() -> None:
    """A crowd whose writes were all lost on the way doesn't make the search endless."""
    rivals = [call(1, 2, "create", "a", state=str(number), outcome=UNKNOWN) for number in range(15)]

    assert check([*rivals, call(3, 4, "load", "a", state="7"), call(5, 6, "delete", "a")]) == []


@pytest.mark.parametrize("seed", range(30))
def test_a_store_without_faults_is_always_explained(seed: int) -> None:
    """Concurrent callers of a store that keeps the contract give no finding."""
    assert check(simulated(seed)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_a_store_is_found(fault: str) -> None:
    """A store with one thing wrong, now and then, gives findings within some runs."""
    assert any(check(simulated(seed, fault)) for seed in range(10))
