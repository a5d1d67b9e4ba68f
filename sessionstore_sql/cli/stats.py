"""The command that shows the number of sessions, their expiry and their size."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
import orjson

from sessionstore_sql.cli.drawing import MIN_WIDTH, draw
from sessionstore_sql.cli.exit_codes import ExitCode
from sessionstore_sql.cli.explaining import failures_explained, require_database
from sessionstore_sql.cli.interruption import run
from sessionstore_sql.cli.options import duration, place_options
from sessionstore_sql.cli.output import Output
from sessionstore_sql.cli.watching import watch_sessions
from sessionstore_sql.statistics import collect_statistics

if TYPE_CHECKING:
    from sessionstore_sql.cli.interruption import Interruption
    from sessionstore_sql.cli.options import Place
    from sessionstore_sql.statistics import (
        Activity,
        Connections,
        Count,
        Kinds,
        StateSizes,
        Statistics,
        Storage,
    )

_MIN_INTERVAL = timedelta(seconds=1)


@click.command(short_help="Show the number of sessions, their expiry and their size.")
@place_options
@click.option("--exact", is_flag=True, help="Count all sessions, however many there are.")
@click.option("--watch", is_flag=True, help="Show counts, purge and connections until Ctrl-C.")
@click.option(
    "--interval",
    type=duration,
    metavar="DURATION",
    default="5s",
    show_default=True,
    help="How often --watch reads the numbers. At least 1s.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def stats(place: Place, exact: bool, watch: bool, interval: timedelta, as_json: bool) -> ExitCode:
    """Show the number of sessions, when they expire, and how much space they use.

    It reads a sample and counts in an index: up to 100,000 sessions exactly; larger numbers are
    estimated. It locks nothing.

    With --watch, it shows how the numbers change: sessions, purge and database connections. On a
    terminal it redraws them; otherwise it prints one line each time, or one line of JSON.
    """
    if watch and exact:
        raise click.UsageError("--watch and --exact exclude each other")
    if interval < _MIN_INTERVAL:
        raise click.BadParameter("it must be at least 1s", param_hint="--interval")

    async def work(_: Interruption) -> ExitCode:
        require_database(place)
        if watch:
            return await watch_sessions(
                place, interval, to_json=_activity_as_json if as_json else None
            )
        async with failures_explained(place):
            found = await collect_statistics(place.url, **place.names, exact=exact)
        if as_json:
            Output().write(_line(_as_json(found, place)))
        else:
            draw(found, place, Output(MIN_WIDTH))
        return ExitCode.DONE

    return run(work)


def _line(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode() + "\n"


def _activity_as_json(found: Activity, place: Place) -> str:
    connections = found.connections
    return _line(
        {
            "database": place.database,
            **place.names,
            "taken_at": found.taken_at,
            "live": _count(found.live),
            "expired": _count(found.expired),
            "oldest_expired_seconds": _seconds(found.oldest_expired),
            "connections": None if connections is None else _connections(connections),
        }
    )


def _connections(connections: Connections) -> dict[str, int]:
    return {
        "open": connections.open,
        "limit": connections.limit,
        "active": connections.active,
        "waiting": connections.waiting,
    }


def _as_json(found: Statistics, place: Place) -> dict[str, Any]:
    """Return the keys that docs/reference/command-line.md documents. All of them are present."""
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
        "kinds": None if found.kinds is None else _kinds(found.kinds),
        "storage": _storage(found.storage),
    }


def _kinds(kinds: Kinds) -> dict[str, Any]:
    return {
        "measured": kinds.measured,
        "signed_in": kinds.signed_in,
        "anonymous": kinds.anonymous,
        "keys": [{"key": key, "sessions": count} for key, count in kinds.keys.items()],
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
        },
    }


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()
