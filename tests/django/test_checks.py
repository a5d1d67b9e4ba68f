"""``manage.py check``, and what ``manage.py migrate`` prints."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test.utils import override_settings
from sqlalchemy import create_engine, text

from sessionstore_sql import migrate
from sessionstore_sql.django import BearerToken, SessionStore

pytestmark = [pytest.mark.usefixtures("no_store"), pytest.mark.sqlite_only]


def found(**settings: Any) -> dict[str, str]:
    """Return the messages of this package about some settings, by their ids."""
    given = {"SESSIONSTORE_SQL": "sqlite:///a.db", **settings}
    with override_settings(**given):
        messages = run_checks(databases=["default"])
    return {
        str(each.id).removeprefix("sessionstore_sql."): each.msg
        for each in messages
        if str(each.id).startswith("sessionstore_sql.")
    }


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A database with a table."""
    url = f"sqlite:///{tmp_path}/sessions.db"
    with override_settings(SESSIONSTORE_SQL=url):
        call_command("migrate", verbosity=0)
    return url


def test_a_working_project_has_no_message(database: str) -> None:
    """Neither about the table nor about the cookie."""
    assert found(SESSIONSTORE_SQL=database) == {}


@pytest.mark.parametrize("setting", [None, {"url": "sqlite://", "on_conflict": "shrug"}, "oracle:"])
def test_a_wrong_setting_is_an_error(setting: Any) -> None:
    """Before the first request fails."""
    assert "SESSIONSTORE_SQL" in found(SESSIONSTORE_SQL=setting)["E001"]


def test_a_missing_table_is_reported(tmp_path: Path) -> None:
    """The hint is in the message of Django."""
    path = tmp_path / "empty.db"
    path.touch()

    assert "Sessions: " in found(SESSIONSTORE_SQL=f"sqlite:///{path}")["W002"]


def test_an_unreachable_database_is_reported() -> None:
    """It is no reason to stop."""
    assert "cannot be checked" in found(SESSIONSTORE_SQL="sqlite:////nowhere/at/all.db")["W003"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SESSION_COOKIE_NAME": "__Host-id"}, "needs Secure"),
        (
            {
                "SESSION_COOKIE_NAME": "__Host-id",
                "SESSION_COOKIE_SECURE": True,
                "SESSION_COOKIE_DOMAIN": "example.org",
            },
            "no Domain",
        ),
        ({"SESSION_COOKIE_SAMESITE": "None"}, "need Secure"),
        ({"SESSION_COOKIE_PATH": "shop"}, "begins with a slash"),
        ({"SESSION_COOKIE_NAME": "n" * 4_080}, "at most 4096 bytes"),
    ],
)
def test_a_cookie_that_browsers_reject_is_an_error(
    database: str, settings: dict[str, Any], message: str
) -> None:
    """Visitors would lose their sessions silently."""
    assert message in found(SESSIONSTORE_SQL=database, **settings)["E002"]


@pytest.mark.parametrize(
    "settings",
    [
        {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True},
        {"SESSION_COOKIE_SAMESITE": False},
        {"SESSION_COOKIE_SAMESITE": "Strict", "SESSION_COOKIE_DOMAIN": ".example.org"},
        {"SESSION_COOKIE_NAME": "__Host-id", "SESSION_COOKIE_SECURE": True},
    ],
)
def test_a_cookie_that_browsers_accept_is_no_error(database: str, settings: dict[str, Any]) -> None:
    """Whatever its attributes are."""
    assert found(SESSIONSTORE_SQL=database, **settings) == {}


def test_a_cookie_that_scripts_can_read_is_reported(database: str) -> None:
    """As a warning: some projects need it."""
    assert "W001" in found(SESSIONSTORE_SQL=database, SESSION_COOKIE_HTTPONLY=False)


def test_the_cookie_does_not_matter_with_bearer_tokens(database: str) -> None:
    """No cookie is sent."""
    setting = {"url": database, "bearer": BearerToken()}
    assert found(SESSIONSTORE_SQL=setting, SESSION_COOKIE_HTTPONLY=False) == {}


def test_an_age_of_zero_is_an_error(database: str) -> None:
    """No session would be found again."""
    assert "E003" in found(SESSIONSTORE_SQL=database, SESSION_COOKIE_AGE=0)


def test_other_engines_are_not_checked() -> None:
    """The application may be installed for its commands only."""
    engine = "django.contrib.sessions.backends.db"

    assert found(SESSION_ENGINE=engine, SESSIONSTORE_SQL=None) == {}


class TestMigrate:
    """What ``manage.py migrate`` does and prints."""

    def test_it_says_what_it_did(self, tmp_path: Path) -> None:
        """The first time and the next."""
        with override_settings(SESSIONSTORE_SQL=f"sqlite:///{tmp_path}/a.db"):
            first, second = migrated(), migrated()
            SessionStore().save()

        newest = migrate.newest_revision()
        assert f"Sessions: table sessionstore_sessions created at revision {newest}." in first
        assert f"Sessions: table sessionstore_sessions already at revision {newest}." in second

    def test_an_upgrade_is_said(self, database: str) -> None:
        """With the revision before."""
        with override_settings(SESSIONSTORE_SQL=database):
            downgrade("sessionstore_0001")
            assert "upgraded from sessionstore_0001" in migrated()

    def test_a_failure_is_an_error_of_the_command(self, database: str) -> None:
        """Without a traceback."""
        with override_settings(SESSIONSTORE_SQL={"url": database, "table": "other"}):
            engine = create_engine(database)
            with engine.begin() as connection:
                connection.execute(text("create table other (id integer)"))
            try:
                with pytest.raises(CommandError, match="other"):
                    migrated()
            finally:
                with engine.begin() as connection:
                    connection.execute(text("drop table other"))
                engine.dispose()

    def test_it_is_silent_if_asked(self, tmp_path: Path) -> None:
        """As Django's own migrations are."""
        with override_settings(SESSIONSTORE_SQL=f"sqlite:///{tmp_path}/a.db"):
            assert migrated(verbosity=0) == ""


def migrated(**options: Any) -> str:
    """Return what ``manage.py migrate`` prints."""
    out = io.StringIO()
    call_command("migrate", stdout=out, **options)
    return out.getvalue()


def downgrade(revision: str) -> None:
    """Downgrade the table."""
    from sessionstore_sql.django.process import wait_for

    async def run(store: Any) -> None:
        await migrate.downgrade(store.engine, revision)

    wait_for(run)
