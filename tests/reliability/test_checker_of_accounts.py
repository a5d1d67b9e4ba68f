"""The checker of histories with users: what it must find, and what it must not."""

from __future__ import annotations

import pytest

from tests.reliability.account_simulation import ACCOUNT_FAULTS, simulated_with_users
from tests.reliability.calls import call
from tests.reliability.checker import check
from tests.reliability.history import Operation, Outcome

UNKNOWN, UNKNOWN_ID, FAILED = Outcome.UNKNOWN, Outcome.UNKNOWN_ID, Outcome.FAILED
CONFLICT, DUPLICATE = Outcome.CONFLICT, Outcome.DUPLICATE

SIGNED_IN = call(0, 1, "sign_in", "a", of="ada", handles=("h1",), state="1")
UNHEARD = call(0, 1, "sign_in", "a", of="ada", state="1", outcome=UNKNOWN)
GONE = call(90, 91, "load_session", "a")


def seen(
    since: float, session_id: str, state: str, of: str | None = "ada", handle: str = "h1"
) -> Operation:
    """Return the load of a session that is live."""
    handles = () if of is None else (handle,)
    return call(since, since + 1, "load_session", session_id, of=of, handles=handles, state=state)


RIGHT = {
    "a user's session": [
        call(0, 1, "create", "a", state="1"),
        seen(2, "a", "1", None),
        call(4, 5, "sign_in", "a", "b", of="ada", handles=("h1",), state="2", expected="1"),
        call(6, 7, "sessions_of", of="ada", handles=("h1",)),
        call(8, 9, "replace", "b", "c", state="3", expected="2"),
        call(10, 11, "update", "c", state="4"),
        call(12, 13, "update_if", "c", state="5", expected="4"),
        call(14, 15, "update_if", "c", state="6", expected="4", outcome=CONFLICT),
        call(16, 17, "change_id", "c", "d"),
        seen(18, "d", "5"),
        call(20, 21, "sign_out", "d", of="ada", handles=("h1",)),
        call(22, 23, "sessions_of", of="ada"),
        call(24, 25, "update_if", "d", state="7", expected="5", outcome=UNKNOWN_ID),
    ],
    "the same user proves again who they are": [
        SIGNED_IN,
        call(2, 3, "sign_in", "a", "b", of="ada", handles=("h1",), state="2"),
        seen(4, "b", "2"),
    ],
    "another user signs in": [
        SIGNED_IN,
        call(2, 3, "sign_in", "a", "b", of="grace", handles=("h2",), state="2"),
        seen(4, "b", "2", "grace", "h2"),
        call(6, 7, "sessions_of", of="ada"),
        call(8, 9, "revoke", of="ada"),
        call(10, 11, "sessions_of", of="grace", handles=("h2",)),
    ],
    "all sessions of a user are revoked": [
        SIGNED_IN,
        call(0, 1, "sign_in", "b", of="ada", handles=("h2",), state="2"),
        call(0, 1, "sign_in", "c", of="grace", handles=("h3",), state="3"),
        call(2, 3, "revoke", of="ada"),
        call(4, 5, "load_session", "b"),
        seen(6, "c", "3", "grace", "h3"),
        GONE,
    ],
    "one session of a user is revoked": [
        SIGNED_IN,
        call(0, 1, "sign_in", "b", of="ada", handles=("h2",), state="2"),
        call(2, 3, "revoke_only", of="ada", handles=("h1",)),
        call(4, 5, "sessions_of", of="ada", handles=("h2",)),
        GONE,
    ],
    "all sessions of a user but one are revoked": [
        SIGNED_IN,
        call(0, 1, "sign_in", "b", of="ada", handles=("h2",), state="2"),
        call(2, 3, "revoke_others", of="ada", handles=("h2",)),
        call(4, 5, "sessions_of", of="ada", handles=("h2",)),
        GONE,
    ],
    "a session that is rotated while it is revoked": [
        SIGNED_IN,
        call(2, 9, "revoke", of="ada"),
        call(3, 4, "change_id", "a", "b"),
        call(5, 6, "load", "b", state="1"),
        call(10, 11, "load", "b"),
    ],
    "a sign-in during a revocation survives it, though an earlier one is ended later": [
        SIGNED_IN,
        call(2, 9, "revoke", of="ada"),
        call(3, 4, "sign_in", "b", of="ada", handles=("h2",), state="2"),
        seen(5, "a", "1"),
        call(10, 11, "sessions_of", of="ada", handles=("h2",)),
        GONE,
    ],
    "a sign-in during a revocation does not survive it": [
        call(2, 9, "revoke", of="ada"),
        call(3, 4, "sign_in", "a", of="ada", handles=("h1",), state="1"),
        GONE,
    ],
    "an unknown revocation that ended one of two sessions": [
        SIGNED_IN,
        call(0, 1, "sign_in", "b", of="ada", handles=("h2",), state="2"),
        call(2, 3, "revoke", of="ada", outcome=UNKNOWN),
        call(4, 5, "sessions_of", of="ada", handles=("h2",)),
        GONE,
    ],
    "an unknown revocation that took effect later": [
        SIGNED_IN,
        call(2, 3, "revoke", of="ada", outcome=UNKNOWN),
        seen(4, "a", "1"),
        GONE,
    ],
    "an unknown sign-in whose handle is loaded": [
        UNHEARD,
        seen(2, "a", "1"),
        call(4, 5, "sessions_of", of="ada", handles=("h1",)),
        call(6, 7, "revoke_only", of="ada", handles=("h1",)),
        GONE,
    ],
    "an unknown sign-in whose handle is only listed": [
        UNHEARD,
        call(2, 3, "sessions_of", of="ada", handles=("h1",)),
        call(4, 5, "revoke_only", of="ada", handles=("h1",)),
        GONE,
    ],
    "an unknown sign-in that is kept": [
        UNHEARD,
        call(2, 3, "sessions_of", of="ada", handles=("h1",)),
        call(4, 5, "revoke_others", of="ada", handles=("h1",)),
        call(6, 7, "load", "a", state="1"),
        call(8, 9, "sessions_of", of="ada", handles=("h1",)),
    ],
    "an unknown sign-in that took no effect": [UNHEARD, call(2, 3, "sessions_of", of="ada"), GONE],
    "a sign-out of a session that was rotated": [
        SIGNED_IN,
        call(2, 3, "change_id", "a", "b"),
        call(4, 5, "sign_out", "a", of="ada", handles=("h1",)),
        call(6, 7, "load", "b"),
    ],
    "a sign-out of a session that ended before": [
        SIGNED_IN,
        call(2, 3, "delete", "a"),
        call(4, 5, "sign_out", "a", of="ada", handles=("h1",)),
    ],
    "a session that is revoked as its user signs in again, so that no handle is found": [
        SIGNED_IN,
        call(2, 9, "sign_in", "a", "b", of="ada", handles=("h9",), state="2"),
        call(3, 4, "sessions_of", of="ada", handles=("h1",)),
        call(3, 8, "revoke", of="ada"),
        call(10, 11, "load_session", "b"),
    ],
    "a session that is taken over as its user signs in again": [
        SIGNED_IN,
        call(2, 9, "sign_in", "a", "b", of="ada", handles=("h9",), state="2"),
        call(3, 8, "sign_in", "b", "c", of="grace", handles=("h2",), state="3"),
        seen(10, "c", "3", "grace", "h2"),
    ],
    "one of two conditional writes wins": [
        SIGNED_IN,
        call(2, 9, "update_if", "a", state="2", expected="1"),
        call(2, 9, "update_if", "a", state="3", expected="1", outcome=CONFLICT),
        seen(10, "a", "2"),
    ],
    "an unknown conditional write that took effect": [
        SIGNED_IN,
        call(2, 3, "update_if", "a", state="2", expected="1", outcome=UNKNOWN),
        call(4, 5, "update_if", "a", state="3", expected="1", outcome=CONFLICT),
        seen(6, "a", "2"),
    ],
    "a conditional write that took effect twice, with an extension between": [
        SIGNED_IN,
        call(2, 9, "update_if", "a", state="2", expected="1", ttl=3_600_000_000_000),
        call(3, 4, "update_ttl", "a", ttl=7_200_000_000_000),
        call(5, 6, "load", "a", state="2", ttl=7_198_000_000_000),
        call(10, 11, "load", "a", state="2", ttl=3_595_000_000_000),
    ],
    "a sign-in onto an id that is taken": [
        SIGNED_IN,
        call(2, 3, "sign_in", "a", of="grace", state="2", outcome=DUPLICATE),
        call(2, 3, "create", "b", state="3"),
        call(4, 5, "replace", "b", "a", state="4", outcome=DUPLICATE),
        seen(6, "a", "1"),
    ],
}

WRONG = {
    "a revoked session came back": (
        "a dead session came back",
        [SIGNED_IN, call(2, 3, "revoke", of="ada"), seen(4, "a", "1")],
    ),
    "a revoked session came back under its new id": (
        "a write to a dead session",
        [
            SIGNED_IN,
            call(2, 5, "revoke", of="ada"),
            call(6, 9, "change_id", "a", "b"),
            call(10, 11, "load", "b", state="1"),
        ],
    ),
    "a session that was rotated meanwhile survived the revocation": (
        "a dead session came back",
        [
            SIGNED_IN,
            call(2, 9, "revoke", of="ada"),
            call(3, 4, "change_id", "a", "b"),
            call(10, 11, "load", "b", state="1"),
        ],
    ),
    "a revoked session came back into the list": (
        "a dead session came back",
        [
            SIGNED_IN,
            call(2, 3, "revoke", of="ada"),
            call(4, 5, "sessions_of", of="ada", handles=("h1",)),
        ],
    ),
    "a late conditional write revived a revoked session": (
        "a write to a dead session",
        [
            SIGNED_IN,
            call(2, 3, "revoke", of="ada"),
            call(4, 5, "update_if", "a", state="2", expected="1"),
        ],
    ),
    "the only session to revoke survived": (
        "a dead session came back",
        [SIGNED_IN, call(2, 3, "revoke_only", of="ada", handles=("h1",)), seen(4, "a", "1")],
    ),
    "another than the only session to revoke was ended": (
        "a live session was lost",
        [
            SIGNED_IN,
            call(0, 1, "sign_in", "b", of="ada", handles=("h2",), state="2"),
            call(2, 3, "revoke_only", of="ada", handles=("h2",)),
            GONE,
        ],
    ),
    "the session to keep was ended": (
        "a live session was lost",
        [SIGNED_IN, call(2, 3, "revoke_others", of="ada", handles=("h1",)), GONE],
    ),
    "another session than the one to keep survived": (
        "a dead session came back",
        [
            SIGNED_IN,
            call(0, 1, "sign_in", "b", of="ada", handles=("h2",), state="2"),
            call(2, 3, "revoke_others", of="ada", handles=("h2",)),
            seen(4, "a", "1"),
        ],
    ),
    "a session of another user was revoked": (
        "a live session was lost",
        [SIGNED_IN, call(2, 3, "revoke", of="grace"), GONE],
    ),
    "a revocation that failed ended a session": (
        "a live session was lost",
        [SIGNED_IN, call(2, 3, "revoke", of="ada", outcome=FAILED), GONE],
    ),
    "a revocation took effect after it had returned": (
        "a live session was lost",
        [
            call(0, 1, "revoke", of="ada"),
            call(2, 3, "sign_in", "a", of="ada", handles=("h1",), state="1"),
            GONE,
        ],
    ),
    "a signed-out session is there": (
        "a dead session came back",
        [SIGNED_IN, call(2, 3, "sign_out", "a", of="ada", handles=("h1",)), seen(4, "a", "1")],
    ),
    "a sign-out missed the session, which was rotated": (
        "a dead session came back",
        [
            SIGNED_IN,
            call(2, 3, "change_id", "a", "b"),
            call(4, 5, "sign_out", "a", of="ada", handles=("h1",)),
            seen(6, "b", "1"),
        ],
    ),
    "an acknowledged sign-in was lost": ("a live session was lost", [SIGNED_IN, GONE]),
    "an acknowledged sign-in is not in the list": (
        "a live session was lost",
        [SIGNED_IN, call(2, 3, "sessions_of", of="ada")],
    ),
    "a sign-in that failed took effect": (
        "a dead session came back",
        [call(0, 1, "sign_in", "a", of="ada", state="1", outcome=FAILED), seen(2, "a", "1")],
    ),
    "two sign-ins won one id": (
        "two winners",
        [SIGNED_IN, call(0, 1, "sign_in", "a", of="grace", handles=("h2",), state="2")],
    ),
    "two sign-ins from one session won": (
        "a write to a dead session",
        [
            SIGNED_IN,
            call(2, 9, "sign_in", "a", "b", of="ada", handles=("h1",), state="2"),
            call(3, 8, "sign_in", "a", "c", of="ada", handles=("h1",), state="3"),
        ],
    ),
    "both ids of a sign-in are live": (
        "a dead session came back",
        [
            SIGNED_IN,
            call(2, 3, "sign_in", "a", "b", of="ada", handles=("h1",), state="2"),
            seen(4, "a", "1"),
        ],
    ),
    "an acknowledged conditional write was lost": (
        "a lost write",
        [SIGNED_IN, call(2, 3, "update_if", "a", state="2", expected="1"), seen(4, "a", "1")],
    ),
    "an older version was written over a newer one": (
        "a write over a newer state",
        [
            SIGNED_IN,
            call(2, 3, "update_if", "a", state="2", expected="1"),
            call(4, 5, "update_if", "a", state="3", expected="1"),
        ],
    ),
    "two conditional writes won": (
        "a write to a dead session",
        [
            SIGNED_IN,
            call(2, 9, "update_if", "a", state="2", expected="1"),
            call(3, 8, "replace", "a", "b", state="3", expected="1"),
            seen(10, "b", "3"),
        ],
    ),
    "a conditional sign-in overwrote a newer state": (
        "a write over a newer state",
        [
            call(0, 1, "create", "a", state="1"),
            call(2, 3, "update", "a", state="2"),
            call(4, 5, "sign_in", "a", "b", of="ada", handles=("h1",), state="3", expected="1"),
        ],
    ),
    "a conflict with nothing": (
        "a conflict with no other write",
        [SIGNED_IN, call(2, 3, "update_if", "a", state="2", expected="1", outcome=CONFLICT)],
    ),
    "a conflict of a call that expected nothing": (
        "a conflict with no other write",
        [SIGNED_IN, call(2, 3, "replace", "a", "b", state="2", outcome=CONFLICT)],
    ),
    "a conditional write in conflict took effect": (
        "a lost write",
        [
            SIGNED_IN,
            call(2, 3, "update", "a", state="2"),
            call(4, 5, "update_if", "a", state="3", expected="1", outcome=CONFLICT),
            seen(6, "a", "3"),
        ],
    ),
    "a session changed its user": (
        "a session of another user",
        [SIGNED_IN, seen(2, "a", "1", "grace")],
    ),
    "a rotation lost the user": (
        "a session of another user",
        [SIGNED_IN, call(2, 3, "replace", "a", "b", state="2"), seen(4, "b", "2", None)],
    ),
    "an anonymous session got a user": (
        "a session of another user",
        [call(0, 1, "create", "a", state="1"), seen(2, "a", "1")],
    ),
    "the handle changed": ("another handle", [SIGNED_IN, seen(2, "a", "1", handle="h2")]),
    "the handle changed although the user stayed": (
        "another handle",
        [
            SIGNED_IN,
            call(2, 3, "sign_in", "a", "b", of="ada", handles=("h1",), state="2"),
            seen(4, "b", "2", handle="h2"),
        ],
    ),
    "a sign-in returned another handle than the session has": (
        "a lost write",
        [
            SIGNED_IN,
            call(2, 3, "sign_in", "a", "b", of="ada", handles=("h2",), state="2"),
            seen(4, "b", "2"),
        ],
    ),
    "another user got the same handle": (
        "a session of another user",
        [SIGNED_IN, call(2, 3, "sign_in", "a", "b", of="grace", handles=("h1",), state="2")],
    ),
    "a list shows a session of another user": (
        "a session of another user",
        [SIGNED_IN, call(2, 3, "sessions_of", of="grace", handles=("h1",))],
    ),
    "a list shows a session that has another user by now": (
        "a session of another user",
        [
            SIGNED_IN,
            call(2, 3, "sign_in", "a", "b", of="grace", handles=("h2",), state="2"),
            call(4, 5, "sessions_of", of="grace", handles=("h2",)),
            call(6, 7, "sessions_of", of="ada", handles=("h2",)),
        ],
    ),
    "a list shows a handle that no sign-in made": (
        "a handle of no sign-in",
        [SIGNED_IN, call(2, 3, "sessions_of", of="ada", handles=("h1", "h9"))],
    ),
    "lists show more handles than sign-ins did not return": (
        "a handle of no sign-in",
        [
            UNHEARD,
            call(2, 3, "sessions_of", of="ada", handles=("h8",)),
            call(4, 5, "sessions_of", of="ada", handles=("h9",)),
        ],
    ),
    "two sessions have one handle": (
        "one handle of two sessions",
        [SIGNED_IN, call(2, 3, "sign_in", "b", of="ada", handles=("h1",), state="2")],
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


def test_a_finding_shows_users_handles_and_versions() -> None:
    """The report shows all that the calls were given and returned."""
    _, operations = WRONG["an older version was written over a newer one"]

    (finding,) = check([call(0, 1, "revoke_only", of="ada", handles=("h1",)), *operations])

    assert str(finding).splitlines() == [
        "a write over a newer state: a",
        "  0.000000..1.000000 worker: sign_in [ada] a h1 1 ttl 3600.000: done",
        "  0.000000..1.000000 worker: revoke_only [ada] h1: done",
        "  2.000000..3.000000 worker: update_if a 1 -> 2 ttl 3598.000: done",
        "  4.000000..5.000000 worker: update_if a 1 -> 3 ttl 3596.000: done",
    ]


def test_a_revocation_concerns_each_session_by_itself() -> None:
    """Many revocations of a user with many sessions stay decidable."""
    many = range(6)
    operations = [
        operation
        for each in many
        for operation in (
            call(0, 1, "sign_in", f"{each}", of="ada", handles=(f"h{each}",), state=f"{each}"),
            call(2, 90, "change_id", f"{each}", f"to {each}"),
            call(2, 80, "revoke_only", of="ada", handles=(f"h{each}",), outcome=UNKNOWN),
            call(2, 90, "revoke_others", of="ada", handles=("h3",)),
        )
    ]
    ends = [call(91, 92, "load", f"to {each}", state=f"{each}") for each in many if each == 3]

    assert check([*operations, *ends]) == []

    ends.append(call(91, 92, "load", "to 4", state="4"))
    assert [each.what for each in check([*operations, *ends])] == ["a dead session came back"]


@pytest.mark.parametrize("seed", range(10))
def test_a_store_without_faults_is_always_explained(seed: int) -> None:
    """Concurrent callers of a store that keeps the contract give no finding."""
    assert check(simulated_with_users(seed)) == []


@pytest.mark.parametrize("fault", ACCOUNT_FAULTS)
def test_each_fault_of_a_store_is_found(fault: str) -> None:
    """A store with one thing wrong, now and then, gives findings within some runs."""
    assert any(check(simulated_with_users(seed, fault)) for seed in range(10))
