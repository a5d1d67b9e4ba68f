"""SIGINT and SIGTERM end a command cleanly and decide its exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading

import pytest

from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.interruption import Interruption, run
from tests.cli.running import Command
from tests.cli.terminals import in_terminal
from tests.cli.test_purge import fill, left

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_work_is_cancelled(number: int, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The work can clean up, and the exit code is that of the signal."""
    cleaned: list[bool] = []

    async def work(_: Interruption) -> ExitCode:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)
        return ExitCode.DONE

    assert run(work) == code
    assert cleaned == [True]
    assert signal.Signals(number).name in capsys.readouterr().err


def test_orderly_work_is_asked_first() -> None:
    """The first signal asks and decides the exit code, the second one cancels."""

    async def work(interruption: Interruption) -> ExitCode:
        os.kill(os.getpid(), signal.SIGTERM)
        await interruption.requested.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        return ExitCode.DONE

    assert run(work, orderly=True) == ExitCode.TERMINATED


def test_work_that_ends_anyway_is_done() -> None:
    """If the work ends normally after a signal, its own exit code counts."""

    async def work(interruption: Interruption) -> ExitCode:
        os.kill(os.getpid(), signal.SIGTERM)
        await interruption.requested.wait()
        return ExitCode.DONE

    assert run(work, orderly=True) == ExitCode.DONE


def test_a_cancellation_without_a_signal_is_raised() -> None:
    """It is not reported as an interruption."""

    async def work(_: Interruption) -> ExitCode:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work)


def test_signal_handlers_are_restored() -> None:
    """A program that calls the command may have its own handlers."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    async def work(_: Interruption) -> ExitCode:
        assert signal.getsignal(signal.SIGTERM) is not before[1]
        return ExitCode.DONE

    run(work)

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_threads_are_waited_for() -> None:
    """A thread of a driver may still use the event loop when the work is done."""
    order: list[str] = []
    may_end = threading.Event()

    def finish() -> None:
        may_end.wait()
        order.append("thread")

    async def work(_: Interruption) -> ExitCode:
        threading.Thread(target=finish).start()
        # Called after the work, as soon as the loop runs again.
        asyncio.get_running_loop().call_soon(may_end.set)
        return ExitCode.DONE

    run(work)
    order.append("run")

    assert order == ["thread", "run"]


def start_and_pause(command: Command) -> subprocess.Popen[str]:
    """Start a purge with batches of 5 and a long pause; return after the first batch."""
    before = left(command)
    running = command.start("purge", "--batch-size", "5", "--pause", "1h")
    while left(command) == before:
        assert running.poll() is None
    return running


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_purge_ends_after_its_batch(made: Command, number: int, code: int) -> None:
    """It prints what was done, and the next purge deletes the rest."""
    fill(made, expired=20)
    running = start_and_pause(made)

    running.send_signal(number)
    out, err = running.communicate(timeout=60)

    assert running.returncode == code
    assert "Deleted 5 sessions" in out
    assert out.endswith("(1 batch). Expired sessions may be left.\n")
    assert err == f"Interrupted by {signal.Signals(number).name}.\n"
    assert left(made) == 15
    assert made("purge").code == 0
    assert left(made) == 0


def test_the_next_purge_continues_a_killed_one(made: Command) -> None:
    """SIGKILL neither undoes a batch nor blocks the next purge."""
    fill(made, live=1, expired=20)
    running = start_and_pause(made)

    running.kill()
    running.communicate(timeout=60)

    assert left(made) == 16
    assert made("purge").code == 0
    assert left(made) == 1


def test_ctrl_c_ends_a_purge_on_a_terminal(local: Command) -> None:
    """It ends after the running batch, and the bar is removed."""
    local("upgrade")
    fill(local, expired=20)

    ended = in_terminal(
        ["purge", *local.place, "--batch-size", "5", "--pause", "1h"],
        keys="\x03",
        await_text="5 of 20",
    )

    assert ended.code == 130
    assert "Deleted 5 sessions" in ended.out
    assert "Interrupted by SIGINT." in ended.out
    assert left(local) == 15
