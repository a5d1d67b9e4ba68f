"""Removing what has expired, in batches that leave the database to the application in between.

``delete_expired_in_batches`` is one purge, until nothing is left; ``continuously_delete_expired``
one each period, for as long as an application runs.
"""

from __future__ import annotations

import asyncio
import enum
import inspect
import logging
import random
from asyncio import sleep
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, runtime_checkable

from sessionstore_sql.backend import SessionStorageBackend
from sessionstore_sql.errors import SessionStoreError
from sessionstore_sql.records import require_batch_size

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

_log = logging.getLogger(__name__)

OnBatch: TypeAlias = "Callable[[int], Awaitable[object] | None]"
"""Told after each batch how many sessions it removed, zero included. Plain or ``async``."""

BATCH_SIZE = 1_000
PAUSE = timedelta(milliseconds=100)

_FIRST_DELAY_S = 60
"""The longest: what is wrong with a purge shows while somebody still looks at a deployment."""
_SPREAD = 0.25
"""The part of a period that is left to chance, so that nodes drift apart that started together."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1, 300


class PurgeEnd(enum.Enum):
    """Why a purge ended."""

    NOTHING_LEFT = "nothing expired is left"
    """But for rows that someone has locked, and what expired meanwhile."""
    OUT_OF_TIME = "the time was up"
    STOPPED = "it was told to stop"
    ELSEWHERE = "another purge is under way"


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge did."""

    removed: int
    batches: int
    end: PurgeEnd


@runtime_checkable
class ExclusivePurger(Protocol):
    """A backend whose nodes can purge one at a time, as those of ``SQLSessionStore``."""

    async def delete_expired_exclusively(self, batch_size: int) -> int | None:
        """Remove expired sessions, or return ``None`` as someone else does so already."""
        ...


def continuously_delete_expired(
    store: SessionStorageBackend,
    *,
    period: timedelta,
    batch_size: int = BATCH_SIZE,
    pause: timedelta = PAUSE,
    on_batch: OnBatch | None = None,
) -> Coroutine[Any, Any, NoReturn]:
    """Return a coroutine that purges each ``period`` until it is cancelled.

    It is for the lifespan of an application: ``asyncio.create_task(continuously_delete_expired(
    store, period=timedelta(minutes=10)))``, or the same in a task group. Every node may run one;
    nodes of a ``SQLSessionStore`` on PostgreSQL, MySQL and MariaDB purge one at a time, batch by
    batch. One that finds another at work leaves it to that one until its own next period.

    A purge is ``delete_expired_in_batches``. The first begins after a random time of at most a
    minute, or ``period`` if that is less; the next ones a ``period`` after the end of the one
    before, give or take a quarter. A period of pauses, or of waiting, holds no connection.

    A database that is away does not end it. Whatever ``SessionStoreError`` a purge meets, a
    missing table included, is logged as an error, and it tries again: after a second at first,
    then twice as long each time up to 5 minutes or ``period``, and a random part of it. Other
    exceptions are mistakes in a program: they are logged and raised.

    Cancelled, it ends at the next wait, with no connection held and no lock left. The batch under
    way is committed or not.

    Args:
        store: Any backend.
        period: How long to wait from one purge to the next; more than zero.
        batch_size: How many sessions one batch removes at the most; at least 1.
        pause: Between two batches, as for ``delete_expired_in_batches``.
        on_batch: Told of each batch of this node. What it raises is logged, and not fatal.

    Raises:
        TypeError, ValueError: An argument is of a wrong type or range; here, not in the coroutine.
    """
    if not isinstance(store, SessionStorageBackend):
        raise TypeError(f"store is a SessionStorageBackend, not {type(store).__name__}")
    _require_duration(period, "period")
    if not period:
        raise ValueError("period is more than zero")
    require_batch_size(batch_size)
    _require_duration(pause, "pause")
    _require_callback(on_batch)
    listener = None if on_batch is None else _unfailing(on_batch)

    purge = partial(
        delete_expired_in_batches,
        store,
        batch_size=batch_size,
        pause=pause,
        exclusively=True,
        on_batch=listener,
    )
    return _continuously(purge, period.total_seconds())


async def delete_expired_in_batches(  # noqa: PLR0913  # options, each by keyword
    store: SessionStorageBackend,
    *,
    batch_size: int = BATCH_SIZE,
    pause: timedelta = PAUSE,
    max_time: timedelta | None = None,
    stop: asyncio.Event | None = None,
    exclusively: bool = False,
    on_batch: OnBatch | None = None,
) -> PurgeReport:
    """Remove expired sessions batch by batch until nothing is left, and report what was done.

    Every batch is committed by itself. So a purge may be interrupted at any moment, by ``stop``,
    cancellation or the end of the process: what is gone is gone, no live session is ever touched,
    and the next purge goes on with what is left.

    Args:
        store: Any backend.
        batch_size: How many sessions one batch removes at the most; at least 1.
        pause: How long to leave the database alone after each batch, and never less than the
            batch itself took, so that a purge of any size claims at most half of one connection.
            Zero: no pause at all.
        max_time: No batch begins when so much time has passed, but the first. ``None``: no limit.
        stop: Set it to end the purge after the batch under way, and during a pause at once.
        exclusively: Whether to end where another exclusive purge is found at work, if ``store``
            is an ``ExclusivePurger``; with any other it means nothing.
        on_batch: Told of each batch. What it raises ends the purge.

    Raises:
        TypeError, ValueError: An argument is of a wrong type or range. Nothing was removed.
        DatabaseError: The database failed in a batch, as ``delete_expired`` says. The batches
            before, which ``on_batch`` was told of, stay removed.
    """
    require_batch_size(batch_size)
    _require_duration(pause, "pause")
    if max_time is not None:
        _require_duration(max_time, "max_time")
    if stop is not None and not isinstance(stop, asyncio.Event):
        raise TypeError(f"stop is an asyncio.Event, not {type(stop).__name__}")
    _require_callback(on_batch)
    stop = asyncio.Event() if stop is None else stop
    delete_batch: Callable[[int], Awaitable[int | None]] = (
        store.delete_expired_exclusively
        if exclusively and isinstance(store, ExclusivePurger)
        else store.delete_expired
    )
    started = monotonic()
    removed = batches = 0

    def ended(end: PurgeEnd) -> PurgeReport:
        return PurgeReport(removed, batches, end)

    while not stop.is_set():
        began = monotonic()
        count = await delete_batch(batch_size)
        took = monotonic() - began
        if count is None:
            return ended(PurgeEnd.ELSEWHERE)
        removed += count
        batches += 1
        if on_batch is not None:
            await _tell(on_batch, count)
        if count < batch_size:
            return ended(PurgeEnd.NOTHING_LEFT)
        rest = max(pause.total_seconds(), took) if pause else 0
        if max_time is not None and monotonic() - started + rest >= max_time.total_seconds():
            return ended(PurgeEnd.OUT_OF_TIME)
        await _rest(rest, stop)
    return ended(PurgeEnd.STOPPED)


async def _continuously(purge: Callable[[], Awaitable[PurgeReport]], period: float) -> NoReturn:
    failures = 0
    delay = random.uniform(0, min(period, _FIRST_DELAY_S))  # noqa: S311  # nothing to guess
    while True:
        await sleep(delay)
        try:
            report = await purge()
        except SessionStoreError as error:
            failures += 1
            delay = _retry_delay(failures, period)
            _log.error("the purge failed, and is tried again in %.1f s: %s", delay, error)
        except Exception as error:
            # A task that nobody awaits until the end would keep it to itself.
            _log.critical("purging has ended: %s", type(error).__name__)
            raise
        else:
            if failures > 0:
                _log.info("the purge works again")
            failures = 0
            level = logging.INFO if report.removed > 0 else logging.DEBUG
            _log.log(level, "removed %d expired sessions: %s", report.removed, report.end.value)
            delay = period * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311  # likewise


def _retry_delay(failures: int, period: float) -> float:
    longest = min(_FIRST_RETRY_S * 2 ** (failures - 1), _LONGEST_RETRY_S, period)
    return random.uniform(longest / 2, longest)  # noqa: S311  # nothing to guess


def _unfailing(on_batch: OnBatch) -> OnBatch:
    async def listener(count: int) -> None:
        try:
            await _tell(on_batch, count)
        except Exception:  # noqa: BLE001  # whatever it is, it is the listener's own
            _log.exception("on_batch failed; the purge goes on")

    return listener


async def _tell(on_batch: OnBatch, count: int) -> None:
    answer = on_batch(count)
    if inspect.isawaitable(answer):
        await answer


async def _rest(seconds: float, stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


def _require_duration(value: object, name: str) -> None:
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} is a timedelta, not {type(value).__name__}")
    if value < timedelta(0):
        raise ValueError(f"{name} is not negative")


def _require_callback(on_batch: object) -> None:
    if on_batch is not None and not callable(on_batch):
        raise TypeError(f"on_batch is a function, not {type(on_batch).__name__}")
