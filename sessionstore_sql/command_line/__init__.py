"""``sessionstore-sql``, the command for who runs the database; needs the extra ``cli``.

Its commands do what ``migrate``, ``purging`` and ``statistics`` do. What is added is for people
and schedulers: output for a terminal and for a log, exit codes that tell what to do next
(``exit_codes``), an end in good order on SIGINT and SIGTERM (``interruption``), and no password
in anything that is printed (``masking``).
"""

from __future__ import annotations

import sys

from sessionstore_sql.command_line.exit_codes import ExitCode

_BROUGHT_BY_EXTRA = {"click", "rich"}


def main() -> int:
    """Run the command with the arguments of the process, and return its exit code."""
    try:
        from sessionstore_sql.command_line.application import run  # noqa: PLC0415  # may be missing
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _BROUGHT_BY_EXTRA:
            raise
        print(  # noqa: T201  # a command speaks to who called it
            f"sessionstore-sql needs {missing}: pip install 'sessionstore-sql[cli]'",
            file=sys.stderr,
        )
        return ExitCode.USAGE
    return run(sys.argv[1:])
