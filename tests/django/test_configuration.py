"""``SESSIONSTORE_SQL`` and ``manage.py migrate``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test.utils import override_settings
from sqlalchemy import make_url

from sessionstore_sql import DatabaseError
from sessionstore_sql.django import SessionStore, close
from sessionstore_sql.django.configuration import make_sessions, make_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, Any]], str]]:
    """A function that returns the URL of the store which shares a database of Django's."""

    def url_of(database: dict[str, Any]) -> str:
        monkeypatch.setitem(settings.DATABASES, "shop", {"NAME": "shop", **database})
        return make_store().engine.url.render_as_string(hide_password=False)

    with override_settings(SESSIONSTORE_SQL={"database": "shop"}):
        yield url_of


@pytest.mark.parametrize("setting", ["sqlite:///a.db", {"url": make_url("sqlite:///a.db")}])
def test_a_url_is_enough(setting: Any) -> None:
    """By itself or in a dictionary, as text or SQLAlchemy's."""
    with override_settings(SESSIONSTORE_SQL=setting):
        assert make_store().engine.url.database == "a.db"


def test_options_are_the_stores() -> None:
    """They are passed on."""
    setting = {"url": "postgresql://host/shop", "engine_options": {"pool_size": 17}}
    with override_settings(SESSIONSTORE_SQL=setting):
        assert make_store().engine.pool.size() == 17  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        (None, "SESSIONSTORE_SQL is missing"),
        ({}, 'either "url", "database" or "store"'),
        ({"url": "sqlite://", "database": "default"}, 'either "url", "database" or'),
        ({"url": "sqlite://", "tabel": "a"}, "tabel"),
        ("oracle://scott:tiger@host/db", "oracle"),
        ({"url": 5}, "not int"),
        ({"database": "nowhere"}, "'nowhere', which is not in DATABASES"),
        ({"url": "sqlite://", "renewal_threshold": 2}, "renewal_threshold"),
        ({"url": "sqlite://", "on_conflict": "shrug"}, "on_conflict"),
        ({"url": "sqlite://", "anonymous_max_age": 0}, "anonymous_max_age"),
        ({"url": "sqlite://", "max_state_bytes": 0}, "max_state_bytes"),
        ({"url": "sqlite://", "bearer": True}, "BearerToken"),
        ({"store": "nowhere.at_all"}, "nowhere"),
        ({"store": 5}, "a function that returns a store"),
        ({"store": dict, "table": "a"}, "table: give these options"),
        ({"store": dict}, "dict"),
        ({"database": "default"}, "lock out its own session"),
    ],
)
def test_a_faulty_setting_is_named(setting: Any, fault: str) -> None:
    """As Django's own are, and without a password."""
    with (
        override_settings(SESSIONSTORE_SQL=setting),
        pytest.raises(ImproperlyConfigured, match=fault) as caught,
    ):
        make_sessions(make_store())

    assert "tiger" not in str(caught.value)


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ({"ENGINE": "django.db.backends.postgresql"}, "postgresql+asyncpg:///shop"),
        (
            {
                "ENGINE": "django.contrib.gis.db.backends.postgis",
                "HOST": "db",
                "PORT": "5433",
                "USER": "ada",
                "PASSWORD": "p@ss/word",
                "OPTIONS": {"pool": True, "isolation_level": 3},
            },
            "postgresql+asyncpg://ada:p%40ss%2Fword@db:5433/shop",
        ),
        (
            {"ENGINE": "django.db.backends.postgresql", "HOST": "/run/postgresql", "PORT": 5433},
            "postgresql+asyncpg://:5433/shop?host=%2Frun%2Fpostgresql",
        ),
        (
            {"ENGINE": "wrapped.db.backends.mysql", "HOST": "db", "PORT": 3307},
            "mysql+aiomysql://db:3307/shop",
        ),
        (
            {"ENGINE": "django.db.backends.mysql", "HOST": "/run/mysqld.sock", "PORT": ""},
            "mysql+aiomysql:///shop?unix_socket=%2Frun%2Fmysqld.sock",
        ),
    ],
)
def test_a_database_of_djangos_is_shared(
    shared: Callable[[dict[str, Any]], str], database: dict[str, Any], url: str
) -> None:
    """Its address, with what a URL would misread."""
    assert shared(database) == url


@pytest.mark.parametrize("option", ["sslmode", "passfile", "service", "read_default_file"])
def test_an_option_that_matters_is_not_dropped(
    shared: Callable[[dict[str, Any]], str], option: str
) -> None:
    """A connection without TLS where TLS was asked for would be no service."""
    database = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {option: "require"}}

    with pytest.raises(ImproperlyConfigured, match=f"cannot take over {option} "):
        shared(database)


@pytest.mark.usefixtures("no_store")
class TestMigrate:
    """``manage.py migrate``."""

    def test_it_makes_the_table(self, tmp_path: Path) -> None:
        """And sessions work."""
        with override_settings(SESSIONSTORE_SQL=f"sqlite:///{tmp_path}/a.db"):
            call_command("migrate", verbosity=0)
            session = SessionStore()
            session.save()

            assert session.exists(session.session_key or "")

    def test_it_makes_the_table_that_is_configured(self, tmp_path: Path) -> None:
        """Under another name."""
        url = f"sqlite:///{tmp_path}/a.db"
        with override_settings(SESSIONSTORE_SQL={"url": url, "table": "logins"}):
            call_command("migrate", verbosity=0)
            SessionStore().save()
        close()

        with override_settings(SESSIONSTORE_SQL=url), pytest.raises(DatabaseError, match="missing"):
            SessionStore().save()

    def test_it_does_nothing_for_another_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Than the one whose migrations bring the table along."""
        elsewhere = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "HOST": "nowhere"}
        monkeypatch.setitem(settings.DATABASES, "shop", elsewhere)
        with override_settings(SESSIONSTORE_SQL={"database": "shop"}):
            call_command("migrate", verbosity=0)


def test_a_missing_django_is_named() -> None:
    """With the extra that brings it."""
    script = "import sys; sys.modules['django'] = None; import sessionstore_sql.django"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert "pip install 'sessionstore-sql[django]'" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError")
