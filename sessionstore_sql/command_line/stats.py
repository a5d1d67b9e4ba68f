"""The command that tells how many sessions there are, when they expire, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import orjson

from sessionstore_sql.command_line.drawing import draw
from sessionstore_sql.command_line.exit_codes import ExitCode
from sessionstore_sql.command_line.explaining import failures_explained, require_database
from sessionstore_sql.command_line.interruption import run
from sessionstore_sql.command_line.options import place_options
from sessionstore_sql.command_line.output import Output
from sessionstore_sql.statistics import collect_statistics

if TYPE_CHECKING:
    from datetime import timedelta

    from sessionstore_sql.command_line.interruption import Interruption
    from sessionstore_sql.command_line.options import Place
    from sessionstore_sql.statistics import Count, StateSizes, Statistics, Storage


@click.command(short_help="Show how many sessions there are, and what they take.")
@place_options
@click.option("--exact", is_flag=True, help="Count every session, however many there are.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def stats(place: Place, exact: bool, as_json: bool) -> ExitCode:
    """Show how many sessions there are, when they expire, and what they take.

    It reads a sample, and counts in an index: up to 100,000 sessions exactly, more by estimate.
    Nothing is locked. When a session was created is not known to the database; only when it
    expires.
    """

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        with failures_explained(place):
            found = await collect_statistics(place.url, **place.names, exact=exact)
        output = Output()
        if as_json:
            output.write(orjson.dumps(_as_json(found, place)).decode() + "\n")
        else:
            draw(found, place, output)
        return ExitCode.DONE

    return run(work)


def _as_json(found: Statistics, place: Place) -> dict[str, Any]:
    """Return what is documented in docs/operations/command-line.md; every key is always there."""
    return {
        "database": place.database,
        **place.names,
        "taken_at": found.taken_at,
        "live": _count(found.live),
        "expired": _count(found.expired),
        "oldest_expired_seconds": _seconds(found.oldest_expired),
        "expiries": [
            {
                "after_seconds": _seconds(each.after),
                "until_seconds": _seconds(each.until),
                "sessions": each.sessions,
            }
            for each in found.expiries
        ],
        "states": None if found.states is None else _states(found.states),
        "storage": _storage(found.storage),
    }


def _count(count: Count) -> dict[str, Any]:
    return {"sessions": count.sessions, "estimated": count.estimated}


def _states(states: StateSizes) -> dict[str, Any]:
    return {
        "measured": states.measured,
        "mean_bytes": states.mean,
        "median_bytes": states.median,
        "p95_bytes": states.p95,
        "p99_bytes": states.p99,
        "largest_bytes": states.largest,
        "total_bytes": states.total,
        "sizes": [
            {"at_least_bytes": each.at_least, "below_bytes": each.below, "states": each.states}
            for each in states.histogram
        ],
    }


def _storage(storage: Storage) -> dict[str, Any]:
    vacuum = storage.vacuum
    return {
        "table_bytes": storage.table_bytes,
        "index_bytes": storage.index_bytes,
        "file_bytes": storage.file_bytes,
        "reusable_bytes": storage.reusable_bytes,
        "vacuum": None
        if vacuum is None
        else {
            "dead_rows": vacuum.dead_rows,
            "since_last_seconds": _seconds(vacuum.since_last),
            "hot_updates": vacuum.hot_updates,
            "bloat_bytes": vacuum.bloat_bytes,
        },
    }


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()
