"""The recorded history, also if its writer was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.history import Answer, Operation, Outcome, Recorder, read_histories
from tests.reliability.history import read_history as read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of one process's history."""
    return tmp_path / "worker-1.history"


def test_a_call_and_its_answer_are_one_operation(path: Path) -> None:
    """The state and the ttl are those given, unless the answer has others."""
    recorder = Recorder(path)
    recorder.answer(recorder.call("create", "a", state="1", ttl=5), Answer(Outcome.DONE))
    recorder.answer(recorder.call("load", "a"), Answer(Outcome.DONE, state="1", ttl=4))
    recorder.close()

    created, loaded = read(path)

    assert (created.worker, created.name, created.ids) == ("worker-1", "create", ("a",))
    assert (created.outcome, created.state, created.ttl) == (Outcome.DONE, "1", 5)
    assert (loaded.outcome, loaded.state, loaded.ttl) == (Outcome.DONE, "1", 4)
    assert created.returned is not None
    assert created.invoked <= created.returned <= loaded.invoked


def test_users_handles_and_versions_are_kept(path: Path) -> None:
    """As they were given, or returned."""
    recorder = Recorder(path)
    number = recorder.call("sign_in", "a", subject="ada", state="2", expected="1")
    recorder.answer(number, Answer(Outcome.DONE, handles=("h1",)))
    number = recorder.call("revoke_only", subject="ada", handles=("h1",))
    recorder.answer(number, Answer(Outcome.DONE))
    recorder.close()

    signed_in, revoked = read(path)

    assert (signed_in.subject, signed_in.handles) == ("ada", ("h1",))
    assert (signed_in.state, signed_in.expected) == ("2", "1")
    assert (revoked.ids, revoked.subject, revoked.handles) == ((), "ada", ("h1",))


def test_what_failed_says_why(path: Path) -> None:
    """The error, and whether it passes."""
    recorder = Recorder(path)
    answer = Answer(Outcome.FAILED, error="DatabaseError: gone", transient=True)
    recorder.answer(recorder.call("delete", "a"), answer)
    recorder.close()

    (operation,) = read(path)

    assert operation.outcome is Outcome.FAILED
    assert (operation.error, operation.transient) == ("DatabaseError: gone", True)


def test_answers_find_their_calls(path: Path) -> None:
    """Calls of one process overlap."""
    recorder = Recorder(path)
    first, second = recorder.call("load", "a"), recorder.call("change_id", "b", "c")
    recorder.answer(second, Answer(Outcome.UNKNOWN_ID))
    recorder.answer(first, Answer(Outcome.DONE))
    recorder.close()

    assert [(each.ids, each.outcome) for each in read(path)] == [
        (("a",), Outcome.DONE),
        (("b", "c"), Outcome.UNKNOWN_ID),
    ]


def test_a_call_without_an_answer_is_unknown(path: Path) -> None:
    """The process died as it waited."""
    recorder = Recorder(path)
    recorder.call("update", "a", state="1", ttl=5)
    recorder.close()

    (operation,) = read(path)

    assert operation.outcome is Outcome.UNKNOWN
    assert operation.returned is None
    assert operation.may_have_changed


def test_half_a_line_at_the_end_was_never_written(path: Path) -> None:
    """The process died as it wrote."""
    recorder = Recorder(path)
    recorder.answer(recorder.call("load", "a"), Answer(Outcome.DONE))
    recorder.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'[2,17,"delete",["')

    assert [operation.name for operation in read(path)] == ["load"]


def test_several_histories_are_one(tmp_path: Path) -> None:
    """The order is that of the calls of all processes."""
    recorders = [Recorder(tmp_path / f"{name}.history") for name in ("one", "two")]
    for name, recorder in zip(
        ("create", "load", "delete"), [*recorders, recorders[0]], strict=True
    ):
        recorder.answer(recorder.call(name, "a"), Answer(Outcome.DONE))
    for recorder in recorders:
        recorder.close()

    everything = read_histories(sorted(tmp_path.iterdir()))

    assert [(each.worker, each.name) for each in everything] == [
        ("one", "create"),
        ("two", "load"),
        ("one", "delete"),
    ]


@pytest.mark.parametrize(
    ("name", "outcome", "may_have_changed"),
    [
        ("update", Outcome.UNKNOWN, True),
        ("update", Outcome.BROKEN, True),
        ("update", Outcome.FAILED, False),
        ("update", Outcome.DONE, False),
        ("load", Outcome.UNKNOWN, False),
        ("sessions_of", Outcome.UNKNOWN, False),
        ("revoke_only", Outcome.UNKNOWN, True),
    ],
)
def test_writes_with_unknown_outcomes_may_have_taken_effect(
    name: str, outcome: Outcome, may_have_changed: bool
) -> None:
    """Writes that neither took effect for certain nor certainly did not."""
    operation = Operation("worker", name, ("a",), 0, 1, outcome)

    assert operation.may_have_changed is may_have_changed
