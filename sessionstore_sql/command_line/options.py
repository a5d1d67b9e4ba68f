"""What the options of the commands take, and the ones that several commands share."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from sessionstore_sql.dialects import dialect_named
from sessionstore_sql.engines import normalise_url
from sessionstore_sql.migrate import require_lasting
from sessionstore_sql.schema import DEFAULT_TABLE, require_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL

    from sessionstore_sql.dialects import Dialect

URL_VARIABLE = "SESSIONSTORE_URL"

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(rf"{_NUMBER}|(?:{_NUMBER}(?:ms|[smhd]))+", re.ASCII)
_PART = re.compile(rf"({_NUMBER})(ms|[smhd]|$)", re.ASCII)

_Result = TypeVar("_Result")


class Names(TypedDict):
    """The names that the functions of the package take."""

    table: str
    schema: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Which sessions a command is about."""

    url: URL
    names: Names

    @property
    def table(self) -> str:
        """The name of the table, after its schema's if that was given."""
        schema = self.names["schema"]
        return self.names["table"] if schema is None else f"{schema}.{self.names['table']}"

    @property
    def database(self) -> str:
        """The database, without driver, user, password and options."""
        bare = self.url.set(drivername=self.url.get_backend_name(), query={})
        return bare._replace(username=None, password=None).render_as_string()

    @property
    def dialect(self) -> Dialect:
        """What is particular about the database."""
        return dialect_named(self.url.get_backend_name())

    def __str__(self) -> str:
        return f"{self.table} on {self.database}"


# Functions of this kind and not click's own: click shows the value that a ValueError was about.


def database_url(value: str) -> URL:
    """Return a URL as ``SQLSessionStore`` takes it. What is wrong is said without showing it."""
    try:
        url = normalise_url(value)
    except ValueError as error:
        message = str(error)
    else:
        if not _is_in_memory(url):
            return url
        message = "an in-memory database is gone when the command ends"
    raise click.BadParameter(message)


def table_name(value: str) -> str:
    """Return the name of a table: nearly any text, as it is quoted."""
    return _name(value, "table")


def schema_name(value: str) -> str:
    """Return the name of a schema, likewise."""
    return _name(value, "schema")


def revision_name(value: str) -> str:
    """Return the name of a revision; which ones there are, Alembic knows."""
    if not value:
        raise click.BadParameter("it has a name; the latest one is head")
    return value


def duration(value: str) -> timedelta:
    """Return a length of time: ``250ms``, ``90s``, ``5m``, ``1h30m``; plain numbers are seconds."""
    if not _DURATION.fullmatch(value):
        raise click.BadParameter("it reads like 250ms, 90s, 5m or 1h30m")
    try:
        parts = [float(number) * _UNITS[unit or "s"] for number, unit in _PART.findall(value)]
        return sum(parts, timedelta())
    except OverflowError:
        pass
    raise click.BadParameter("it is too long")


def table_options(command: Callable[..., _Result]) -> Callable[..., _Result]:
    """Add the options that name the table, which ``command`` gets as ``names``."""

    @click.option(
        "--table",
        type=table_name,
        metavar="NAME",
        default=DEFAULT_TABLE,
        show_default=True,
        help="The table of sessions.",
    )
    @click.option(
        "--schema",
        type=schema_name,
        metavar="NAME",
        help="The schema it is in; by default, the connection's own.",
    )
    @functools.wraps(command)
    def with_names(*, table: str, schema: str | None, **options: Any) -> _Result:
        return command(names=Names(table=table, schema=schema), **options)

    return with_names


def place_options(command: Callable[..., _Result]) -> Callable[..., _Result]:
    """Add the options that say which sessions it is about, which ``command`` gets as ``place``."""

    @click.option(
        "--url",
        type=database_url,
        metavar="URL",
        envvar=URL_VARIABLE,
        show_envvar=True,
        required=True,
        help="The database, such as postgresql://user@host/name. In the variable, a password is "
        "out of sight of `ps`.",
    )
    @table_options
    @functools.wraps(command)
    def with_place(*, url: URL, names: Names, **options: Any) -> _Result:
        return command(place=Place(url, names), **options)

    return with_place


def _name(value: str, what: str) -> str:
    try:
        return require_name(value, what)
    except ValueError as error:
        message = str(error)
    raise click.BadParameter(message)


def _is_in_memory(url: URL) -> bool:
    try:
        require_lasting(url)
    except ValueError:
        return True
    return False
