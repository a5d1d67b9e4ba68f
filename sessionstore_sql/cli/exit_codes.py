"""The exit codes of the command, for cron, systemd, Kubernetes and scripts."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the caller of the command can do next."""

    DONE = 0
    """Success."""
    FAILED = 1
    """Needs manual action: the database rejected the request, or the program has a bug. The same
    command would fail again."""
    USAGE = 2
    """Wrong usage: an option, the URL, or a missing extra. No connection was made."""
    NOT_UP_TO_DATE = 3
    """The table is missing or at another revision: run ``upgrade``, or deploy the newer version."""
    DIFFERENT = 4
    """Only from ``check``: the table is at the right revision, but differs from it."""
    TRY_AGAIN = 75
    """The database is unreachable or busy: the same command may succeed later (EX_TEMPFAIL)."""
    INTERRUPTED = 130
    """Interrupted by SIGINT, as a shell reports it. Work that was committed remains committed."""
    OUTPUT_CLOSED = 141
    """The reader of the output has closed it, as after SIGPIPE."""
    TERMINATED = 143
    """Interrupted by SIGTERM. Work that was committed remains committed."""
