"""SIGINT and SIGTERM: an end in good order, and an exit code that tells."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time

import pytest

from sessionstore_sql.command_line.exit_codes import ExitCode
from sessionstore_sql.command_line.interruption import Interruption, run
from tests.cli.running import Command
from tests.cli.terminals import in_terminal
from tests.cli.test_purge import fill, left

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_work_is_cancelled(number: int, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """It can clean up, and the exit code names the signal."""
    cleaned: list[bool] = []

    async def work(_: Interruption) -> ExitCode:
        os.kill(os.getpid(), number)
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)
        return ExitCode.DONE

    assert run(work) == code
    assert cleaned == [True]
    assert signal.Signals(number).name in capsys.readouterr().err


def test_orderly_work_is_asked_first() -> None:
    """The first signal only asks; the second one cancels, and the first one counts."""

    async def work(interruption: Interruption) -> ExitCode:
        os.kill(os.getpid(), signal.SIGTERM)
        await interruption.requested.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
        return ExitCode.DONE

    assert run(work, orderly=True) == ExitCode.TERMINATED


def test_work_that_ends_anyway_is_done() -> None:
    """A signal that came too late to change anything changes nothing."""

    async def work(interruption: Interruption) -> ExitCode:
        os.kill(os.getpid(), signal.SIGTERM)
        await interruption.requested.wait()
        return ExitCode.DONE

    assert run(work, orderly=True) == ExitCode.DONE


def test_a_cancellation_of_its_own_is_an_error() -> None:
    """Nobody sent a signal, so nobody is told of one."""

    async def work(_: Interruption) -> ExitCode:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(work)


def test_handlers_are_put_back() -> None:
    """Whoever calls the command from a program has their own."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    async def work(_: Interruption) -> ExitCode:
        assert signal.getsignal(signal.SIGTERM) is not before[1]
        return ExitCode.DONE

    run(work)

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_threads_are_waited_for() -> None:
    """One of a driver's still has something to say to the loop when the work is done."""
    threads: list[threading.Thread] = []

    async def work(_: Interruption) -> ExitCode:
        threads.append(threading.Thread(target=time.sleep, args=[0.2]))
        threads[0].start()
        return ExitCode.DONE

    run(work)

    assert not threads[0].is_alive()


def start_and_pause(command: Command) -> subprocess.Popen[str]:
    """Start a purge of batches of 5, and return when it pauses for long after the first."""
    before = left(command)
    running = command.start("purge", "--batch-size", "5", "--pause", "1h")
    while left(command) == before:
        assert running.poll() is None
    return running


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_purge_ends_after_its_batch(made: Command, number: int, code: int) -> None:
    """It says what was done; the rest is there for the next purge."""
    fill(made, expired=20)
    running = start_and_pause(made)

    running.send_signal(number)
    out, err = running.communicate(timeout=60)

    assert running.returncode == code
    assert "Removed 5 sessions" in out
    assert out.endswith("(1 batch). More may be left.\n")
    assert err == f"Interrupted by {signal.Signals(number).name}.\n"
    assert left(made) == 15
    assert made("purge").code == 0
    assert left(made) == 0


def test_a_killed_purge_is_gone_on_with(made: Command) -> None:
    """Not even SIGKILL undoes a batch, or keeps the next purge from its work."""
    fill(made, live=1, expired=20)
    running = start_and_pause(made)

    running.kill()
    running.communicate(timeout=60)

    assert left(made) == 16
    assert made("purge").code == 0
    assert left(made) == 1


def test_a_terminal_says_that_it_is_ending(local: Command) -> None:
    """Ctrl-C is answered before the batch is over, and the bar goes away."""
    local("upgrade")
    fill(local, expired=20)

    ended = in_terminal(
        ["purge", *local.place, "--batch-size", "5", "--pause", "1h"],
        keys="\x03",
        await_text="5 of 20",
    )

    assert ended.code == 130
    assert "Removed 5 sessions" in ended.out
    assert "Interrupted by SIGINT." in ended.out
    assert left(local) == 15
