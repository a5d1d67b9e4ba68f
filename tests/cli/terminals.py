"""The command on a terminal: a pty, with someone who types."""

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


def in_terminal(
    arguments: list[str],
    *,
    columns: int = 80,
    keys: str = "",
    await_text: str = "",
    environment: dict[str, str] | None = None,
) -> Ended:
    """Run the command on a terminal, and return everything that the terminal showed.

    Args:
        arguments: Of the command.
        columns: The width of the terminal.
        keys: What is typed, once.
        await_text: What is waited for before that.
        environment: What is set besides the terminal's kind.
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
        # The terminal's own, so that ctrl-c reaches it.
        start_new_session=True,
        preexec_fn=_take_the_terminal,  # noqa: PLW1509  # no threads here
    )
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + _PATIENCE_S
    try:
        while True:
            assert time.monotonic() < deadline, seen
            readable, _, _ = select.select([ours], [], [], 0.1)
            if readable:
                chunk = b""
                with contextlib.suppress(OSError):  # the last one has closed it
                    chunk = os.read(ours, 65_536)
                if not chunk:
                    break
                seen += chunk
            if keys and await_text.encode() in seen:
                os.write(ours, keys.encode())
                keys = ""
        code = running.wait(timeout=_PATIENCE_S)
    finally:
        running.kill()
        running.wait()
        os.close(ours)
    return Ended(code, seen.decode(), "")


def _take_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # What is started in the background, as a whole run of the tests may be, ignores ctrl-c, and so
    # does all that it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
