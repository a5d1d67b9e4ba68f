"""The options that several commands share, and the types of their values."""

from __future__ import annotations

import functools
import os
import re
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from sessionstore_sql.cli.masking import Mask
from sessionstore_sql.migrate import require_lasting
from sessionstore_sql.schema import DEFAULT_TABLE, require_name
from sessionstore_sql.sql.dialects import dialect_named
from sessionstore_sql.sql.urls import normalise_url, require_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL

    from sessionstore_sql.sql.dialects import Dialect

URL_VARIABLE = "SESSIONSTORE_URL"
URL_FILE_VARIABLE = "SESSIONSTORE_URL_FILE"

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
    """The names of a table and its schema, as arguments for the functions of the package."""

    table: str
    schema: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """The database and the table that a command works on."""

    url: URL
    names: Names

    @property
    def table(self) -> str:
        """The name of the table, with the name of its schema if one was given."""
        schema = self.names["schema"]
        return self.names["table"] if schema is None else f"{schema}.{self.names['table']}"

    @property
    def database(self) -> str:
        """The URL of the database, without driver, user, password and options."""
        bare = self.url.set(drivername=self.url.get_backend_name(), query={})
        return bare._replace(username=None, password=None).render_as_string()

    @property
    def dialect(self) -> Dialect:
        """The dialect of the database."""
        return dialect_named(self.url.get_backend_name())

    def __str__(self) -> str:
        return f"{self.table} on {self.database}"


_MAX_URL_FILE = 100_000
"""Maximum number of characters that are read of a file with a URL."""


# These functions are used instead of click's types, because click shows the value that a ValueError
# is about.


def database_url(value: str) -> URL:
    """Return a URL that ``SQLSessionStore`` accepts. The error for another one does not show it."""
    try:
        url = normalise_url(value)
        require_files(url)
    except ValueError as error:
        message = str(error)
    else:
        if not _is_in_memory(url):
            return url
        message = "an in-memory database is lost when the command ends"
    raise click.BadParameter(message)


def url_in_file(path: str) -> URL:
    """Return the URL that a file contains, or standard input if the path is ``-``."""
    try:
        # Cut off behind what is too long for a URL: the input may be a device without an end.
        if path == "-":
            text = sys.stdin.read(_MAX_URL_FILE)
        else:
            with Path(path).open(encoding="utf-8") as file:
                text = file.read(_MAX_URL_FILE)
    except OSError as error:
        message = f"cannot read the file: {error.strerror}"
    except (UnicodeDecodeError, ValueError):  # ValueError: a NUL character in the path
        message = "cannot read the file: it is not a text file in UTF-8"
    else:
        url = text.strip()
        if url and "\n" not in url:
            click.get_current_context().ensure_object(Mask).add(url)
            return database_url(url)
        message = "the file must contain a URL on one line, and nothing else"
    raise click.BadParameter(message)


def table_name(value: str) -> str:
    """Return the name of a table. Almost any text is valid, because it is quoted."""
    return _name(value, "table")


def schema_name(value: str) -> str:
    """Return the name of a schema. Almost any text is valid, because it is quoted."""
    return _name(value, "schema")


def revision_name(value: str) -> str:
    """Return the name of a revision. Alembic checks later whether it exists."""
    if not value:
        raise click.BadParameter("a revision has a name; the latest one is head")
    return value


def duration(value: str) -> timedelta:
    """Return a duration: ``250ms``, ``90s``, ``5m``, ``1h30m``, or a number of seconds."""
    if not _DURATION.fullmatch(value):
        raise click.BadParameter("write a duration like 250ms, 90s, 5m or 1h30m")
    try:
        parts = [float(number) * _UNITS[unit or "s"] for number, unit in _PART.findall(value)]
        return sum(parts, timedelta())
    except OverflowError:
        pass
    raise click.BadParameter("the duration is too long")


def common_options(group: Callable[..., _Result]) -> Callable[..., _Result]:
    """Add the options for the database and the table to the command as a whole."""
    return _url_options(_name_options(group))


def place_options(command: Callable[..., _Result]) -> Callable[..., _Result]:
    """Add the options for the database and the table. ``command`` receives them as ``place``."""

    @_url_options
    @_name_options
    @functools.wraps(command)
    def with_place(
        *,
        url: URL | None,
        url_file: URL | None,
        table: str | None,
        schema: str | None,
        **options: Any,
    ) -> _Result:
        place = Place(_chosen_url(url, url_file), _chosen_names(table, schema))
        return command(place=place, **options)

    return with_place


def table_options(command: Callable[..., _Result]) -> Callable[..., _Result]:
    """Add the options for the table, as ``names``, to a command that connects to no database."""

    @_name_options
    @functools.wraps(command)
    def with_names(*, table: str | None, schema: str | None, **options: Any) -> _Result:
        for name in ("url", "url_file"):
            if _given_before(name) is not None:
                raise click.UsageError("this command connects to no database: omit the URL")
        return command(names=_chosen_names(table, schema), **options)

    return with_names


def _url_options(command: Callable[..., _Result]) -> Callable[..., _Result]:
    url = click.option(
        "--url",
        type=database_url,
        metavar="URL",
        help="The database, such as postgresql://user@host/name. Put a URL with a password into "
        f"the variable {URL_VARIABLE} or into a file: command lines are visible to other users.",
    )
    url_file = click.option(
        "--url-file",
        type=url_in_file,
        metavar="FILE",
        help="Read the URL from a file, or from standard input if FILE is -. Default: the variable "
        f"{URL_FILE_VARIABLE}.",
    )
    return url(url_file(command))


def _name_options(command: Callable[..., _Result]) -> Callable[..., _Result]:
    table = click.option(
        "--table",
        type=table_name,
        metavar="NAME",
        help=f"The table of sessions. Default: {DEFAULT_TABLE}.",
    )
    schema = click.option(
        "--schema",
        type=schema_name,
        metavar="NAME",
        help="The schema of the table. Default: the default schema of the connection.",
    )
    return table(schema(command))


def _chosen_url(url: URL | None, url_file: URL | None) -> URL:
    """Return the URL from an option before or after the command, or else from a variable."""
    given = [
        each
        for each in (url, url_file, _given_before("url"), _given_before("url_file"))
        if each is not None
    ]
    if len(set(given)) > 1:
        raise click.UsageError("different databases are given; use --url or --url-file once")
    if given:
        return given[0]
    variables = {
        name: value for name in (URL_VARIABLE, URL_FILE_VARIABLE) if (value := os.environ.get(name))
    }
    if not variables:
        raise click.UsageError(
            f"no database is given: use --url or --url-file, or set {URL_VARIABLE}"
        )
    if len(variables) > 1:
        raise click.UsageError(f"{URL_VARIABLE} and {URL_FILE_VARIABLE} are both set: unset one")
    ((name, value),) = variables.items()
    try:
        return database_url(value) if name == URL_VARIABLE else url_in_file(value)
    except click.BadParameter as error:
        message = error.message
    raise click.BadParameter(message, param_hint=name)


def _chosen_names(table: str | None, schema: str | None) -> Names:
    return Names(
        table=_given_once("table", table) or DEFAULT_TABLE, schema=_given_once("schema", schema)
    )


def _given_once(name: str, value: str | None) -> str | None:
    before: str | None = _given_before(name)
    if value is not None and before not in {None, value}:
        raise click.UsageError(f"--{name} is given twice, with different values")
    return before if value is None else value


def _given_before(name: str) -> Any:  # noqa: ANN401  # click has no types for values
    """Return the value of an option that was written before the name of the command."""
    return click.get_current_context().find_root().params.get(name)


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
