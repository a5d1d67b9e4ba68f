"""Tracebacks that leave the store: the same places, and no variables."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import traceback
import weakref
from collections.abc import Iterator
from types import FrameType

import pytest

from sessionstore_sql import CreateError, DatabaseError
from sessionstore_sql.errors import for_operation
from sessionstore_sql.tracebacks import remove_variables


def fail(secret: str) -> None:
    """Raise an error that leads to two others."""
    try:
        try:
            int(f"no number: {len(secret)}")
        except ValueError as error:
            raise OSError("the driver's") from error
    except OSError:
        raise ValueError("SQLAlchemy's")  # noqa: B904  # its context is what is looked at


def failure() -> ValueError:
    """Return an error whose frames hold a secret."""
    with pytest.raises(ValueError, match="SQLAlchemy") as caught:
        fail("secret")
    return caught.value


def frames(error: BaseException) -> Iterator[FrameType]:
    """Yield every frame of the error and of those that it leads to, and their callers here."""
    for each in (error, error.__cause__, error.__context__):
        if each is not None:
            yield from (frame for frame, _ in traceback.walk_tb(each.__traceback__))
            if each is not error:
                yield from frames(each)


def test_the_text_of_a_traceback_stays() -> None:
    """Files, lines, functions and the lines of source are those of before."""
    error = failure()
    before = traceback.format_exception(error)

    remove_variables(error)

    after = [line for line in traceback.format_exception(error) if line]
    assert [each.translate({ord(mark): None for mark in "^~"}).rstrip() for each in after] == [
        each.translate({ord(mark): None for mark in "^~"}).rstrip() for each in before
    ]


def test_no_frame_has_a_variable() -> None:
    """Neither of the error nor of those that it leads to."""
    error = failure()

    remove_variables(error)

    assert "fail" in {frame.f_code.co_name for frame in frames(error)}
    assert [frame.f_locals for frame in frames(error) if frame.f_locals] == []
    assert {frame.f_globals["__name__"] for frame in frames(error)} == {__name__}


def test_no_frame_leads_to_the_old_ones() -> None:
    """The callers of the new frames hold none of the old ones, so their memory is freed."""

    class Secret(str):
        __slots__ = ("__weakref__",)

    def run(secret: Secret) -> None:
        fail(secret)

    with pytest.raises(ValueError, match="SQLAlchemy") as caught:
        run(Secret("secret"))
    error = caught.value
    (secret,) = [
        weakref.ref(frame.f_locals["secret"])
        for frame in frames(error)
        if frame.f_code.co_name == "run"
    ]
    assert secret() is not None

    remove_variables(error)

    del caught
    gc.collect()
    assert secret() is None


def test_a_second_time_changes_nothing() -> None:
    """An error that fails several calls is looked at for each."""
    error = failure()
    remove_variables(error)
    before = [id(frame) for frame in frames(error)]

    remove_variables(error)

    assert [id(frame) for frame in frames(error)] == before


def test_circles_and_groups_are_followed() -> None:
    """Errors may lead to each other, and to several at once."""
    first, second = failure(), failure()
    first.__context__, second.__context__ = second, first
    group = ExceptionGroup("several", [first])

    remove_variables(group)

    for error in (first, second):
        assert error.__traceback__ is not None
        assert error.__traceback__.tb_frame.f_locals == {}


def test_an_error_that_was_not_raised_has_no_traceback() -> None:
    """There is nothing to do."""
    error = ValueError()

    remove_variables(error)

    assert error.__traceback__ is None


@pytest.mark.anyio
async def test_a_task_that_caught_the_error_goes_on() -> None:
    """Its frame is in the traceback, and it is waiting when the variables are removed."""
    caught: asyncio.Future[ValueError] = asyncio.get_running_loop().create_future()
    go_on = asyncio.Event()

    async def work() -> str:
        secret = "secret"
        try:
            fail(secret)
        except ValueError as error:
            caught.set_result(error)
        await go_on.wait()
        return secret

    task = asyncio.create_task(work())
    remove_variables(await caught)
    go_on.set()

    assert await task == "secret"


def test_an_error_of_an_operation_has_no_variables() -> None:
    """``for_operation`` is where every error of a backend passes."""

    def execute(parameters: str) -> None:
        cause = DatabaseError("it failed")
        cause.__cause__ = failure()
        raise cause

    with pytest.raises(DatabaseError) as caught:
        execute("secret")
    cause = caught.value

    error = for_operation(CreateError, cause)

    assert "execute" in {frame.f_code.co_name for frame in frames(error)}
    assert "secret" not in repr([frame.f_locals for frame in frames(error)])


def test_an_error_that_ends_the_process_is_printed_as_ever() -> None:
    """By the interpreter itself, too, which prints without the library's help."""
    script = """
from sessionstore_sql.tracebacks import remove_variables

def fail(secret):
    raise ValueError("it failed")

try:
    fail("secret")
except ValueError as error:
    remove_variables(error)
    raise
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    lines = done.stderr.splitlines()
    assert 'File "<string>", line 5, in fail' in done.stderr
    assert lines[-1] == "ValueError: it failed"
    assert "Traceback (most recent call last):" in lines
