"""Run Django's own session tests on this package's engine; see ``make django-check``.

The tests are part of Django's source distribution, which is downloaded for the installed version.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import make_url

from tests.databases import ADMIN_DRIVERS, SERVERS, fresh_database, server_url

ROOT = Path(__file__).resolve().parent.parent

SUITE = """
import sys, unittest
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.sessions", "sessions_tests", "sessionstore_sql.django"],
    SECRET_KEY="not a secret here",
    SESSIONSTORE_SQL=sys.argv.pop(1),
    SESSION_ENGINE="sessionstore_sql.django",
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command
from django.test import SimpleTestCase
from sessions_tests import tests
from sessionstore_sql.django import SessionStore

class SessionTests(tests.SessionTestsMixin, SimpleTestCase):
    backend = SessionStore

call_command("migrate", run_syncdb=True, verbosity=0)
unittest.main()
"""


def main() -> int:
    """Return the number of databases that failed."""
    passed: list[str] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        suite = fetch_suite(Path(folder))
        for database in ("sqlite", *SERVERS):
            if (
                database in SERVERS
                and f"SESSIONSTORE_TEST_{database.upper()}_URL" not in os.environ
            ):
                print(f"{database}: no URL, not checked")
                continue
            (passed if passes(suite, database) else failed).append(database)
    print(f"django {version('django')}: {len(passed)} passed, {len(failed)} failed")
    return len(failed)


def fetch_suite(folder: Path) -> Path:
    """Download and unpack the tests; return the folder of their package."""
    wanted = f"django=={version('django')}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    subprocess.run(  # noqa: S603  # pip, with a version that is installed
        [*pip, "--no-deps", "--no-binary", "django", "--dest", folder, wanted], check=True
    )
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        members = [each for each in source if "/tests/sessions_tests/" in each.name]
        source.extractall(folder, members, filter="data")
    (package,) = folder.glob("*/tests/sessions_tests")
    return package.parent


def passes(suite: Path, database: str) -> bool:
    """Whether Django's tests pass with sessions in a new database."""
    print(f"{database}: Django's session tests", flush=True)
    with ExitStack() as stack:
        if database in ADMIN_DRIVERS:
            url = stack.enter_context(fresh_database(stack.enter_context(server_url(database))))
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = make_url(f"sqlite:///{Path(folder) / 'sessions.db'}")
        done = subprocess.run(  # noqa: S603  # the suite above
            [sys.executable, "-c", SUITE, url.render_as_string(hide_password=False)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(suite), str(ROOT)])},
            check=False,
        )
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
