"""Copies sessions from Django's own table: ``manage.py carry_over_sessions``."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core import signing
from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize
from django.utils import timezone
from django.utils.module_loading import import_string

from sessionstore_sql.accounts import AccountSessionBackend
from sessionstore_sql.django.configuration import has_default_serializer
from sessionstore_sql.django.process import sessions_in, wait_for
from sessionstore_sql.errors import DatabaseError, DuplicateIdError, SerializationError
from sessionstore_sql.records import MAX_TTL, SessionId, SessionRecord
from sessionstore_sql.web.plain_json import with_lists

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator

    from django.contrib.sessions.backends.base import SessionBase

    from sessionstore_sql.store import SQLSessionStore

_AT_ONCE = 50
"""How many sessions are written at once."""

_DJANGOS_ENGINE = "django.contrib.sessions.backends.db"


class _Session(NamedTuple):
    """A session in Django's table."""

    session_id: SessionId
    record: SessionRecord


class Command(BaseCommand):
    """Copies sessions that have not expired, and prints how many."""

    help = (
        "Copy the sessions in Django's own table to this store, with their keys, so that a change "
        "of SESSION_ENGINE logs no user out. The table is not changed. Sessions that were copied "
        "before are left alone, so the command can be repeated: before the deployment, and once "
        "more when no process uses the old engine any more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--from",
            dest="engine",
            default=_DJANGOS_ENGINE,
            metavar="ENGINE",
            help="the SESSION_ENGINE that was used before, if it has a model: "
            f"{_DJANGOS_ENGINE} (default), django.contrib.sessions.backends.cached_db, or a "
            "subclass of one of them",
        )

    def handle(self, **options: Any) -> None:
        """Copy, and print."""
        counts = {True: 0, False: 0, None: 0}
        try:
            sessions = self._sessions_of(options["engine"])
            while some := list(islice(sessions, _AT_ONCE)):
                for outcome in wait_for(_copy_all, [each for each in some if each is not None]):
                    counts[outcome] += 1
                counts[None] += some.count(None)
        except DatabaseError as error:
            raise CommandError(
                f"stopped: {error}. If the table is missing, run "
                "`manage.py migrate`. Then run the command again."
            ) from error
        if options["verbosity"] > 0:
            self.stdout.write(
                f"Copied {counts[True]} session{pluralize(counts[True])}; "
                f"{counts[False]} were there already, {counts[None]} cannot be stored."
            )

    def _sessions_of(self, engine: str) -> Iterator[_Session | None]:
        try:
            old = import_string(f"{engine}.SessionStore")
            model = old.get_model_class()
        except (ImportError, AttributeError) as error:
            raise CommandError(f"{engine} is no session engine with a table of Django's") from error
        reader = old()
        for row in model.objects.filter(expire_date__gt=timezone.now()).iterator():
            state = reader.decode(row.session_data)
            ttl = row.expire_date - timezone.now()
            readable = bool(state) or _is_readable(reader, row.session_data)
            yield _session(row.session_key, state, ttl) if readable else None


def _is_readable(reader: SessionBase, data: str) -> bool:
    """Return whether an empty session is one: Django takes what it cannot decode for empty."""
    try:
        signing.loads(data, salt=reader.key_salt, serializer=reader.serializer)
    except Exception:  # noqa: BLE001  # serializers raise anything
        return False
    return True


def _session(key: str, state: dict[str, Any], ttl: timedelta) -> _Session | None:
    """Return a session to be stored; ``None`` if it has no valid key."""
    if has_default_serializer():
        state = with_lists(state)
    try:
        record = SessionRecord(state, min(max(ttl, timedelta(0)), MAX_TTL))
        return _Session(SessionId(key), record)
    except (TypeError, ValueError):
        return None


async def _copy_all(store: SQLSessionStore, sessions: list[_Session]) -> list[bool | None]:
    return list(await asyncio.gather(*(_copy(store, each) for each in sessions)))


async def _copy(store: SQLSessionStore, session: _Session) -> bool | None:
    """Return whether a session was copied. ``False``: it was there already. ``None``: it cannot."""
    session_id, record = session
    subject = sessions_in(store).options.subject_in(record.state)
    try:
        if subject is not None and isinstance(store, AccountSessionBackend):
            await store.sign_in(None, session_id, record, subject=subject)
        else:
            await store.create(session_id, record)
    except DuplicateIdError:
        return False
    except SerializationError:
        return None
    return True
