"""An option that no driver has, through everything that takes a URL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from sessionstore_sql import SQLSessionStore, migrate
from sessionstore_sql.statistics import collect_statistics
from tests.migrations.databases import ROOT, alembic

pytestmark = pytest.mark.anyio

_URLS = [
    f"{drivername}://app:hunter2@127.0.0.1:1/shop?nonsense=swordfish"
    for drivername in ("postgresql", "postgresql+psycopg", "mysql", "mysql+asyncmy", "mariadb")
]
_URLS.append("sqlite:///shop.db?nonsense=swordfish")


@pytest.mark.parametrize("url", _URLS)
async def test_python_says_so_before_it_connects(url: str) -> None:
    """The error is about the argument, whatever it is passed to."""
    for given in (url, make_url(url)):
        with pytest.raises(ValueError, match="unknown option 'nonsense'") as caught:
            SQLSessionStore(given)
        assert "hunter2" not in str(caught.value)
        assert "swordfish" not in str(caught.value)
        for attempt in (migrate.upgrade, migrate.current, migrate.check, collect_statistics):
            with pytest.raises(ValueError, match="unknown option 'nonsense'"):
                await attempt(given)
        with pytest.raises(ValueError, match="unknown option 'nonsense'"):
            await migrate.downgrade(given, "base")


@pytest.mark.parametrize("url", _URLS)
def test_the_command_says_so_without_a_traceback(url: str, tmp_path: Path) -> None:
    """The exit code is that of a usage error."""
    for arguments in (["upgrade"], ["check"], ["stats"], ["purge"], ["current"]):
        done = subprocess.run(
            [sys.executable, "-m", "sessionstore_sql", *arguments],
            cwd=tmp_path,
            env={"SESSIONSTORE_URL": url, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert done.returncode == 2
        assert "unknown option 'nonsense'" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
        assert "hunter2" not in done.stderr
        assert "swordfish" not in done.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (_URLS[0], "unknown option 'nonsense'"),
        (_URLS[1].replace("nonsense", "sslrootcert"), "the file that sslrootcert names"),
    ],
)
def test_alembic_says_so_without_a_traceback(url: str, message: str) -> None:
    """Its own command shows no value of the URL."""
    done = alembic("upgrade", "head", environment={"SESSIONSTORE_URL": url})

    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert message in output
    assert "Traceback" not in output
    assert "hunter2" not in output
    assert "swordfish" not in output


def test_alembic_prints_sql_without_the_files_of_the_url() -> None:
    """Nothing connects, and the machine that builds need not have the certificates."""
    url = _URLS[0].replace("nonsense", "sslrootcert")
    done = alembic("upgrade", "head", "--sql", environment={"SESSIONSTORE_URL": url})

    assert done.returncode == 0, done.stderr
    assert "CREATE TABLE" in done.stdout
