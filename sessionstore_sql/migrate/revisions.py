"""The revisions of the session table: where they are, and how they are numbered."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator


_NUMBERED = re.compile(r"sessionstore_(\d{4})")


_FIRST_INCOMPATIBLE = 1_000
"""From this revision on, the code of earlier ones need not work with the table."""


def newest_revision() -> str:
    """Return the revision that this version of the package works with."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert head is not None
    return head


def is_later_addition(revision: str | None) -> bool:
    """Whether ``revision`` is of a later version of the package, and this one works with it too.

    Revisions below 1000 only add to the table, so that processes of the version before work, and
    can start, while a new version is being deployed.
    """
    known = _NUMBERED.fullmatch(newest_revision())
    found = _NUMBERED.fullmatch(revision or "")
    if known is None or found is None:
        return False
    return int(known[1]) < int(found[1]) < _FIRST_INCOMPATIBLE


def script_location() -> str:
    """Return the directory of env.py and the revisions, in the package or in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    return str(installed if installed.is_dir() else package.parent / "migrations")


def alembic_config() -> Config:
    """Return an Alembic configuration with the revisions and without a database."""
    config = Config()
    config.set_main_option("script_location", script_location().replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def assertions_as_refusals(revision: str) -> Iterator[None]:
    """Report a revision name that fails an assertion in Alembic, such as ``@``, as unknown.

    An assertion that fails elsewhere, such as in a revision, is not about the name.
    """
    try:
        yield
    except AssertionError as error:
        if not _is_of_alembics_scripts(error):
            raise
        raise CommandError(f"there is no revision {revision!r}") from error


def _is_of_alembics_scripts(error: AssertionError) -> bool:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    module = "" if traceback is None else traceback.tb_frame.f_globals.get("__name__", "")
    return str(module).startswith("alembic.script")
