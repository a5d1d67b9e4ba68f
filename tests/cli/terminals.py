"""Runs the command on a pseudo-terminal and types into it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from tests.cli.running import COMMAND, ROOT, Ended, clean_environment

_PATIENCE_S = 60.0


def in_terminal(  # noqa: PLR0913  # options, all of them by keyword
    arguments: list[str],
    *,
    columns: int = 80,
    keys: str = "",
    await_text: str = "",
    repeat_keys: bool = False,
    environment: dict[str, str] | None = None,
) -> Ended:
    """Run the command on a terminal, and return everything that the terminal showed.

    Args:
        arguments: The arguments of the command.
        columns: The width of the terminal.
        keys: The keys to type.
        await_text: The output after which they are typed.
        repeat_keys: Type them again every second until the command ends. Python loses a Ctrl-C that
            arrives between printing a question and waiting for the answer.
        environment: Variables to set, in addition to the type of the terminal.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    running = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=clean_environment({"TERM": "xterm-256color", "LANG": "C.UTF-8", **(environment or {})}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # In a session of the terminal, so that Ctrl-C reaches the command.
        start_new_session=True,
        preexec_fn=_take_the_terminal,  # noqa: PLW1509  # no threads here
    )
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + _PATIENCE_S
    next_keys = 0.0
    try:
        while True:
            assert time.monotonic() < deadline, seen
            readable, _, _ = select.select([ours], [], [], 0.1)
            if readable:
                chunk = b""
                with contextlib.suppress(OSError):  # the command has closed the terminal
                    chunk = os.read(ours, 65_536)
                if not chunk:
                    break
                seen += chunk
            if keys and await_text.encode() in seen and time.monotonic() >= next_keys:
                os.write(ours, keys.encode())
                next_keys = time.monotonic() + 1
                keys = keys if repeat_keys else ""
        code = running.wait(timeout=_PATIENCE_S)
    finally:
        running.kill()
        running.wait()
        os.close(ours)
    return Ended(code, seen.decode(), "")


def _take_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # If the tests run in the background, they ignore SIGINT, and so would the command.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
