"""Ends sessions of users: ``manage.py revoke_sessions``."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize

from sessionstore_sql.accounts import AccountSessionBackend
from sessionstore_sql.django.process import wait_for
from sessionstore_sql.errors import DatabaseError

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable, Iterator

    from sessionstore_sql.store import SQLSessionStore

_AT_ONCE = 50
"""How many users are worked on at once."""

_ALL = 10_000
"""More sessions than a user has."""

_AGE = re.compile(r"(\d+)(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Command(BaseCommand):
    """Ends sessions, and prints how many."""

    help = (
        "End the sessions of users: every session that began before this command has ended when it "
        "returns. Arguments of a process are visible to other users of the machine, so pass the "
        "ids of users on the standard input: manage.py revoke_sessions - < ids.txt"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "user_ids",
            nargs="*",
            metavar="USER_ID",
            help="primary keys of users; - reads them from the standard input, one a line",
        )
        parser.add_argument(
            "--everybody",
            action="store_true",
            dest="all_users",
            help="end the sessions of all users",
        )
        parser.add_argument(
            "--older-than",
            metavar="AGE",
            help="end only sessions whose user logged in longer ago, such as 12h or 30d; "
            "without USER_ID, those of all users",
        )
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="interactive", help="do not ask"
        )

    def handle(self, **options: Any) -> None:
        """End the sessions, and print how many."""
        given: list[str] = options["user_ids"]
        age = _age(options["older_than"])
        all_users = options["all_users"] or (age is not None and not given)
        if all_users == bool(given):
            raise CommandError("name users, or - for the standard input, or use --everybody")
        users = _all_users() if all_users else _named_users(given)
        if all_users and options["interactive"]:
            self._ask(age)
        try:
            ended, checked = _revoke_all(users, age)
        except DatabaseError as error:
            raise CommandError(
                f"stopped: {error}. If the table is missing, run "
                "`manage.py migrate`. Then run the command again."
            ) from error
        if options["verbosity"] > 0:
            self.stdout.write(
                f"Ended {ended} session{pluralize(ended)} of {checked} user{pluralize(checked)}."
            )

    def _ask(self, age: timedelta | None) -> None:
        which = "all sessions" if age is None else f"all sessions that are older than {age}"
        if input(f"End {which}, of all users? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was ended.")


def _named_users(given: list[str]) -> Iterator[str]:
    lines = (line.strip() for line in sys.stdin) if "-" in given else iter(())
    named = (each for each in given if each != "-")
    # All ids are read before the first session ends: a wrong one ends nothing.
    users = [_user_id(each, at) for at, each in enumerate(chain(named, lines), 1) if each]
    return iter(dict.fromkeys(users))


def _user_id(given: str, position: int) -> str:
    """Return a primary key in the spelling that ``login`` stores."""
    model = get_user_model()
    key = model._meta.pk  # noqa: SLF001  # documented
    assert key is not None
    try:
        return str(key.value_to_string(model(**{key.attname: key.to_python(given)})))
    except (ValidationError, ValueError, TypeError):
        # Not the id itself, which is personal data.
        fault = f"number {position} of the given values is no primary key of a user"
    raise CommandError(fault)


def _all_users() -> Iterator[str]:
    model = get_user_model()
    key = model._meta.pk  # noqa: SLF001  # documented
    assert key is not None
    for value in model._default_manager.values_list("pk", flat=True).iterator():  # noqa: SLF001
        yield str(key.value_to_string(model(**{key.attname: value})))


def _revoke_all(users: Iterator[str], age: timedelta | None) -> tuple[int, int]:
    ended = checked = 0
    while some := list(islice(users, _AT_ONCE)):
        ended += wait_for(_revoke, some, age)
        checked += len(some)
    return ended, checked


async def _revoke(store: SQLSessionStore, users: Iterable[str], age: timedelta | None) -> int:
    if not isinstance(store, AccountSessionBackend):
        raise CommandError("the store of SESSIONSTORE_SQL does not know users")
    ended = await asyncio.gather(*(_revoke_one(store, each, age) for each in users))
    return sum(ended)


async def _revoke_one(store: AccountSessionBackend, user: str, age: timedelta | None) -> int:
    if age is None:
        return await store.revoke(user)
    sessions = await store.sessions_of(user, limit=_ALL)
    began_before = datetime.now(UTC) - age
    old = [each for each in sessions if each.authenticated < began_before]
    return sum([await store.revoke(user, only=each.handle) for each in old])


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise CommandError("--older-than is a number and a unit, such as 30m, 12h, 30d or 4w")
    try:
        age = timedelta(**{_UNITS[match[2]]: int(match[1])})
        _ = datetime.now(UTC) - age
    except (OverflowError, ValueError):  # ValueError: thousands of digits
        age = None
    if age is None:
        raise CommandError("--older-than is longer ago than there are dates")
    return age
