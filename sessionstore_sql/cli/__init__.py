"""``sessionstore-sql``, the command for database operators. Needs the extra ``cli``.

The command does what ``migrate``, ``purging`` and ``statistics`` do from Python. It adds output for
terminals and logs, exit codes for schedulers (``exit_codes``), handling of SIGINT and SIGTERM
(``interruption``), and hides passwords in everything that it prints (``masking``).
"""

from __future__ import annotations

import sys

from sessionstore_sql.cli.exit_codes import ExitCode

_IN_EXTRA = {"click", "rich"}


def main() -> int:
    """Run the command with the arguments of the process, and return its exit code."""
    try:
        from sessionstore_sql.cli.application import run  # noqa: PLC0415  # may be missing
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _IN_EXTRA:
            raise
        print(  # noqa: T201  # the message is the result
            f"sessionstore-sql needs {missing}: pip install 'sessionstore-sql[cli]'",
            file=sys.stderr,
        )
        return ExitCode.USAGE
    return run(sys.argv[1:])
