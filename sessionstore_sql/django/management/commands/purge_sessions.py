"""Deletes expired sessions: ``manage.py purge_sessions``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from sessionstore_sql.django.process import wait_for
from sessionstore_sql.errors import DatabaseError
from sessionstore_sql.purging import BATCH_SIZE, PurgeReport, delete_expired_in_batches

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from sessionstore_sql.store import SQLSessionStore


class Command(BaseCommand):
    """Deletes expired sessions in short batches, and prints how many."""

    help = (
        "Delete expired sessions in short batches. They are invisible at once; this command "
        "removes their rows. It does what clearsessions does, with pauses and a number."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--batch-size",
            type=int,
            default=BATCH_SIZE,
            help=f"maximum number of sessions in one batch (default: {BATCH_SIZE})",
        )
        parser.add_argument(
            "--max-seconds", type=float, help="start no further batch after this time"
        )

    def handle(self, **options: Any) -> None:
        """Delete, and print."""
        seconds = options["max_seconds"]
        try:
            report = wait_for(
                _purge, options["batch_size"], None if seconds is None else timedelta(0, seconds)
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"the purge stopped: {error}") from error
        if options["verbosity"] > 0:
            self.stdout.write(f"Deleted {report.removed} expired sessions: {report.end.value}.")


async def _purge(
    store: SQLSessionStore, batch_size: int, max_time: timedelta | None
) -> PurgeReport:
    return await delete_expired_in_batches(store, batch_size=batch_size, max_time=max_time)
