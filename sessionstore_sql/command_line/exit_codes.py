"""What the exit code of the command tells cron, systemd and Kubernetes."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """Each code asks for something else to be done."""

    DONE = 0
    FAILED = 1
    """For a person: the database refused, or the program is wrong. Not to be tried again as is."""
    USAGE = 2
    """For who wrote the command: an option, the URL, a missing extra. Nothing was connected to."""
    NOT_UP_TO_DATE = 3
    """The table is missing or at another revision: run ``upgrade``, or deploy the newer code."""
    DIFFERENT = 4
    """``check``: the table is at the right revision, and yet not what the revisions make."""
    TRY_AGAIN = 75
    """The database is away, or busy: the same command may succeed later (EX_TEMPFAIL)."""
    INTERRUPTED = 130
    """By SIGINT, as a shell reports it; what was finished before stays done."""
    OUTPUT_CLOSED = 141
    """Nobody reads the output any more, as after SIGPIPE."""
    TERMINATED = 143
    """By SIGTERM, likewise."""
