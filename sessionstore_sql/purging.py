"""Purging expired sessions in batches, with pauses that leave the database to the application.

``delete_expired_in_batches`` runs one purge. ``continuously_delete_expired`` runs one each period,
for as long as the application runs.
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

_log = logging.getLogger("sessionstore_sql.purging")

OnBatch: TypeAlias = "Callable[[int], Awaitable[object] | None]"
"""Called after each batch with the number of deleted sessions, which may be zero.

A function or a coroutine function.
"""

BATCH_SIZE = 1_000
PAUSE = timedelta(milliseconds=100)

_FIRST_DELAY_S = 60
"""Maximum delay of the first purge: an error shows up soon after a deployment."""
_SPREAD = 0.25
"""Random share of a period, so that processes that start together drift apart."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1, 300


class PurgeEnd(enum.Enum):
    """Why a purge ended."""

    NOTHING_LEFT = "nothing expired is left"
    """Except rows that are locked, and sessions that expired during the purge."""
    OUT_OF_TIME = "the time limit was reached"
    """``max_time`` has passed."""
    STOPPED = "it was stopped"
    """``stop`` was set."""
    ELSEWHERE = "another purge is running"
    """Another process deletes the expired sessions of this table."""


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """The result of a purge.

    Attributes:
        removed: The number of sessions that were deleted.
        batches: The number of batches, including empty ones.
        end: Why the purge ended.
    """

    removed: int
    batches: int
    end: PurgeEnd


@runtime_checkable
class ExclusivePurger(Protocol):
    """A backend that can keep other processes from purging at the same time."""

    async def delete_expired_exclusively(self, batch_size: int) -> int | None:
        """Delete one batch and return its size, or ``None`` if another process is purging."""
        ...


def continuously_delete_expired(
    store: SessionStorageBackend,
    *,
    period: timedelta,
    batch_size: int = BATCH_SIZE,
    pause: timedelta = PAUSE,
    on_batch: OnBatch | None = None,
) -> Coroutine[Any, Any, NoReturn]:
    """Return a coroutine that purges once per ``period`` until it is cancelled.

    Start it in the lifespan of an application, in a task or a task group:
    ``asyncio.create_task(continuously_delete_expired(store, period=timedelta(minutes=10)))``.
    Every process may run one. With ``SQLSessionStore`` on PostgreSQL, MySQL and MariaDB, only one
    process purges at a time; the others skip their purge until the next period.

    Each purge is a ``delete_expired_in_batches``. The first one starts after a random delay of at
    most a minute, or ``period`` if that is shorter. The next one starts one ``period`` after the
    end of the previous one, plus or minus a random quarter of it. No connection is held while it
    waits.

    A ``SessionStoreError``, such as an unreachable database or a missing table, is logged, and the
    purge is retried: after about 1 second, then after twice the previous delay, up to 5 minutes or
    ``period``. Any other exception is a programming error, which is logged and raised.

    After a cancellation, the coroutine ends at its next wait. It leaves no connection checked out
    and no lock behind. The running batch may or may not be committed.

    Args:
        store: Any backend.
        period: The time from the end of a purge to the start of the next one; more than zero.
        batch_size: The maximum number of sessions in one batch; at least 1.
        pause: The pause between two batches, as for ``delete_expired_in_batches``.
        on_batch: Called after each batch of this process. An exception in it is logged, and the
            purge continues.

    Raises:
        TypeError, ValueError: An argument has a wrong type or range. Raised by this function, not
            by the coroutine.
    """
    if not isinstance(store, SessionStorageBackend):
        raise TypeError(f"store must be a SessionStorageBackend, not {type(store).__name__}")
    _require_duration(period, "period")
    if not period:
        raise ValueError("period must be more than zero")
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
    """Delete expired sessions in batches until none is left, and return a report.

    Each batch is committed on its own. You can interrupt a purge at any time, with ``stop``, by
    cancelling it or by ending the process: committed batches remain deleted, live sessions are
    not affected, and the next purge continues with the rest.

    Args:
        store: Any backend.
        batch_size: The maximum number of sessions in one batch; at least 1.
        pause: The pause after each batch. It is extended to the duration of the batch, so that a
            purge uses at most half of one connection. Zero: no pause at all.
        max_time: After this time, no further batch is started. ``None``: no limit.
        stop: Set this event to end the purge: during a pause at once, otherwise after the running
            batch.
        exclusively: Whether to end if another exclusive purge is running. It has an effect only if
            ``store`` is an ``ExclusivePurger``.
        on_batch: Called after each batch. An exception in it ends the purge.

    Raises:
        TypeError, ValueError: An argument has a wrong type or range. Nothing was deleted.
        DatabaseError: The database failed, as described for ``delete_expired``. Earlier batches
            remain deleted.
    """
    require_batch_size(batch_size)
    _require_duration(pause, "pause")
    if max_time is not None:
        _require_duration(max_time, "max_time")
    if stop is not None and not isinstance(stop, asyncio.Event):
        raise TypeError(f"stop must be an asyncio.Event, not {type(stop).__name__}")
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
            _log.error("the purge failed and will be retried in %.1f s: %s", delay, error)
        except Exception as error:
            # Logged, because the application may never await the task.
            _log.critical("purging has ended: %s", type(error).__name__)
            raise
        else:
            if failures > 0:
                _log.info("the purge succeeded again after %d failures", failures)
            failures = 0
            level = logging.INFO if report.removed > 0 else logging.DEBUG
            _log.log(level, "deleted %d expired sessions: %s", report.removed, report.end.value)
            delay = period * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311  # likewise


def _retry_delay(failures: int, period: float) -> float:
    longest = min(_FIRST_RETRY_S * 2 ** (failures - 1), _LONGEST_RETRY_S, period)
    return random.uniform(longest / 2, longest)  # noqa: S311  # nothing to guess


def _unfailing(on_batch: OnBatch) -> OnBatch:
    async def listener(count: int) -> None:
        try:
            await _tell(on_batch, count)
        except Exception:  # noqa: BLE001  # an error of the listener must not end the purge
            _log.exception("on_batch failed; the purge continues")

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
        raise TypeError(f"{name} must be a timedelta, not {type(value).__name__}")
    if value < timedelta(0):
        raise ValueError(f"{name} must not be negative")


def _require_callback(on_batch: object) -> None:
    if on_batch is not None and not callable(on_batch):
        raise TypeError(f"on_batch must be a function, not {type(on_batch).__name__}")
