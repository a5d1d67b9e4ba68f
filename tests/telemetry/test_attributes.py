"""What is said of where the database is, and of errors."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from sessionstore_sql import DatabaseError
from sessionstore_sql.otel.attributes import attributes_of, error_attributes
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.engines import create_engine, describe
from sessionstore_sql.sql.urls import normalise_url


def place_of(url: str) -> dict[str, Any]:
    """Return what is said of the place that a URL names."""
    engine = create_async_engine(normalise_url(url))
    found = attributes_of(engine.url, describe(engine, "sessions"))
    assert found.pop("db.collection.name") == "sessions"
    return found


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://app:secret@db.example/shop",
            {
                "db.system.name": "postgresql",
                "server.address": "db.example",
                "db.namespace": "shop",
            },
        ),
        (
            "mysql://app:secret@db.example:3307/shop",
            {
                "db.system.name": "mysql",
                "server.address": "db.example",
                "server.port": 3307,
                "db.namespace": "shop",
            },
        ),
        ("mariadb://db/", {"db.system.name": "mariadb", "server.address": "db"}),
        (
            "postgresql:///shop?host=one:5432&host=two:5433",
            {
                "db.system.name": "postgresql",
                "server.address": "one:5432,two:5433",
                "db.namespace": "shop",
            },
        ),
        (
            "mysql:///shop?unix_socket=/run/mysqld.sock",
            {
                "db.system.name": "mysql",
                "server.address": "/run/mysqld.sock",
                "db.namespace": "shop",
            },
        ),
        ("sqlite:///shop.db", {"db.system.name": "sqlite", "db.namespace": "shop.db"}),
        ("sqlite://", {"db.system.name": "sqlite", "db.namespace": ":memory:"}),
    ],
)
def test_a_place_is_what_the_url_says(url: str, expected: dict[str, Any]) -> None:
    """But for the user, the password and what might be a part of it."""
    assert place_of(url) == expected


@pytest.mark.parametrize("password", ["p@ss/word", "p@ssword"])
def test_an_engine_of_the_callers_may_have_a_part_of_a_password(password: str) -> None:
    """SQLAlchemy takes a URL in which the password is not encoded. The store rejects it."""
    engine = create_async_engine(f"postgresql+asyncpg://app:{password}@db.example/shop")

    found = attributes_of(engine.url, describe(engine, "sessions"))

    assert found == {"db.system.name": "postgresql", "db.collection.name": "sessions"}


def test_a_database_in_memory_has_a_name_that_others_share() -> None:
    """The one that the store gives it would be another series in each process."""
    engine = create_engine("sqlite://")

    found = attributes_of(engine.url, describe(engine, "sessions"))

    assert found["db.namespace"] == ":memory:"


class DriverError(Exception):
    """A driver's, with what a driver's has."""

    sqlstate: str | None = None
    sqlite_errorcode: int | None = None


def coded(name: str, value: object, *args: object) -> DriverError:
    """Return an error with an attribute and arguments."""
    error = DriverError(*args)
    setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    ("database", "error", "expected"),
    [
        ("postgresql", coded("sqlstate", "40P01", "deadlock"), "40P01"),
        ("mysql", coded("sqlstate", None, 1213, "Deadlock"), "1213"),
        ("mariadb", coded("sqlstate", None, 1213, "Deadlock"), "1213"),
        ("sqlite", coded("sqlite_errorcode", 5, "locked"), "5"),
        ("mysql", ConnectionRefusedError(111, "connection refused"), "ConnectionRefusedError"),
        ("mysql", coded("sqlstate", None), f"{__name__}.DriverError"),
        ("postgresql", TimeoutError("secret"), "TimeoutError"),
    ],
)
def test_an_error_is_its_code_or_its_class(database: str, error: Exception, expected: str) -> None:
    """The system's numbers are not the database's."""
    cause = DatabaseError("text")
    cause.__cause__ = error

    found = error_attributes(cause, dialect_named(database).status_code)

    assert found["error.type"] == expected
    assert found.get("db.response.status_code") == (expected if expected[0].isdigit() else None)
