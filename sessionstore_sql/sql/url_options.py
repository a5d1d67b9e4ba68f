"""The options of a database URL: one spelling for every driver.

Drivers disagree on how an option is spelled, and what one of them does not know, it reports when
the first connection is made, or not at all. So the options are read here, when the URL is: each
gets one name and one form, whatever client the spelling comes from, and an unknown one is an error.

No message shows a value. The name of an unknown option is shown unless the URL looks as if a part
of its password had become an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from typing import NamedTuple, TypeAlias

Reader: TypeAlias = Callable[[str], str]
"""Returns the one form of a value; raises ``ValueError`` with what the value must be."""

Given: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""The query of a SQLAlchemy URL: an option that is given twice has a tuple."""

IGNORED = frozenset(
    {
        # Options for other clients, in URLs that providers hand out.
        *("connection_limit", "pgbouncer", "pool_timeout", "supa", "uselibpqcompat", "workaround"),
        "reconnect",
    }
)
"""Options for other clients that providers put into their URLs; they say nothing to ours."""

_SCHEMA = {"schema", "currentschema", "search_path"}
"""Where Prisma's and JDBC's URLs name a schema."""

_PLUGIN = "plugin"
"""SQLAlchemy's own: the name of one of its plugins."""

_NAME = re.compile(r"[A-Za-z][A-Za-z_.-]{0,40}")


class Vocabulary(NamedTuple):
    """The options of one driver."""

    drivername: str
    readers: Mapping[str, Reader]
    """By the name that an option has here."""
    aliases: Mapping[str, str]
    """The names that other clients use, and the name that the option has here."""
    elsewhere: Mapping[str, str]
    """Options of other drivers for the same database, and the name of one such driver."""


def read_options(given: Given, vocabulary: Vocabulary) -> dict[str, str | tuple[str, ...]]:
    """Return the options under their names here, each with its value in one form.

    Raises:
        ValueError: An option is unknown, is given twice, or has a value that it cannot have.
    """
    options: dict[str, str | tuple[str, ...]] = {}
    torn = any("@" in text for name, value in given.items() for text in (name, *_each(value)))
    for spelled, value in given.items():
        name = _canonical(spelled, vocabulary.aliases)
        if name == _PLUGIN:
            options[name] = value
        elif name in IGNORED and name not in vocabulary.readers:
            continue
        elif name not in vocabulary.readers:
            raise _unknown(spelled, name, vocabulary, torn=torn)
        else:
            read = _read(name, value, vocabulary.readers[name])
            if options.setdefault(name, read) != read:
                raise ValueError(f"the database URL has the option {name} twice, with two values")
    return options


def _canonical(spelled: str, aliases: Mapping[str, str]) -> str:
    name = spelled.lower().replace("-", "_")
    return aliases.get(name, name)


def _each(value: str | tuple[str, ...]) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value


def _read(name: str, value: str | tuple[str, ...], reader: Reader) -> str:
    read: list[str] = []
    if "" in _each(value):
        # Such as ?sslmode=$MODE of a shell without that variable.
        raise ValueError(f"the database URL has the option {name} without a value")
    for text in _each(value):
        try:
            read.append(reader(text))
        except ValueError as error:
            requirement = str(error)
            break
    else:
        if reader is server_options:
            return " ".join(read)
        if len(set(read)) == 1:
            return read[0]
        raise ValueError(f"the database URL has the option {name} twice, with two values")
    # Raised here, so that no driver's or Python's own error, which may show the value, is chained.
    raise ValueError(f"in the database URL, {name} must be {requirement}")


def _unknown(spelled: str, name: str, vocabulary: Vocabulary, *, torn: bool) -> ValueError:
    if torn:
        return ValueError(
            "the database URL has an unknown option and an @ after the question mark: if the @ "
            "is part of the password, write it as %40"
        )
    if name in vocabulary.elsewhere:
        return ValueError(
            f"the database URL has the option {name}, which {vocabulary.drivername} does not "
            f"have; {vocabulary.elsewhere[name]} has it"
        )
    if name in _SCHEMA:
        return ValueError(
            f"the database URL has an unknown option {spelled!r}: the schema of the table is "
            "an option of its own, schema= in Python and --schema of the command"
        )
    shown = f" {spelled!r}" if _NAME.fullmatch(spelled) else ""
    known = [*vocabulary.readers, *vocabulary.aliases]
    close = get_close_matches(name, known, n=1, cutoff=0.75)
    hint = f"; did you mean {close[0]}?" if close else ""
    return ValueError(
        f"the database URL has an unknown option{shown} for {vocabulary.drivername}{hint}"
    )


def anything(value: str) -> str:
    """Read any text."""
    return value


_SETTING = re.compile(r"(?:-c\s*|--)?[A-Za-z_][\w.-]*=(?:\\.|\S)*|-(?!c)[A-Za-z]\S*", re.DOTALL)
"""One of ``options``. Without ``-c``, it is for a pooler, such as Neon's ``endpoint=..``."""


def server_options(value: str) -> str:
    """Read settings of the server; those of a URL that has the option again are appended."""
    if not _SETTING.sub("", value).strip():
        return value
    raise ValueError("settings such as -c search_path=app, with blanks written as %20")


def one_of(*values: str) -> Reader:
    """Return a reader of one of ``values``, in whatever case."""
    by_lower_case = {each.lower(): each for each in values}

    def read(value: str) -> str:
        if (found := by_lower_case.get(value.lower())) is not None:
            return found
        raise ValueError(f"one of: {', '.join(values)}")

    return read


def authentication_methods(value: str) -> str:
    """Read a list of what libpq knows, or of what it is not to use, each with ``!``."""
    names = value.split(",")
    all_alike = len({name.startswith("!") for name in names}) == 1
    if all_alike and all(name.removeprefix("!") in _METHODS for name in names):
        return value
    raise ValueError(f"one or more of: {', '.join(_METHODS)}; or all of them with !")


_METHODS = ("password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none")


def addresses(value: str) -> str:
    """Read the IP addresses of one host or several."""
    for each in value.split(","):
        try:
            ip_address(each)
        except ValueError:
            raise ValueError("an IP address for each host") from None
    return value


_TRUE = {"1", "true", "yes", "on", "t", "y"}
_FALSE = {"0", "false", "no", "off", "f", "n"}


def boolean(value: str) -> str:
    """Read a yes or no, which becomes ``true`` or ``false``."""
    if value.lower() in _TRUE:
        return "true"
    if value.lower() in _FALSE:
        return "false"
    raise ValueError("true or false")


_WHOLE_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_MAX_NUMBER = 2**31 - 1
"""Of libpq and of the drivers that are compiled."""


def whole_number(value: str) -> str:
    """Read a whole number that is not negative."""
    if _WHOLE_NUMBER.fullmatch(value) and int(value) <= _MAX_NUMBER:
        return str(int(value))
    raise ValueError(f"a whole number, at most {_MAX_NUMBER}")


def whole_number_or_off(value: str) -> str:
    """Read a whole number that is not negative, or ``off``."""
    if value.lower() == "off":
        return "off"
    if _WHOLE_NUMBER.fullmatch(value):
        return whole_number(value)
    raise ValueError("a whole number, or off")


_LONGEST_S = 86_400
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?", re.ASCII)


def seconds(value: str) -> str:
    """Read a length of time: more than nothing, and at most a day."""
    if _SECONDS.fullmatch(value) and 0 < float(value) <= _LONGEST_S:
        return value
    raise ValueError(f"a number of seconds, above 0 and at most {_LONGEST_S}")


def seconds_or_none(value: str) -> str:
    """Read a length of time, at most a day; 0 is no time at all."""
    if _SECONDS.fullmatch(value) and float(value) <= _LONGEST_S:
        return value
    raise ValueError(f"a number of seconds, at most {_LONGEST_S}")


def utf8(value: str) -> str:
    """Read the character set of the connection: UTF-8, by the name that MySQL has for it."""
    if value.lower().replace("-", "") in {"utf8", "utf8mb3", "utf8mb4", "unicode"}:
        return "utf8mb4"
    raise ValueError("utf8: ids and texts may have any character")


_MAX_APPLICATION_NAME_BYTES = 63
"""PostgreSQL cuts longer names, and MySQL's drivers fail with a much longer one."""


def application_name(value: str) -> str:
    """Read the name that the database shows for a connection."""
    if 0 < len(value.encode(errors="replace")) <= _MAX_APPLICATION_NAME_BYTES:
        return value
    raise ValueError(f"at most {_MAX_APPLICATION_NAME_BYTES} bytes long")
