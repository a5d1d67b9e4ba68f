"""The option for a user id, and the store that a command finds the user's sessions with."""

from __future__ import annotations

import getpass
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click

from sessionstore_sql.accounts.subjects import MAX_SUBJECT_LENGTH, require_subject
from sessionstore_sql.store import SQLSessionStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sessionstore_sql.cli.keys import Keys
    from sessionstore_sql.cli.options import Place
    from sessionstore_sql.codec import StateCodec

_Result = TypeVar("_Result")

_MAX_BYTES = 4 * (MAX_SUBJECT_LENGTH + 1)
"""Enough to tell that a user id is too long, with up to 4 bytes of UTF-8 for a character."""


def subject_option(*, required: bool) -> Callable[[Callable[..., _Result]], Callable[..., _Result]]:
    """Return what adds the option for the user id. The command receives it as ``subject``."""

    def add(command: Callable[..., _Result]) -> Callable[..., _Result]:
        return click.option(
            "--subject",
            type=_subject,
            metavar="-",
            required=required,
            help="Read the user id from standard input. It is what the application passes to "
            "sign_in as `subject`. On the command line, other users of the machine would see it.",
        )(command)

    return add


def _subject(value: str) -> str:
    if value != "-":
        raise click.BadParameter(
            "only - is accepted: write the user id to standard input, as in `echo USER_ID | ..`"
        )
    try:
        subject = _given().decode()
        require_subject(subject)
    except UnicodeDecodeError:
        message = "the user id on standard input is not UTF-8"
    except ValueError as error:
        message = f"the user id on standard input is not valid: {error}"
    else:
        return subject
    raise click.BadParameter(message)


def _given() -> bytes:
    """Return what standard input holds, without the end of the line; cut off if it is too long.

    As bytes, since the locale may have another encoding, and a text has no carriage returns. The
    sessions of another user would be found.
    """
    if sys.stdin is None:
        return b""
    given = sys.stdin.buffer.read(_MAX_BYTES + len(b"\r\n"))
    return given.removesuffix(b"\n").removesuffix(b"\r")


@asynccontextmanager
async def opened(place: Place, keys: Keys | None) -> AsyncIterator[SQLSessionStore]:
    """Yield a store that hashes user ids and decodes ``about`` as the application does."""
    codec: StateCodec | None = None
    subject_keys: tuple[bytes | None, ...] = ()
    if keys is not None:
        subject_keys = keys.subjects
        if keys.encryption is not None:
            codec = _encrypted(keys)
    try:
        store = SQLSessionStore(place.url, **place.names, codec=codec, subject_keys=subject_keys)
    except ValueError as error:
        message = str(error)
    else:
        async with store:
            yield store
            return
    raise click.BadParameter(message, param_hint="--keys-file")


def _encrypted(keys: Keys) -> StateCodec:
    from sessionstore_sql.encryption import EncryptedCodec  # noqa: PLC0415  # an extra

    assert keys.encryption is not None
    try:
        return EncryptedCodec(keys.encryption, allow_plain=True)
    except ValueError as error:
        message = str(error)
    raise click.BadParameter(message, param_hint="--keys-file")


def audit(place: Place, what: str) -> str:
    """Return a line for the audit log: when, who, what and where. It names no user of the site."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        who = "unknown"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {who} {what} in {place}."
